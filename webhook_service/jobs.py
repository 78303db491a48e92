"""The queue in the database: claiming, leases, finishing. What a job does is elsewhere.

A lease expires by time, so the jobs of a process that died are taken over; one that was taken over finds out when it
finishes (its token is gone), and what it found is thrown away.
"""

import secrets
from collections.abc import Sequence
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
    return _claim(connection, (_THIS_REFRESH,), {"now": now, "key": key})


def claim_unlock(connection: Connection, now: datetime, *, probe: bool) -> Job | None:
    """Lease the unlock that is longest due (a probe takes one that still waits, too).

    Never while another change of the same learner and course is under way: the later wish must be the last call.
    """
    return _claim(connection, _PROBE_UNLOCK if probe else _NEXT_UNLOCK, {"now": now})


# Statements are built once: building costs more than running.
_NOW: Final = bindparam("now", type_=UTCDateTime())
_abandoned = and_(jobs.c.state == "leased", jobs.c.lease_until <= _NOW)
_waiting = or_(jobs.c.state == "due", _abandoned)
_ready = and_(jobs.c.state == "due", jobs.c.due_at <= _NOW)
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


# What was abandoned comes first, by a look of its own: with "or", a claim would read all jobs that there ever were.
_NEXT_REFRESH: Final = tuple(_longest_due(jobs.c.kind == "refresh", which) for which in (_abandoned, _ready))
_THIS_REFRESH: Final = _longest_due(jobs.c.kind == "refresh", jobs.c.key == bindparam("key"), _waiting)
_NEXT_UNLOCK: Final = tuple(_longest_due(jobs.c.kind == "unlock", which, ~_busy) for which in (_abandoned, _ready))
_PROBE_UNLOCK: Final = tuple(
    _longest_due(jobs.c.kind == "unlock", which, ~_busy) for which in (_abandoned, jobs.c.state == "due")
)
_names: Final = tuple(name for name in Job.__slots__ if name != "token")
_TAKE: Final = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(state="leased", lease_until=bindparam("until", type_=UTCDateTime()), lease_token=bindparam("token"))
    .returning(*(jobs.c[name] for name in _names))
)


def _claim(connection: Connection, looks: Sequence[Select], parameters: dict[str, object]) -> Job | None:
    # Two steps: inside one UPDATE PostgreSQL may evaluate the locking select again and lease two.
    found = (connection.execute(look, parameters).scalar() for look in looks)
    id = next((id for id in found if id is not None), None)
    if id is None:
        return None
    now, token = parameters["now"], secrets.token_hex(16)
    assert isinstance(now, datetime)
    row: Any = connection.execute(_TAKE, {"job": id, "until": now + LEASE, "token": token}).mappings().one()
    return Job(token=token, **row)


# One's own lease, and what a job looks like without one.
_ours = and_(jobs.c.id == bindparam("job"), jobs.c.lease_token == bindparam("holder"))
_free: Final = {"lease_token": None, "lease_until": None}
_HELD: Final = select(jobs.c.id).where(_ours, jobs.c.state == "leased").with_for_update()
_AGAIN: Final = (
    update(jobs)
    .where(_ours, jobs.c.version != bindparam("read"))
    .values(state="due", due_at=bindparam("now", type_=UTCDateTime()), attempts=0, **_free)
)
_END: Final = (
    update(jobs)
    .where(_ours)
    .values(
        state=bindparam("outcome"),
        done_at=bindparam("now", type_=UTCDateTime()),
        last_error=bindparam("error"),
        **_free,
    )
)
_POSTPONE: Final = (
    update(jobs)
    .where(_ours)
    .values(
        state="due",
        due_at=bindparam("due", type_=UTCDateTime()),
        attempts=bindparam("spent"),
        last_error=bindparam("error"),
        **_free,
    )
)


def is_ours(connection: Connection, job: Job) -> bool:
    """Whether the lease is still ours; holds the row until the transaction ends."""
    return connection.execute(_HELD, _lease(job)).first() is not None


def finish(connection: Connection, job: Job, now: datetime, state: str = "done", error: str | None = None) -> None:
    """End a leased job as done, dead or superseded; a refresh that was asked for again meanwhile is due at once."""
    if connection.execute(_AGAIN, {**_lease(job), "read": job.version, "now": now}).rowcount:
        return
    connection.execute(_END, {**_lease(job), "outcome": state, "now": now, "error": error})


def postpone(connection: Connection, job: Job, due_at: datetime, error: str, attempts: int) -> None:
    """Give a leased job back, due at ``due_at`` with ``attempts`` spent, asked for again meanwhile or not."""
    connection.execute(_POSTPONE, {**_lease(job), "due": due_at, "spent": attempts, "error": error})


def _lease(job: Job) -> dict[str, object]:
    return {"job": job.id, "holder": job.token}


def release_all(connection: Connection, now: datetime) -> int:
    """Free every lease: for the one process of a SQLite database, at its start, when all holders are dead."""
    freed = update(jobs).where(jobs.c.state == "leased").values(state="due", due_at=now, lease_token=None)
    return connection.execute(freed).rowcount
