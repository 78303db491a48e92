"""What Stripe said: each event kept once, with the job to read its object again, in one transaction.

A job is one per object: events that come while one waits only make it due now, whatever their order and number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, case
from sqlalchemy.sql.dml import ReturningInsert

from redisu_pipeline.common.opsdb.schema import events, jobs
from webhook_service.sql import INSERTS


@dataclass(frozen=True, slots=True)
class Received:
    """An event as it is kept. ``subject`` is the Stripe id to read again because of it, None for the other types."""

    id: str
    account: str
    type: str
    object_id: str
    created: datetime
    received_at: datetime
    source: str
    subject: str | None
    payload: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A wish that an object be read again: ``subject`` is a session, a payment intent or a charge."""

    account: str
    subject: str
    reason: str
    at: datetime


def keep(connection: Connection, arrived: Sequence[Received]) -> set[str]:
    """Store what is new of ``arrived`` and ask for its objects; returns the ids that were new."""
    by_id = {event.id: event for event in arrived}
    rows = [_row(event) for _, event in sorted(by_id.items())]
    new = set(connection.execute(_keeping(connection.dialect.name), rows).scalars())
    fresh = [by_id[id] for id in new]
    wanted = {(e.account, e.subject): Asked(e.account, e.subject, e.type, e.received_at) for e in fresh if e.subject}
    ask(connection, list(wanted.values()))
    return new


def ask(connection: Connection, wanted: Sequence[Asked]) -> None:
    """Make each object's refresh due now; one that is running will run once more."""
    if not wanted:
        return
    # In one order everywhere: two processes that meet at the same objects must not lock each other out.
    rows = sorted(map(_job, wanted), key=lambda row: str(row["key"]))
    connection.execute(_asking(connection.dialect.name), rows).close()


# Statements are built once: building costs more than running. RETURNING lets SQLAlchemy send all rows as one statement;
# row by row, each would let go of the interpreter's lock and wait for it again.


@cache
def _keeping(dialect: str) -> ReturningInsert:
    return INSERTS[dialect](events).on_conflict_do_nothing(index_elements=[events.c.id]).returning(events.c.id)


@cache
def _asking(dialect: str) -> ReturningInsert:
    fresh = INSERTS[dialect](jobs)
    again = {
        "version": jobs.c.version + 1,
        "due_at": fresh.excluded.due_at,
        "state": case((jobs.c.state == "leased", "leased"), else_="due"),
        "attempts": 0,
        "reason": fresh.excluded.reason,
    }
    return fresh.on_conflict_do_update(index_elements=[jobs.c.key], set_=again).returning(jobs.c.id)


def refresh_key(account: str, subject: str) -> str:
    """The key of the one job that reads ``subject`` again."""
    return f"refresh:{account}:{subject}"


def _row(event: Received) -> dict[str, object]:
    return {
        "id": event.id,
        "account": event.account,
        "type": event.type,
        "object_id": event.object_id,
        "created": event.created,
        "received_at": event.received_at,
        "source": event.source,
        "subject": event.subject,
        "payload": event.payload,
    }


def _job(asked: Asked) -> dict[str, object]:
    return {
        "key": refresh_key(asked.account, asked.subject),
        "kind": "refresh",
        "account": asked.account,
        "subject": asked.subject,
        "reason": asked.reason,
        "state": "due",
        "due_at": asked.at,
        "version": 1,
        "attempts": 0,
        "created_at": asked.at,
    }
