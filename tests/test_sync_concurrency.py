"""Two syncs of one account at once: the second says so, and no row is lost; on a local disk and on S3."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from answers import Answer
from world import MakeTown, Town

from redisu_pipeline.extract import opening
from redisu_pipeline.extract import sync as syncing
from redisu_pipeline.lake.storage import open_storage

pytest_plugins = ("stores",)


def copy_of(lake_uri: str, into: Path) -> Path:
    """A lake's files in a folder, to be read like any other."""
    storage = open_storage(lake_uri)
    for entry in storage.list(""):
        if not entry.path.startswith(".staging/"):
            blob = storage.read(entry.path)
            assert blob is not None
            target = into / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(blob.data)
    return into


@contextmanager
def a_slow_sync(town: Town) -> Iterator[Any]:
    """A sync in a process of its own that is under way and takes a while."""
    town.sandbox.faults.set({"latency": 0.4})
    town.remember_events()
    process = town.start_cli()
    while not town.asked() and process.poll() is None:
        threading.Event().wait(0.01)
    yield process
    town.sandbox.faults.set({"latency": 0.0})


def the_second_is_refused(town: Town) -> None:
    with a_slow_sync(town) as first:
        second = town.main()
        assert (second.code, second.codes) == (1, ["account_busy"])
        assert len(second.lines) == 1
        assert re.search(rf"pid {first.pid}\b", second.stderr)
    assert Answer.of(first).code == 0


def test_the_second_sync_of_an_account_says_so_and_loses_nothing(town: Town) -> None:
    the_second_is_refused(town)
    assert (town.differences(), town.unproven()) == ([], [])
    assert town.main().code == 0


def test_the_same_on_s3(make_town: MakeTown, s3_lake: str, tmp_path: Path) -> None:
    town = make_town(lake=s3_lake, checkouts=6)
    the_second_is_refused(town)
    assert town.differences(lake=copy_of(s3_lake, tmp_path / "copy")) == []


def test_a_lake_on_s3_equals_the_source_and_stays_so(make_town: MakeTown, s3_lake: str, tmp_path: Path) -> None:
    town = make_town(lake=s3_lake, checkouts=6)
    assert town.sync().problems == ()
    assert town.differences(lake=copy_of(s3_lake, tmp_path / "first")) == []
    town.advance(days=9)
    assert town.sync().problems == ()
    assert town.differences(lake=copy_of(s3_lake, tmp_path / "second")) == []
    left = [entry.path for entry in open_storage(s3_lake).list(".staging")]
    assert [path for path in left if not path.startswith(".staging/references/")] == []  # remembered for the next sync


def test_different_accounts_of_one_lake_do_not_wait_for_each_other(make_town: MakeTown) -> None:
    town = make_town(accounts=("us", "il"), checkouts=6)
    town.sandbox.faults.set({"latency": 0.2})
    town.remember_events()
    process = town.start_cli("--account", "us")
    while not town.asked() and process.poll() is None:
        threading.Event().wait(0.01)
    assert town.main("--account", "il").code == 0
    assert Answer.of(process).code == 0
    assert [town.differences(name) for name in ("us", "il")] == [[], []]


class _NoLock:
    def check(self) -> None:
        pass


@contextmanager
def no_lock(*_given: object) -> Iterator[_NoLock]:
    yield _NoLock()


def race(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two syncs that know nothing of each other (another host, a lost lease), then one alone."""
    town.sync()
    town.advance(days=4)
    monkeypatch.setattr(opening, "writer_lock", no_lock)
    reports: list[Any] = []
    both = [threading.Thread(target=lambda: reports.append(_sync_here(town))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    for report in reports:
        assert {problem.code for problem in report.problems} <= {"lost_race", "foreign_file", "lake_unusable"}
    assert len(reports) == 2
    report = town.sync()
    assert report.problems == ()


def _sync_here(town: Town) -> Any:
    return syncing.sync(town.settings, town.environ)


def test_without_any_lock_compare_and_swap_still_loses_no_row(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDISU_NOW", town.now.isoformat())
    race(town, monkeypatch)
    assert town.differences() == []


@pytest.mark.long
def test_the_same_race_on_s3(
    make_town: MakeTown, s3_lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = make_town(lake=s3_lake, checkouts=6)
    monkeypatch.setenv("REDISU_NOW", town.now.isoformat())
    race(town, monkeypatch)
    assert town.differences(lake=copy_of(s3_lake, tmp_path / "copy")) == []


@pytest.mark.long
@pytest.mark.seaweed
def test_all_of_it_on_a_real_s3_server(
    make_town: MakeTown, seaweed_lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = make_town(lake=seaweed_lake, checkouts=10)
    the_second_is_refused(town)
    town.advance(days=5)
    monkeypatch.setenv("REDISU_NOW", town.now.isoformat())
    race(town, monkeypatch)
    assert town.differences(lake=copy_of(seaweed_lake, tmp_path / "copy")) == []
