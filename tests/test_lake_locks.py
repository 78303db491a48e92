"""One writer per account and table, among processes and hosts (a host here: a process with its own TMPDIR)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from redisu_pipeline.common.opsdb import leases as leasing
from redisu_pipeline.common.opsdb.engine import open_engine
from redisu_pipeline.common.opsdb.schema import leases
from redisu_pipeline.common.problems import ConfigurationError, Failed
from redisu_pipeline.lake import locks
from redisu_pipeline.lake.locks import Pace, writer_lock

NOW = datetime(2026, 11, 3, 6, 0, tzinfo=UTC)
QUICK = Pace(beat=0.1, ttl=0.6)
REMOTE = "s3://bucket/lake"

HOLD = """
import sys
from datetime import datetime, UTC
from redisu_pipeline.common.problems import Failed
from redisu_pipeline.lake.locks import Pace, writer_lock
lake, database, account, tables, beat, ttl = sys.argv[1:]
pace = Pace(float(beat), float(ttl))
with writer_lock(lake, account, tables.split(","), database, datetime(2026, 11, 3, 6, tzinfo=UTC), pace) as lock:
    print("held", flush=True)
    for line in sys.stdin:
        try:
            lock.check()
            print("ours", flush=True)
        except Failed as refusal:
            print(refusal, flush=True)
"""


class Holder:
    """Another process that holds the lock; ``ask`` lets it check."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout.readline() == "held\n"

    def ask(self) -> str:
        self.process.stdin.write("check\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def send(self, number: int) -> None:
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ops/redisu.db"


@pytest.fixture
def lake(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


@pytest.fixture
def holding(database: str, tmp_path: Path) -> Iterator[Callable[..., Holder]]:
    with ExitStack() as stack:

        def hold(lake: str, tables: str = "charges", account: str = "us", pace: Pace = locks.PACE) -> Holder:
            other_host = tmp_path / f"tmp-{len(tables)}"
            other_host.mkdir(exist_ok=True)
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", HOLD, lake, database, account, tables, str(pace.beat), str(pace.ttl)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=os.environ | {"TMPDIR": str(other_host)},
                )
            )
            stack.callback(process.kill)
            return Holder(process)

        yield hold


def take(lake: str, database: str, tables: str = "charges", account: str = "us", pace: Pace = locks.PACE):
    return writer_lock(lake, account, tables.split(","), database, NOW, pace)


def seconds_to_take(lake: str, database: str, pace: Pace = locks.PACE) -> float:
    start = time.monotonic()
    with take(lake, database, pace=pace) as lock:
        lock.check()
        return time.monotonic() - start


def let_leases_be_silent_for(database: str, seconds: float) -> None:
    engine = open_engine(database)
    with engine.begin() as connection:
        row = connection.execute(leases.select()).mappings().first()
        connection.execute(leases.update().values(beaten_at=row["beaten_at"] - timedelta(seconds=seconds)))
    engine.dispose()


def test_a_second_sync_of_the_account_is_refused_at_once_and_told_by_whom(lake, database, holding):
    other = holding(lake)
    start = time.monotonic()
    with pytest.raises(Failed) as caught, take(lake, database, "refunds,charges"):
        pass
    assert time.monotonic() - start < 8
    line = str(caught.value)
    assert line.startswith("account us: charges is being synced by host ")
    assert f"pid {other.process.pid} since 2026-11-03T06:00:00+00:00" in line
    assert "\n" not in line
    assert caught.value.exit_code == 1
    assert other.ask() == "ours"


def test_a_refused_sync_keeps_none_of_the_locks_it_got_first(lake, database):
    with take(lake, database, "refunds"):
        with pytest.raises(Failed, match="refunds"), take(lake, database, "charges,refunds,zebra"):
            pass
        with take(lake, database, "charges,zebra") as lock:
            lock.check()


def test_other_tables_other_accounts_and_other_lakes_are_written_at_the_same_time(lake, database, tmp_path):
    with (
        take(lake, database, "charges") as one,
        take(lake, database, "refunds,netsuite/journal_lines") as two,
        take(lake, database, "charges", account="il") as three,
        take(str(tmp_path / "other"), database, "charges") as four,
        take(REMOTE, database, "charges") as five,
    ):
        for lock in (one, two, three, four, five):
            lock.check()


def test_the_lock_is_free_as_soon_as_its_holder_is_done_or_has_failed(lake, database):
    with take(lake, database):
        pass
    with pytest.raises(ZeroDivisionError), take(lake, database):
        1 / 0  # noqa: B018
    assert seconds_to_take(lake, database) < 8


