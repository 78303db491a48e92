"""The command line's promises: exit codes, one JSON object, one line per problem, no traceback for what is known."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from redisu_pipeline import cli
from redisu_pipeline.common.problems import ConfigurationError, Failed, Problem
from redisu_pipeline.common.reports import AccountReport, Silence, SyncReport, TableReport
from redisu_pipeline.common.settings import Settings
from redisu_pipeline.terminal import SyncProgress, show_sync

CONFIGURATION = """
[accounts.us]
[routing]
default = "us"
[courses.redis-101]
name = "Redis 101"
flockjay_course_id = "fj_101"
prices = { usd = 19900 }
"""
INVOICES = TableReport(3, 2, 1000, 1005, 12, 11, 1.23456, datetime(2026, 11, 3, 6, tzinfo=UTC))
REPORT = SyncReport({"us": AccountReport({"invoices": INVOICES})})
DISK_FULL = Problem("disk_full", "us.invoices", "no space left", "free space and run again")


@dataclass
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        answer = json.loads(self.out)
        assert isinstance(answer, dict)
        return answer


Run = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `redisu` in this process, in a folder with a small configuration."""
    (tmp_path / "redisu.toml").write_text(CONFIGURATION)
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)

    def call(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        signal.signal(signal.SIGTERM, handler)
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, said.out, said.err)

    return call


@pytest.fixture
def sync_that(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., SyncReport]], None]:
    """Let the sync behind the command be a function of the test."""
    return lambda function: monkeypatch.setattr("redisu_pipeline.extract.sync.sync", function)


def _raising(error: BaseException) -> Callable[..., SyncReport]:
    def fail(*_: object, **__: object) -> SyncReport:
        raise error

    return fail


def test_a_sync_gets_what_was_asked_for_and_its_table_is_printed(run: Run, sync_that: Any) -> None:
    heard: dict[str, object] = {}

    def fake(settings: Settings, environ: Mapping[str, str], **asked: object) -> SyncReport:
        heard.update(asked)
        return REPORT

    sync_that(fake)
    ended = run(
        "sync", "--account", "us", "--table", "invoices", "--table", "charges", "--full", "--since", "2026-10-01"
    )
    assert ended.code == 0
    heard.pop("progress")
    assert heard == {"accounts": ("us",), "tables": ("invoices", "charges"), "full": True, "since": date(2026, 10, 1)}
    assert "1,005" in ended.out
    assert "2026-11-03 06:00" in ended.out


def test_json_is_one_object_on_stdout_even_when_a_library_prints(run: Run, sync_that: Any) -> None:
    def noisy(*_: object, **__: object) -> SyncReport:
        print("a library's greeting")  # noqa: T201
        return REPORT

    sync_that(noisy)
    ended = run("sync", "--json")
    assert ended.code == 0
    assert ended.json == {
        "command": "sync",
        "ok": True,
        "problems": [],
        "accounts": {
            "us": {
                "tables": {
                    "invoices": {
                        "new": 3,
                        "changed": 2,
                        "unchanged": 1000,
                        "rows": 1005,
                        "requests": 12,
                        "minimum": 11,
                        "seconds": 1.235,
                        "complete_until": "2026-11-03T06:00:00Z",
                    }
                }
            }
        },
    }


def test_a_report_with_problems_exits_1_and_still_shows_what_was_done(run: Run, sync_that: Any) -> None:
    sync_that(lambda *_, **__: SyncReport(REPORT.accounts, (DISK_FULL,)))
    ended = run("sync")
    assert ended.code == 1
    assert "1,005" in ended.out
    assert ended.err == "us.invoices: no space left; free space and run again\n"
    answer = run("sync", "--json").json
    assert answer["ok"] is False
    assert answer["problems"] == [
        {"code": "disk_full", "where": "us.invoices", "message": "no space left", "mend": "free space and run again"}
    ]
    assert "us" in answer["accounts"]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (Failed(DISK_FULL), 1, "us.invoices: no space left; free space and run again\n"),
        (ConfigurationError(Problem("x", "lake.uri", "is wrong", "mend it")), 2, "lake.uri: is wrong; mend it\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "x/data.parquet"),
            1,
            "x/data.parquet: No space left on device",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "lake"), 1, "lake: Permission denied; give this user"),
        (KeyboardInterrupt(), 1, "redisu: stopped; run the same command again to go on\n"),
    ],
    ids=["failed", "configuration", "disk-full", "permission", "ctrl-c"],
)
def test_what_is_known_to_go_wrong_is_one_line_and_no_traceback(
    error: BaseException, code: int, line: str, run: Run, sync_that: Any
) -> None:
    sync_that(_raising(error))
    ended = run("sync", "--json")
    assert ended.code == code
    assert ended.err.startswith(line)
    assert ended.err.count("\n") == 1
    assert ended.json["ok"] is False
    assert len(ended.json["problems"]) == 1


