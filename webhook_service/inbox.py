"""What Stripe said: each event kept once, with the job to read its object again, in one transaction.

A job is one per object: events that come while one waits only make it due now, whatever their order and number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from redisu_pipeline.common.opsdb.schema import events, jobs
from webhook_service.bulk import insert_rows, present


class Received(msgspec.Struct, frozen=True):
    """An event as it is kept: the columns of ``events``, in this order.

    ``subject`` is the Stripe id to read again because of it, None for the other types.
    """

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


AT_ONCE: Final = 1000
"""Rows of one statement: PostgreSQL takes 65,535 values in one, and a sweep after a long outage finds more events."""


def keep(connection: Connection, arrived: Sequence[Received]) -> set[str]:
    """Store what is new of ``arrived`` and ask for its objects; returns the ids that were new."""
    # In one order everywhere: two processes that meet at the same events must not lock each other out.
    by_id = {event.id: event for event in sorted(arrived, key=lambda event: event.id)}
    ids, new = list(by_id), set[str]()
    for start in range(0, len(ids), AT_ONCE):
        new |= _insert_new(connection, [by_id[id] for id in ids[start : start + AT_ONCE]])
    fresh = [event for event in by_id.values() if event.subject and event.id in new]
    wanted = {(e.account, e.subject): Asked(e.account, e.subject, e.type, e.received_at) for e in fresh if e.subject}
    ask(connection, list(wanted.values()))
    return new


def _insert_new(connection: Connection, some: Sequence[Received]) -> set[str]:
    rows, ids = [msgspec.structs.astuple(event) for event in some], [event.id for event in some]
    if connection.dialect.name != "sqlite":
        return set(insert_rows(connection, events, _EVENT, rows, "ON CONFLICT (id) DO NOTHING RETURNING id"))
    try:
        # Nearly always all are new; RETURNING would fetch them one by one.
        insert_rows(connection, events, _EVENT, rows, "")
    except IntegrityError:
        # Nothing of the statement stayed, and nobody else writes until this transaction ends: so look, then insert.
        known = present(connection, events, "id", ids)
        if len(known) < len(rows):
            insert_rows(connection, events, _EVENT, [row for row in rows if row[0] not in known], "")
        return set(ids) - known
    return set(ids)


def ask(connection: Connection, wanted: Sequence[Asked]) -> None:
    """Make each object's refresh due now; one that is running will run once more."""
    # In one order everywhere: two processes that meet at the same objects must not lock each other out.
    rows = sorted(map(_job, wanted))
    for start in range(0, len(rows), AT_ONCE):
        insert_rows(connection, jobs, _JOB, rows[start : start + AT_ONCE], _AGAIN)


_AGAIN: Final = """ON CONFLICT (key) DO UPDATE SET
    version = jobs.version + 1,
    due_at = excluded.due_at,
    state = CASE WHEN jobs.state = 'leased' THEN 'leased' ELSE 'due' END,
    attempts = 0,
    reason = excluded.reason"""


def refresh_key(account: str, subject: str) -> str:
    """The key of the one job that reads ``subject`` again."""
    return f"refresh:{account}:{subject}"


_EVENT: Final = Received.__struct_fields__
_JOB: Final = ("key", "kind", "account", "subject", "reason", "state", "due_at", "version", "attempts", "created_at")


def _job(asked: Asked) -> tuple[object, ...]:
    key = refresh_key(asked.account, asked.subject)
    return (key, "refresh", asked.account, asked.subject, asked.reason, "due", asked.at, 1, 0, asked.at)
