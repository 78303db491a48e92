"""A sync that is killed or stopped at any moment: readers see a right lake, and the next sync completes it."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from answers import Answer
from world import MakeTown, Town, add_lines

from redisu_pipeline.extract import reader
from redisu_pipeline.extract.reader import Interrupted
from redisu_pipeline.lake.commit import Commit
from redisu_pipeline.tables.registry import TABLES

KILL_AT = """
import os, signal, sys
from redisu_pipeline.lake import local_storage
from redisu_pipeline.cli import main
left = int(sys.argv.pop(1))
def counted(name):
    real = getattr(local_storage.LocalStorage, name)
    def step(self, path, *given, **named):
        global left
        if name == "publish" or not str(path).startswith(".staging/pages"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return real(self, path, *given, **named)
    setattr(local_storage.LocalStorage, name, step)
for name in ("publish", "delete", "copy"):
    counted(name)
main(["sync", *sys.argv[1:]])
"""
KILLED = -signal.SIGKILL


def read_by_everybody(lake: Path) -> None:
    """Every table that exists reads without duplicates in pandas, DuckDB and Polars."""
    for name in TABLES:
        folder = lake / "stripe" / name
        if not list(folder.glob("**/*.parquet")):
            continue
        found = pd.read_parquet(folder, columns=["account", "id"])
        assert not found.duplicated().any(), name
        query = f"SELECT count(*), count(DISTINCT (account, id)) FROM read_parquet('{folder}/**/*.parquet')"
        rows, distinct = duckdb.execute(query).fetchone() or (0, 0)
        assert rows == distinct, name
        assert not in_polars(f"{folder}/**/*.parquet").is_duplicated().any(), name


def in_polars(files: str) -> pl.DataFrame:
    """Read as Polars does, which looks at a file and opens it in two steps.

    A file that is replaced just in between it refuses, loudly: then it is asked again, as a person would. No reader is
    ever given wrong rows for that.
    """
    for _ in range(2):
        with contextlib.suppress(pl.exceptions.ComputeError, pl.exceptions.PanicException):
            return pl.read_parquet(files, columns=["account", "id"])
    return pl.read_parquet(files, columns=["account", "id"])


def left_over(town: Town) -> list[str]:
    """Files under .staging that a finished sync should have taken away; what it remembers for the next one stays."""
    staging = town.lake / ".staging"
    files = [one for one in staging.rglob("*") if one.is_file() and one.name not in (".gate", ".held")]
    return [str(one) for one in files if one.parent.name != "references"]


def every_file_is_whole(town: Town) -> None:
    for file in town.lake.rglob("*.parquet"):
        pq.ParquetFile(file).close()


@contextmanager
def reading_all_the_while(lake: Path) -> Iterator[None]:
    """Read the lake again and again in a thread; whatever a reader met is raised at the end."""
    over, faults = threading.Event(), []

    def read() -> None:
        while not over.wait(1):
            try:
                read_by_everybody(lake)
            except BaseException as fault:  # noqa: BLE001  (raised below)
                faults.append(fault)
                return

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        over.set()
        reader.join()
    for fault in faults:
        raise fault


def wait_for_requests(town: Town, process: subprocess.Popen[str], count: int) -> None:
    deadline = time.monotonic() + 300
    while town.asked() < count and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def kill_somewhere(town: Town, chance: random.Random, most: int, *arguments: str) -> int:
    """Start a sync, kill it after a random number of requests and a little while; its exit code."""
    town.forget_requests()
    process = town.start_cli(*arguments)
    wait_for_requests(town, process, chance.randrange(1, most))
    time.sleep(chance.choice((0, 0, 0.02, 0.1, 0.3)))
    process.kill()
    return Answer.of(process).code


def a_town_of_many_pages(make_town: MakeTown) -> Town:
    town = make_town(checkouts=10, start=date(2026, 3, 1))
    add_lines(town.store(), "invoice", 40)
    town.sandbox.faults.set({"page_cap": 5})
    return town


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_sync_killed_at_random_moments_is_completed_by_the_next(make_town: MakeTown, seed: int) -> None:
    town, chance = a_town_of_many_pages(make_town), random.Random(seed)
    codes = []
    for _ in range(2):
        codes.append(kill_somewhere(town, chance, 120))
        read_by_everybody(town.lake)
        every_file_is_whole(town)
        town.advance(hours=chance.randrange(1, 7))
    assert KILLED in codes
    assert town.sync().problems == ()
    assert (town.differences(), town.unproven()) == ([], [])
    assert left_over(town) == []
    every_file_is_whole(town)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_fifty_kills_lose_nothing_while_readers_read(make_town: MakeTown) -> None:
    town, chance = a_town_of_many_pages(make_town), random.Random(50)
    killed = 0
    with reading_all_the_while(town.lake):
        while killed < 50:
            if kill_somewhere(town, chance, 110, "--full") != KILLED:
                continue
            killed += 1
            town.advance(hours=chance.randrange(0, 30))
            if killed % 10 == 0:
                assert town.sync().problems == ()
                assert (town.differences(), town.unproven()) == ([], [])
    assert town.sync().problems == ()
    assert (town.differences(), town.unproven()) == ([], [])
    assert left_over(town) == []


def kill_at_step(town: Town, step: int, *arguments: str) -> int:
    return Answer.of(town.start_cli(*arguments, command=[sys.executable, "-c", KILL_AT, str(step)])).code


@pytest.mark.parametrize("step", [8, *(pytest.param(n, marks=pytest.mark.long) for n in (3, 5, 6, 10))])
def test_two_crashes_between_files_and_manifests_are_completed(make_town: MakeTown, step: int) -> None:
    """The second crash comes after new rows: the first one's files must still count as ours."""
    town = make_town(checkouts=8)
    town.sync(tables=["invoices", "tax_rates"])
    for days in (2, 3):
        town.advance(days=days)
        assert kill_at_step(town, step, "--table", "invoices") == KILLED
        read_by_everybody(town.lake)
    town.advance(days=2)  # too long ago for the pages that were read
    assert town.sync(tables=["invoices", "tax_rates"]).problems == ()
    assert town.differences(only=["events", "invoices", "invoice_lines", "invoice_taxes"]) == []
    assert left_over(town) == []


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("hours", [1, 30])
def test_a_crash_at_every_step_of_the_landing_is_completed(make_town: MakeTown, hours: int) -> None:
    town = make_town(checkouts=8)
    for step in range(1 + hours % 2, 60, 2):  # odd steps in one case, even ones in the other
        code = kill_at_step(town, step)
        read_by_everybody(town.lake)
        every_file_is_whole(town)
        town.advance(hours=hours)
        if step % 6 == 0 or code != KILLED:
            assert town.sync().problems == ()
            assert (town.differences(), town.unproven()) == ([], [])
            assert left_over(town) == []


def test_a_resumed_sync_asks_for_less_than_a_whole_one(make_town: MakeTown) -> None:
    town = a_town_of_many_pages(make_town)
    town.sandbox.faults.set({"page_cap": 1, "latency": 0.02})
    process = town.start_cli("--table", "checkout_sessions")
    wait_for_requests(town, process, 40)
    process.kill()
    assert Answer.of(process).code == KILLED
    kept = len(list((town.lake / ".staging/pages/us").rglob("*.page")))
    assert kept > 10
    town.sandbox.faults.set({"latency": 0.0})
    town.forget_requests()
    town.sync(tables=["checkout_sessions"])
    resumed = town.asked()
    town.forget_requests()
    town.sync(tables=["checkout_sessions"], full=True)
    whole = town.asked()
    assert resumed < whole
    assert town.differences(only=["checkout_sessions"]) == []


def test_what_changed_between_a_crash_and_the_next_run_is_noticed(make_town: MakeTown) -> None:
    town = make_town(checkouts=15)
    town.sandbox.world.advance(town.now.replace(hour=23, minute=30) + timedelta(days=5))
    town.sandbox.faults.set({"page_cap": 4, "latency": 0.01})
    process = town.start_cli()
    wait_for_requests(town, process, 120)
    process.kill()
    Answer.of(process)
    town.advance(hours=14)  # past midnight: funds come free, sessions expire, sales are refunded
    town.sandbox.faults.set({"latency": 0.0})
    assert town.sync().problems == ()
    assert town.differences() == []


def test_a_resumed_full_sync_does_not_ask_for_each_object_by_itself(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.sync()
    town.sandbox.faults.set({"page_cap": 2})
    stop = threading.Event()
    real = reader.Reader.get
    asked = []

    def stops_in_the_middle(self: object, *given: object) -> object:
        asked.append(given)
        if len(asked) == 60:
            stop.set()
        return real(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(reader.Reader, "get", stops_in_the_middle)
    report = town.sync(full=True, stop=stop)
    assert [problem.code for problem in report.problems] == ["interrupted"]
    monkeypatch.undo()
    town.sandbox.faults.set({"page_cap": 0})
    town.forget_requests()
    assert town.sync(full=True).problems == ()
    single = [
        line for line in town.requests() if line.split()[1].count("/") > 3 and "_" in line.split()[1].split("/")[-1]
    ]
    assert len(single) < 5
    assert town.differences() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_stops_cleanly_and_goes_on_the_next_time(make_town: MakeTown, number: int) -> None:
    town = a_town_of_many_pages(make_town)
    town.sandbox.faults.set({"page_cap": 1, "latency": 0.02})
    process = town.start_cli()
    wait_for_requests(town, process, 30)
    process.send_signal(number)
    answer = Answer.of(process)
    assert (answer.code, answer.codes) == (1, ["interrupted"])
    assert len(answer.lines) == 1
    read_by_everybody(town.lake)
    town.sandbox.faults.set({"page_cap": 0, "latency": 0.0})
    assert town.sync().problems == ()
    assert (town.differences(), left_over(town)) == ([], [])


def test_what_an_unfinished_sync_found_undocumented_is_still_reported(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge = town.store().all("charge")[-1]
    town.store().change("charge", charge["id"], status="teleported")
    monkeypatch.setattr(Commit, "land", _interrupted)
    assert town.sync(tables=["charges"]).accounts["us"].tables == {}
    monkeypatch.undo()
    report = town.sync(tables=["charges"])
    assert [problem.code for problem in report.problems] == ["unknown_value"]


def _interrupted(*_given: object) -> None:
    raise Interrupted