def test_a_fault_of_ours_shows_its_traceback_and_still_answers_in_json(run: Run, sync_that: Any) -> None:
    sync_that(_raising(ZeroDivisionError("x")))
    ended = run("sync", "--json")
    assert ended.code == 1
    assert "Traceback" in ended.err
    assert ended.json["problems"][0]["code"] == "internal_error"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sync", "--bogus"), "No such option: --bogus"),
        (("sinc",), "No such command 'sinc'"),
        (("sync", "--since", "yesterday"), "is not a date"),
        (("sync", "--account", "eu"), "'eu' is not configured"),
        (("sync", "--config", "elsewhere.toml"), "there is no configuration file"),
        (("sync", "--table", "invoice"), "STRIPE_API_KEY_US is not set|invoice"),
        (("sync",), "STRIPE_API_KEY_US is not set"),
        (("demo", "--months", "0"), "--months"),
        (("sandbox", "--port", "x"), "--port"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_wrong_usage_and_configuration_exit_2_with_one_line(arguments: tuple[str, ...], words: str, run: Run) -> None:
    ended = run(*arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert any(word in ended.err for word in words.split("|"))
    if arguments[0] in ("sync", "demo"):
        assert run(*arguments, "--json").json["ok"] is False


def test_every_fault_of_the_configuration_is_a_line_of_its_own(run: Run, tmp_path: Path) -> None:
    (tmp_path / "redisu.toml").write_text(CONFIGURATION + '[lake]\nhistory = 1\nuri = "ftp://x"\n')
    ended = run("sync", "--json")
    assert [problem["where"] for problem in ended.json["problems"]] == ["lake.history", "lake.uri"]
    assert ended.err.count("\n") == 2


@pytest.mark.parametrize("arguments", [(), ("--help",), ("sync", "--help"), ("demo", "--help"), ("sandbox", "--help")])
def test_help_exits_0(arguments: tuple[str, ...], run: Run) -> None:
    ended = run(*arguments)
    assert ended.code == 0
    assert "Usage: redisu" in ended.out


def test_the_installed_script_answers_quickly_without_the_heavy_libraries() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "redisu", "--help"], capture_output=True, text=True, check=True
    )
    assert "sync" in done.stdout
    assert done.stderr == ""


def test_a_reader_that_goes_away_is_no_reason_to_complain() -> None:
    code = "from redisu_pipeline import cli; cli.app = lambda **_: (_ for _ in ()).throw(BrokenPipeError())"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; cli.main(['sync'])"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_sigterm_stops_as_cleanly_as_ctrl_c(run: Run, sync_that: Any) -> None:
    def terminated(*_: object, **__: object) -> SyncReport:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
        return REPORT

    sync_that(terminated)
    ended = run("sync")
    assert (ended.code, ended.err) == (1, "redisu: stopped; run the same command again to go on\n")


def test_the_bars_show_counts_and_requests_and_survive_a_low_estimate() -> None:
    screen = io.StringIO()
    with SyncProgress(Console(file=screen, force_terminal=True, width=140)) as progress:
        progress.table_started("us", "invoices", 100)
        progress.table_started("us", "events", None)
        progress.advanced("us", "invoices", 100, 1)
        progress.advanced("us", "invoices", 50, 2)
        progress.advanced("us", "unheard_of", 1, 1)
        progress.table_finished("us", "invoices")
        progress.table_finished("us", "events")
    shown = screen.getvalue()
    assert "us invoices" in shown
    assert "150/150 rows" in shown
    assert "3 requests" in shown


def test_the_bars_are_silent_where_there_is_no_terminal() -> None:
    screen = io.StringIO()
    with SyncProgress(Console(file=screen)) as progress:
        progress.table_started("us", "invoices", 100)
        progress.advanced("us", "invoices", 100, 1)
        progress.table_finished("us", "invoices")
    assert screen.getvalue().strip() == ""


def test_the_table_ends_with_sums_and_says_never_for_what_is_not_complete() -> None:
    screen = io.StringIO()
    never = TableReport(1, 0, 0, 1, 1, 1, 0.0, None)
    report = SyncReport({"us": AccountReport({"invoices": INVOICES, "events": never})})
    show_sync(Console(file=screen, width=140), report)
    assert "never" in screen.getvalue()
    assert "1,006" in screen.getvalue()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_narrow_terminal_folds_names_and_never_cuts_a_number(width: int) -> None:
    screen = io.StringIO()
    large = TableReport(123_456, 12_345, 1_234_567, 1_370_368, 13_704, 13_703, 175.3, INVOICES.complete_until)
    show_sync(Console(file=screen, width=width), SyncReport({"us": AccountReport({"balance_transaction_fees": large})}))
    for number in ("123,456", "12,345", "1,234,567", "1,370,368", "13,704", "13,703", "175.3"):
        assert number in screen.getvalue()


def test_silence_hears_everything_and_says_nothing() -> None:
    silence = Silence()
    silence.table_started("us", "invoices", None)
    silence.advanced("us", "invoices", 1, 1)
    silence.table_finished("us", "invoices")
