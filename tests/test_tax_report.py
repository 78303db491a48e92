"""The tax report against the stand-in: what lands, what is asked for, and every way in which a run can go wrong."""

from __future__ import annotations

import io
import json
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from world import MakeTown, Town

from redisu_pipeline.common.money import to_minor
from redisu_pipeline.common.opsdb.migrate import ensure_current
from redisu_pipeline.common.reports import SyncReport, TableReport
from redisu_pipeline.extract import reader, report_runs
from redisu_pipeline.extract.csv_file import BOM
from redisu_pipeline.terminal import show_sync

TABLE = "tax_transactions"
TYPES = "/v1/reporting/report_types/tax.transactions.itemized.2"


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_runs, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(reader, "LONGEST_PAUSE", 0.02)


def synced(town: Town, **options: Any) -> TableReport:
    report = only(town, **options)
    assert report.problems == ()
    return town.table(report, TABLE)


def only(town: Town, **options: Any) -> SyncReport:
    return town.sync(tables=[TABLE], **options)


def code_of(town: Town) -> tuple[str, str]:
    (problem,) = only(town).problems
    return problem.code, str(problem)


def runs_of(town: Town) -> list[dict[str, Any]]:
    return town.store().all("reporting.report_run")


def intent_of(town: Town) -> Path:
    return town.lake / ".staging/reports/us.json"


def spoil(town: Town, monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes], times: int = 1) -> None:
    """The next reports' CSVs are changed on their way out; their size is that of what is sent."""
    from sandbox.stripe.server import reports

    written, left = reports.written, [times]

    def spoilt(*arguments: Any) -> bytes:
        body = written(*arguments)
        left[0] -= 1
        return change(body) if left[0] >= 0 else body

    monkeypatch.setattr(reports, "written", spoilt)


def held(town: Town) -> list[dict[str, Any]]:
    return sorted(town.held(TABLE).values(), key=lambda row: str(row["id"]))


def reported(town: Town, until: datetime) -> list[tuple[Any, ...]]:
    """The stand-in's own rows up to an instant, in minor units as it has them."""
    rows = [row for row in town.sandbox.world.tax_rows("us") if row["transaction_date"] < until.timestamp()]
    return sorted((row["id"], row["line_item_id"], row["tax_name"], row["tax_amount"], row["total"]) for row in rows)


def landed(town: Town) -> list[tuple[Any, ...]]:
    names = ("source_id", "line_item_id", "tax_name", "tax_amount", "total")
    return sorted(tuple(row[name] for name in names) for row in held(town))


def test_every_row_of_the_report_lands_to_the_cent_and_the_csv_stays_in_the_lake(town: Town) -> None:
    report = synced(town)
    assert report.complete_until == datetime(2026, 3, 19, 12, tzinfo=UTC)
    assert landed(town) == reported(town, report.complete_until)
    assert report.rows == report.new == len(landed(town)) > 20
    assert report.requests == report.minimum == 3
    (csv_file,) = town.lake.glob("reports/stripe/account=us/tax.transactions.itemized.2/*.csv")
    beside = json.loads(Path(f"{csv_file}.json").read_text())
    (run,) = runs_of(town)
    assert (beside["report_run"], beside["parameters"]) == (run["id"], run["parameters"])
    assert beside["data_available_end"] == int(report.complete_until.timestamp())
    for row in held(town):  # what is typed is what was printed
        cells = row["_raw"]
        assert to_minor(Decimal(cells["tax_amount"]), cells["currency"]) == row["tax_amount"]


def test_an_availability_that_has_not_moved_costs_one_request_and_no_run(town: Town) -> None:
    synced(town)
    town.forget_requests()
    report = synced(town)
    assert (report.requests, report.minimum, report.changed, report.new) == (1, 1, 0, 0)
    assert [line for line in town.requests() if "reporting" in line] == [f"GET {TYPES} 200"]


def test_it_reads_on_from_the_last_availability_and_the_overlap_again(town: Town) -> None:
    synced(town)
    town.advance(days=9)
    report = synced(town)
    first, second = runs_of(town)
    end = first["parameters"]["interval_end"]
    assert second["parameters"]["interval_start"] == end - 3 * 86_400
    assert landed(town) == reported(town, report.complete_until or town.now)
    assert (report.changed, report.new > 0) == (0, True)


