"""What Stripe said: each event kept once, with the job to read its object again, in one transaction.

A job is one per object: events that come while one waits only make it due now, whatever their order and number.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from redisu_pipeline.common.opsdb.schema import events, jobs
from webhook_service.bulk import insert_rows, present


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
    if connection.dialect.name == "sqlite":
        # Nobody else writes until this transaction ends, so looking first is as good as RETURNING, and quicker.
        new = by_id.keys() - present(connection, events, "id", list(by_id))
        if new:
            insert_rows(connection, events, _rows(by_id, new), "")
    else:
        new = set(insert_rows(connection, events, _rows(by_id, by_id), "ON CONFLICT (id) DO NOTHING RETURNING id"))
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
    insert_rows(connection, jobs, rows, _AGAIN)


_AGAIN: Final = """ON CONFLICT (key) DO UPDATE SET
    version = jobs.version + 1,
    due_at = excluded.due_at,
    state = CASE WHEN jobs.state = 'leased' THEN 'leased' ELSE 'due' END,
    attempts = 0,
    reason = excluded.reason"""


def refresh_key(account: str, subject: str) -> str:
    """The key of the one job that reads ``subject`` again."""
    return f"refresh:{account}:{subject}"


def _rows(by_id: Mapping[str, Received], ids: Collection[str]) -> list[dict[str, object]]:
    return [_row(by_id[id]) for id in sorted(ids)]


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
