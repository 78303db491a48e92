"""Keeping events and asking for their objects, in bulk, on both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, update
from sqlalchemy.exc import DBAPIError

from redisu_pipeline.common.opsdb.engine import open_engine
from redisu_pipeline.common.opsdb.migrate import ensure_current
from redisu_pipeline.common.opsdb.schema import events, jobs
from webhook_service.bulk import insert_rows
from webhook_service.inbox import Received, keep

pytest_plugins = ("stores",)

NOW = datetime(2026, 11, 3, 6, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    sqlite = f"sqlite:///{tmp_path}/redisu.db"
    url = sqlite if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))
    ensure_current(url)
    made = open_engine(url)
    yield made
    made.dispose()


def event(number: int, subject: str | None = None, at: datetime = NOW) -> Received:
    return Received(
        id=f"evt_{number}",
        account="us",
        type="charge.refunded" if subject else "invoice.finalized",
        object_id=f"in_{number}",
        created=at.replace(microsecond=0),
        received_at=at,
        source="webhook",
        subject=subject,
        payload=b'{"\xc3\xa9": "?%s$1"}',
    )


def kept(engine: Engine, *arrived: Received) -> set[str]:
    with engine.begin() as connection:
        return keep(connection, arrived)


def test_only_what_is_new_is_kept_and_everything_of_it(engine: Engine) -> None:
    first = [event(number) for number in range(40)]
    assert kept(engine, *first, first[7]) == {f"evt_{number}" for number in range(40)}
    assert kept(engine, *first) == set()
    assert kept(engine, event(3), event(40)) == {"evt_40"}
    with engine.connect() as connection:
        rows = connection.execute(select(events).order_by(events.c.id)).mappings().all()
    assert len(rows) == 41
    assert Received(**rows[0]) == event(0)


def test_one_job_an_object_however_many_events_and_a_running_one_runs_once_more(engine: Engine) -> None:
    later = NOW + timedelta(minutes=1)
    kept(engine, event(1, "pi_1"), event(2, "pi_1"), event(3, "pi_2"), event(4))
    with engine.begin() as connection:
        connection.execute(update(jobs).where(jobs.c.subject == "pi_1").values(state="leased", attempts=3))
        connection.execute(update(jobs).where(jobs.c.subject == "pi_2").values(state="done"))
    kept(engine, event(5, "pi_1", later), event(6, "pi_2", later), event(1, "pi_1", later))
    names = ("subject", "state", "version", "attempts", "due_at", "created_at")
    with engine.connect() as connection:
        rows = connection.execute(select(*(jobs.c[name] for name in names)).order_by(jobs.c.subject)).all()
    assert [tuple(row) for row in rows] == [
        ("pi_1", "leased", 2, 0, later, NOW),
        ("pi_2", "due", 2, 0, later, NOW),
    ]


def test_what_the_database_refuses_is_a_failure_that_callers_know(engine: Engine) -> None:
    with pytest.raises(DBAPIError), engine.begin() as connection:
        insert_rows(connection, jobs, ("key", "kind"), [("refresh:us:cs_1", None)], "")
    assert kept(engine, event(1)) == {"evt_1"}


def test_the_events_of_a_long_outage_are_more_than_one_statement_takes(engine: Engine) -> None:
    """PostgreSQL takes 65,535 values in a statement; a sweep finds all events of a month at once."""
    missed = [event(number, f"pi_{number}") for number in range(7_300)]
    assert len(kept(engine, *missed, missed[0])) == 7_300
    assert kept(engine, *missed, event(7_300, "pi_1")) == {"evt_7300"}
    with engine.connect() as connection:
        versions = connection.execute(select(jobs.c.version).where(jobs.c.subject.in_(("pi_0", "pi_1")))).scalars()
        assert sorted(versions) == [1, 2]
        assert connection.execute(select(func.count()).select_from(jobs)).scalar() == 7_300


def test_nothing_of_a_batch_is_kept_when_its_transaction_is_given_up(engine: Engine) -> None:
    with engine.connect() as connection:
        keep(connection, [event(1, "pi_1")])
        connection.rollback()
    assert kept(engine, event(1, "pi_1")) == {"evt_1"}
