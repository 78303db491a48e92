"""The queue in the database: claiming, leases, finishing. What a job does is elsewhere.

A lease expires by time, so the jobs of a process that died are taken over; one that was taken over finds out when it
finishes (its token is gone), and what it found is thrown away.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, exists, or_, select, update

from redisu_pipeline.common.opsdb.schema import UTCDateTime, jobs

LEASE: Final = timedelta(seconds=45)
"""Longer than the calls of a job can take: three to Stripe of at most 8 s, or one to FlockJay of 15 s."""


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. ``subject`` is Stripe's id (refresh) or FlockJay's course (unlock)."""

    id: int
    key: str
    kind: str
    account: str
    subject: str
    order_id: str | None
    learner: str | None
    action: str | None
    sequence: int
    reason: str
    token: str
    version: int
    attempts: int
    created_at: datetime
    due_at: datetime


def claim_refresh(connection: Connection, now: datetime, key: str | None = None) -> Job | None:
    """Lease the refresh that is longest due, or the one called ``key`` whenever it is due."""
    if key is None:
        return _claim(connection, _NEXT_REFRESH, {"now": now})
    return _claim(connection, _THIS_REFRESH, {"now": now, "key": key})


def claim_unlock(connection: Connection, now: datetime, *, probe: bool) -> Job | None:
    """Lease the unlock that is longest due (a probe takes one that still waits, too).

    Never while another change of the same learner and course is under way: the later wish must be the last call.
    """
    return _claim(connection, _PROBE_UNLOCK if probe else _NEXT_UNLOCK, {"now": now})


# Statements are built once: building costs more than running.
_NOW: Final = bindparam("now", type_=UTCDateTime())
_abandoned = and_(jobs.c.state == "leased", jobs.c.lease_until <= _NOW)
_waiting = or_(jobs.c.state == "due", _abandoned)
_ready = or_(and_(jobs.c.state == "due", jobs.c.due_at <= _NOW), _abandoned)
_other = jobs.alias()
_busy = exists().where(
    _other.c.kind == "unlock",
    _other.c.learner == jobs.c.learner,
    _other.c.subject == jobs.c.subject,
    _other.c.id != jobs.c.id,
    _other.c.state == "leased",
    _other.c.lease_until > _NOW,
)


def _longest_due(*wanted: ColumnElement[bool]) -> Select:
    return select(jobs.c.id).where(*wanted).order_by(jobs.c.due_at).limit(1).with_for_update(skip_locked=True)


_NEXT_REFRESH: Final = _longest_due(jobs.c.kind == "refresh", _ready)
_THIS_REFRESH: Final = _longest_due(jobs.c.kind == "refresh", jobs.c.key == bindparam("key"), _waiting)
_NEXT_UNLOCK: Final = _longest_due(jobs.c.kind == "unlock", _ready, ~_busy)
_PROBE_UNLOCK: Final = _longest_due(jobs.c.kind == "unlock", _waiting, ~_busy)
_names: Final = tuple(name for name in Job.__slots__ if name != "token")
_TAKE: Final = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(state="leased", lease_until=bindparam("until", type_=UTCDateTime()), lease_token=bindparam("token"))
    .returning(*(jobs.c[name] for name in _names))
)


def _claim(connection: Connection, statement: Select, parameters: dict[str, object]) -> Job | None:
    # Two steps: inside one UPDATE PostgreSQL may evaluate the locking select again and lease two.
    id = connection.execute(statement, parameters).scalar()
    if id is None:
        return None
    now, token = parameters["now"], secrets.token_hex(16)
    assert isinstance(now, datetime)
    row: Any = connection.execute(_TAKE, {"job": id, "until": now + LEASE, "token": token}).mappings().one()
    return Job(token=token, **row)


def is_ours(connection: Connection, job: Job) -> bool:
    """Whether the lease is still ours; holds the row until the transaction ends."""
    held = select(jobs.c.id).where(jobs.c.id == job.id, jobs.c.lease_token == job.token, jobs.c.state == "leased")
    return connection.execute(held.with_for_update()).first() is not None


def finish(connection: Connection, job: Job, now: datetime, state: str = "done", error: str | None = None) -> None:
    """End a leased job as done, dead or superseded; a refresh that was asked for again meanwhile is due at once."""
    ours = and_(jobs.c.id == job.id, jobs.c.lease_token == job.token)
    free = {"lease_token": None, "lease_until": None}
    again = update(jobs).where(ours, jobs.c.version != job.version)
    if connection.execute(again.values(state="due", due_at=now, attempts=0, **free)).rowcount:
        return
    connection.execute(update(jobs).where(ours).values(state=state, done_at=now, last_error=error, **free))


def postpone(connection: Connection, job: Job, due_at: datetime, error: str, attempts: int) -> None:
    """Give a leased job back, due at ``due_at`` with ``attempts`` spent; at once when it was asked for again."""
    ours = and_(jobs.c.id == job.id, jobs.c.lease_token == job.token)
    free = {"lease_token": None, "lease_until": None, "last_error": error, "state": "due"}
    connection.execute(update(jobs).where(ours).values(due_at=due_at, attempts=attempts, **free))


def release_all(connection: Connection, now: datetime) -> int:
    """Free every lease: for the one process of a SQLite database, at its start, when all holders are dead."""
    freed = update(jobs).where(jobs.c.state == "leased").values(state="due", due_at=now, lease_token=None)
    return connection.execute(freed).rowcount