@pytest.mark.parametrize("place", ["local", "remote"])
def test_after_kill_9_on_this_host_nobody_waits_for_the_lease(place, lake, database, holding, monkeypatch, tmp_path):
    uri = lake if place == "local" else REMOTE
    other = holding(uri)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp-7"))  # the same host: the same folder of lock files
    other.send(signal.SIGKILL)
    assert seconds_to_take(uri, database) < 8


def test_a_beating_lease_of_another_host_refuses_at_once(database, holding):
    other = holding(REMOTE)
    start = time.monotonic()
    with pytest.raises(Failed, match=f"charges is being synced by host .* pid {other.process.pid} since"):
        seconds_to_take(REMOTE, database)
    assert time.monotonic() - start < 8


def test_a_silent_lease_of_another_host_is_waited_out_and_taken(database, holding):
    holding(REMOTE).send(signal.SIGKILL)
    let_leases_be_silent_for(database, 13)
    assert 0.2 < seconds_to_take(REMOTE, database) < 8


def test_a_lease_that_beats_again_while_waited_for_is_its_holders(database, holding):
    other = holding(REMOTE, pace=Pace(beat=0.2, ttl=60))
    other.send(signal.SIGSTOP)
    let_leases_be_silent_for(database, 56)
    timer = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -CONT {other.process.pid}"])
    with pytest.raises(Failed, match="is being synced"):
        seconds_to_take(REMOTE, database, Pace(beat=1, ttl=60))
    timer.wait()
    assert other.ask() == "ours"


def test_a_suspended_holder_learns_before_its_next_commit_that_it_lost_the_lease(database, holding):
    other = holding(REMOTE, pace=QUICK)
    other.send(signal.SIGSTOP)
    let_leases_be_silent_for(database, 0.5)
    with take(REMOTE, database, pace=QUICK) as lock:
        other.send(signal.SIGCONT)
        assert other.ask().startswith("account us: lost its lease")
        lock.check()


def test_a_database_out_of_reach_for_the_length_of_a_lease_loses_it(lake, database, monkeypatch):
    def unreachable(*_: object) -> int:
        raise OperationalError("UPDATE", {}, Exception("connection refused\nsecond line"))

    with take(lake, database, pace=Pace(beat=0.02, ttl=0.05)) as lock:
        monkeypatch.setattr(leasing, "beat", unreachable)
        with pytest.raises(Failed, match="connection refused"):
            lock.check()
        assert lock._lost.wait(60)
        with pytest.raises(Failed, match="lost its lease"):
            lock.check()


def test_a_heartbeat_in_the_background_keeps_the_lease_over_its_length(database, holding):
    other = holding(REMOTE, pace=Pace(beat=0.1, ttl=1))
    deadline = time.monotonic() + 1.2
    while time.monotonic() < deadline:
        with pytest.raises(Failed, match="is being synced"):
            seconds_to_take(REMOTE, database, Pace(beat=0.6, ttl=1))
    assert other.ask() == "ours"


def test_syncs_that_want_overlapping_tables_in_opposite_order_never_block_each_other(database, tmp_path):
    """Each of three processes takes and gives back; whoever is refused tries again, and all come through."""
    code = (
        "import sys, time\nfrom datetime import datetime, UTC\nfrom redisu_pipeline.common.problems import Failed\n"
        "from redisu_pipeline.lake.locks import writer_lock\n"
        "done = 0\nwhile done < 3:\n"
        "    try:\n"
        "        with writer_lock(sys.argv[1], 'us', sys.argv[3:], sys.argv[2], datetime.now(UTC)) as lock:\n"
        "            lock.check(); done += 1\n"
        "    except Failed as refusal:\n"
        "        assert refusal.problems[0].code == 'account_busy', refusal\n"
        "        time.sleep(0.01)\n"
    )
    orders = [["a", "b", "c"], ["c", "b"], ["b", "a"]]
    syncs = [
        subprocess.Popen(
            [sys.executable, "-c", code, REMOTE, database, *order], env=os.environ | {"TMPDIR": str(tmp_path)}
        )
        for order in orders
    ]
    assert [sync.wait(300) for sync in syncs] == [0, 0, 0]


def test_a_lake_where_no_lock_can_be_made_is_refused_in_one_line(tmp_path, database):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="is not a folder") as caught, take(str(tmp_path / "file"), database):
        pass
    assert "\n" not in str(caught.value)
