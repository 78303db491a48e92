"""The writer's connection and SQLite's checkpoints: what a burst does to the log, and a server that went away."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import OperationalError

from redisu_pipeline.common.opsdb.schema import events
from webhook_service import checkpoints
from webhook_service.database import Database, Unavailable
from webhook_service.inbox import Asked, Received, ask
from webhook_service.jobs import LEASE, claim_refresh

pytest_plugins = ("stores",)

MOST = 20_000
NOW = datetime(2026, 11, 3, 6, tzinfo=UTC)


def event(number: int, size: int = 2) -> Received:
    at = NOW + timedelta(microseconds=number)
    return Received(f"evt_{number}", "us", "invoice.paid", f"in_{number}", NOW, at, "webhook", None, b"x" * size)


def count(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(events)).scalar_one())


def test_the_log_starts_anew_though_commits_never_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "LONGEST_SECONDS", 0.01)
    monkeypatch.setattr(checkpoints, "SHORTEST_SECONDS", 0.01)
    monkeypatch.setattr(checkpoints, "_FEW_PAGES", 50)
    database = Database(f"sqlite:///{tmp_path}/redisu.db")
    log = tmp_path / "redisu.db-wal"

    def starts() -> int:
        """How often the log has started (its header's checkpoint sequence: sqlite.org/fileformat2.html, 4.1)."""
        if not log.exists():
            return 0
        with log.open("rb") as file:
            return int.from_bytes(file.read(16)[12:], "big")

    async def store() -> int:
        before, number = starts(), 0
        while starts() < before + 5 and number < MOST:
            await asyncio.gather(*(database.store(event(number + more)) for more in range(4)))
            number += 4
        return number

    stored = asyncio.run(store())
    assert stored < MOST
    assert count(database) == stored
    database.close()


def test_a_failed_commit_does_not_spoil_the_next(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/redisu.db")

    def fails(connection: Connection) -> None:
        connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    with pytest.raises(OperationalError):
        database.write(fails)
    assert asyncio.run(database.store(event(1)))
    assert not asyncio.run(database.store(event(1)))
    database.close()
    with pytest.raises(Unavailable):
        asyncio.run(database.store(event(2)))


def test_a_fault_of_ours_is_told_to_everybody_who_waits_and_the_writer_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead writer would leave every webhook without an answer, while /healthz says that all is well."""
    database = Database(f"sqlite:///{tmp_path}/redisu.db")

    async def both() -> list[bool | BaseException]:
        stored = [asyncio.ensure_future(database.store(event(number))) for number in (1, 2)]
        return await asyncio.wait_for(asyncio.gather(*stored, return_exceptions=True), 10)

    with monkeypatch.context() as faulty:
        faulty.setattr("webhook_service.database.keep", lambda *_: 1 // 0)
        blocked = threading.Event()
        holding = threading.Thread(target=lambda: database.write(lambda _: blocked.wait(10)))
        holding.start()  # so that both come into one commit
        threading.Timer(0.2, blocked.set).start()
        told = asyncio.run(both())
        holding.join()
    assert [type(one) for one in told] == [Unavailable, Unavailable]
    assert asyncio.run(database.store(event(3)))
    database.close()


def test_events_are_stored_though_the_server_ended_the_writers_connection(postgres_url: str) -> None:
    database = Database(postgres_url)

    assert asyncio.run(database.store(event(1)))
    with database.engine.connect() as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        connection.execute(text(f"{others} AND pid <> pg_backend_pid()"))
    assert asyncio.run(database.store(event(2)))
    assert count(database) == 2
    database.close()


def test_an_abandoned_refresh_is_taken_over_before_those_that_wait(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/redisu.db")

    def asked(subject: str, at: datetime) -> None:
        database.write(lambda connection: ask(connection, [Asked("us", subject, "sweep", at)]))

    def claimed(at: datetime) -> str | None:
        job = database.write(lambda connection: claim_refresh(connection, at))
        return job and job.subject

    asked("cs_abandoned", NOW)
    assert claimed(NOW) == "cs_abandoned"
    asked("cs_waiting", NOW - timedelta(hours=1))
    asked("cs_later", NOW + timedelta(hours=1))
    assert [claimed(NOW + LEASE) for _ in range(3)] == ["cs_abandoned", "cs_waiting", None]
    database.close()