def test_rows_that_come_late_or_vanish_within_the_overlap_are_made_good(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.config.write_text(town.config.read_text() + "\n[tax]\noverlap_days = 20\n")
    spoil(town, monkeypatch, lambda body: b"".join(body.splitlines(keepends=True)[:-1]))
    synced(town)
    town.advance(hours=12)
    report = synced(town)
    assert report.new == 1
    assert landed(town) == reported(town, report.complete_until or town.now)
    everything = landed(town)
    town.advance(hours=12)
    spoil(town, monkeypatch, lambda body: body.splitlines(keepends=True)[0])  # nothing in the overlap any more
    edge = (report.complete_until or town.now) - timedelta(days=20)
    assert 0 < synced(town).rows < len(everything)
    assert landed(town) == reported(town, edge)


def test_a_run_that_takes_its_time_is_waited_for(town: Town) -> None:
    town.sandbox.reports.polls = 4
    assert synced(town).requests == 1 + 1 + 4 + 1


def test_a_run_that_failed_is_made_anew(town: Town) -> None:
    town.sandbox.reports.fail_next = 2
    assert landed_rows(town) > 20
    assert [run["status"] for run in runs_of(town)] == ["failed", "failed", "succeeded"]


def landed_rows(town: Town) -> int:
    return synced(town).rows


def test_a_run_that_always_fails_is_given_up_in_one_line_and_comes_back_next_time(town: Town) -> None:
    town.sandbox.reports.fail_next = 3
    code, line = code_of(town)
    assert code == "report_failed"
    assert "in 3 attempts" in line
    assert "us/tax_transactions" in line
    assert len(town.held(TABLE)) == 0
    assert landed_rows(town) > 20


def test_a_file_that_has_expired_is_made_anew(town: Town) -> None:
    town.sandbox.reports.files_expire_next = 1
    assert landed_rows(town) > 20
    assert len(runs_of(town)) == 2


def test_a_run_that_is_pending_too_long_is_taken_up_and_then_abandoned(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_runs, "monotonic", (200.0 * n for n in range(10**6)).__next__)
    town.sandbox.reports.polls = 10**6
    assert code_of(town)[0] == "report_pending"
    assert code_of(town)[0] == "report_pending"
    assert len(runs_of(town)) == 1
    town.advance(hours=3)
    town.sandbox.reports.polls = 0
    assert landed_rows(town) > 20
    assert len(runs_of(town)) == 2


def test_an_answer_lost_on_the_way_does_not_make_a_second_run(town: Town) -> None:
    town.sandbox.faults.set({"path": "/v1/reporting/report_runs", "script": ["reset"]})
    assert landed_rows(town) > 20
    assert len(runs_of(town)) == 1


def test_a_sync_killed_before_the_download_finds_its_run_again(town: Town) -> None:
    town.sandbox.reports.polls = 10**6
    process = town.start_cli("--table", TABLE)
    deadline = time.monotonic() + 60
    while not (intent_of(town).exists() and json.loads(intent_of(town).read_text())["run"]):
        assert time.monotonic() < deadline, "no run was made"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (run,) = runs_of(town)
    town.sandbox.polls[run["id"]] = 1
    assert landed_rows(town) > 20
    assert len(runs_of(town)) == 1
    assert not intent_of(town).exists()


@pytest.mark.long
def test_a_sync_killed_right_after_the_request_finds_its_run_again(town: Town) -> None:
    town.sandbox.reports.polls = 10**6
    process = town.start_cli("--table", TABLE)
    deadline = time.monotonic() + 60
    while not (intent_of(town).exists() and runs_of(town)):
        assert time.monotonic() < deadline, "no run was made"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    words = json.loads(intent_of(town).read_text())
    intent_of(town).write_text(json.dumps({**words, "run": None, "made": None}))
    (run,) = runs_of(town)
    town.sandbox.polls[run["id"]] = 1
    assert landed_rows(town) > 20
    assert len(runs_of(town)) == 1


CANNOT_BE_READ = {
    "cut off in a row": (lambda body: body[:-40], "it is cut off"),
    "a comma decimal": (lambda body: body.replace(b",0.0625,", b',"0,0625",'), "column tax_rate: '0,0625' is not"),
    "a missing column": (lambda body: body.replace(b"tax_amount", b"tax", 1), "line 1: column tax_amount is missing"),
    "latin letters": (lambda body: body + b"\xff\xfe\n", "is not UTF-8"),
}


@pytest.mark.parametrize("case", CANNOT_BE_READ)
def test_a_file_that_cannot_be_right_lands_nothing_and_the_next_run_does(
    town: Town, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    change, words = CANNOT_BE_READ[case]
    spoil(town, monkeypatch, change)
    code, line = code_of(town)
    assert code == "report_unreadable"
    assert words in line
    assert ".csv: " in line
    assert not (town.lake / "stripe" / TABLE).exists()
    assert landed_rows(town) > 20


def test_a_byte_order_mark_and_another_column_do_no_harm(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(body: bytes) -> bytes:
        head, *rows = body.decode().splitlines()
        return BOM.encode() + "\n".join([f"{head},colour", *(f"{row},red" for row in rows), ""]).encode()

    spoil(town, monkeypatch, change)
    synced(town)
    assert {row["_raw"]["colour"] for row in held(town)} == {"red"}


def test_a_download_shorter_than_stripe_said_is_never_read(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "ATTEMPTS", 3)
    contents = town.sandbox.contents

    class Shorter(dict[str, bytes]):
        def __getitem__(self, name: str) -> bytes:
            return super().__getitem__(name)[:-100]

    town.sandbox.contents = Shorter(contents)
    code, line = code_of(town)
    assert (code, "truncated" in line) == ("stripe_unreachable", True)
    assert not (town.lake / "stripe" / TABLE).exists()
    town.sandbox.contents = dict(town.sandbox.contents)
    assert landed_rows(town) > 20
    assert len(runs_of(town)) == 1


def test_a_broken_connection_during_the_download_is_mended(town: Town) -> None:
    town.sandbox.faults.set({"path": "/v1/files", "script": ["truncate", "reset", "server_error"]})
    assert landed_rows(town) > 20


NO_REPORT = {
    "a key without the permission": (
        "rak_report_runs_and_report_types_read",
        "the key may not read report types (403)",
    ),
    "a key that may only look": ("rak_report_runs_and_report_types_write", "the key may not make report runs (403)"),
}


@pytest.mark.parametrize("case", NO_REPORT)
def test_a_key_that_may_not_run_reports_is_no_failure_and_the_outcome_says_so(town: Town, case: str) -> None:
    permission, words = NO_REPORT[case]
    town.sandbox.denied["us"] = {permission}
    report = synced(town)
    assert (report.rows, report.complete_until) == (0, None)
    assert report.note == f"no tax report: {words}; automatic tax comes from the invoices"
    assert report.fields()["note"] == report.note
    assert town.manifest(TABLE)["cursor"]["extra"]["note"] == report.note
    assert len(list(town.lake.glob(f"stripe/{TABLE}/account=us/*/data.parquet"))) == 1
    shown = io.StringIO()
    show_sync(Console(file=shown, width=200), only(town))
    assert f"tax_transactions: {report.note}" in shown.getvalue()
    assert shown.getvalue().count("no tax report") == 1
    town.sandbox.denied.clear()
    assert synced(town).note == ""


def test_a_sandbox_key_gets_no_report_and_a_type_that_does_not_exist_neither(make_town: MakeTown) -> None:
    assert "a sandbox key runs none" in synced(make_town(livemode=False)).note
    town = make_town()
    town.config.write_text(town.config.read_text() + '\n[tax]\nreport_type = "tax.itemized_export.9"\n')
    assert "Stripe has no report type tax.itemized_export.9" in synced(town).note


def test_columns_are_asked_for_and_a_wrong_one_is_refused_in_one_line(make_town: MakeTown) -> None:
    from redisu_pipeline.common.settings.tax import REQUIRED_COLUMNS

    town = make_town()
    synced(town)
    text = town.config.read_text()
    wanted = [*REQUIRED_COLUMNS, "tax_name"]
    town.config.write_text(f"{text}\n[tax]\nreport_columns = {wanted}\n")
    report = synced(town)  # other columns: everything is read again
    assert report.changed == report.rows
    assert runs_of(town)[-1]["parameters"]["columns"] == wanted
    town.config.write_text(f"{text}\n[tax]\nreport_columns = {[*wanted, 'colour']}\n")
    code, line = code_of(town)
    assert (code, "Invalid column" in line, "tax.report_columns" in line) == ("stripe_refused", True, True)


def test_the_webhook_services_word_ends_the_waiting(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    monkeypatch.setattr(report_runs, "FIRST_PAUSE", 50.0)
    url = f"sqlite:///{town.folder}/redisu.db"
    ensure_current(url)
    town.sandbox.reports.polls = 1
    made = datetime.fromtimestamp(town.sandbox.world.now, UTC).isoformat(sep=" ")
    with sqlite3.connect(f"{town.folder}/redisu.db") as database:
        columns = "id, account, type, object_id, created, received_at, source"
        database.execute(
            f"create trigger heard after insert on leases begin insert or ignore into events ({columns}) values "
            f"('evt_1', 'us', 'reporting.report_run.succeeded', 'frr_x', '{made}', '{made}', 'webhook'); end"
        )
    database.close()
    monkeypatch.setattr(type(town.store()), "new_id", _naming(type(town.store()).new_id))
    started = time.monotonic()
    assert landed_rows(town) > 20
    assert time.monotonic() - started < 30


def _naming(new_id: Callable[[Any, str], str]) -> Callable[[Any, str], str]:
    """The stand-in's next report run is called frr_x."""
    return lambda store, kind: "frr_x" if kind == "frr" else new_id(store, kind)


def test_a_full_sync_reads_the_whole_report_again_and_changes_nothing(town: Town) -> None:
    before = synced(town)
    report = synced(town, full=True)
    assert (report.rows, report.new, report.changed) == (before.rows, 0, 0)
    assert len(runs_of(town)) == 1  # the same words, the same run
