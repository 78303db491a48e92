"""Leases with a heartbeat: one writer at a time among hosts, decided by the database's clock, not by theirs.

A lease that beats is its holder's; one silent for `ttl` seconds is anybody's. A suspended holder finds out at its
next `confirm`: its row bears another token.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, Float, cast, delete, func, literal_column, select, update
from sqlalchemy.dialects import postgresql, sqlite

from redisu_pipeline.common.opsdb.schema import leases

_EPOCH: Final[Mapping[str, ColumnElement[Any]]] = {
    "sqlite": literal_column("(julianday('now') - 2440587.5) * 86400.0"),
    "postgresql": cast(func.extract("epoch", func.clock_timestamp()), Float),
}
"""The database's own time as unix seconds: the one clock that all holders share."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease. ``lock_file`` identifies the file lock that goes with it, "" when there is none."""

    token: str
    host: str
    pid: int
    lock_file: str
    since: datetime


@dataclass(frozen=True)
class Held:
    """A lease in somebody else's hands, ``silent_for`` seconds after its last heartbeat."""

    name: str
    holder: Holder
    silent_for: float


def acquire(
    engine: Engine, wanted: Mapping[str, str], holder: Holder, ttl: float, dead_locks: Collection[str] = ()
) -> Held | None:
    """Take all leases of ``wanted`` (name -> its lock file) for ``holder``, or none of them.

    Returns None when taken, else the lease in the way that was heard of last. A lease whose file lock is among
    ``dead_locks`` (the caller has that lock now, so its process is gone) or that is silent for ``ttl`` is taken over.
    """
    with engine.begin() as connection:
        now = _database_now(connection)
        # sorted: two processes that want overlapping sets meet at the same first row, and cannot deadlock
        for name in sorted(wanted):
            row = {"name": name, "lock_file": wanted[name], "beaten_at": now, **_columns(holder)}
            connection.execute(_insert(connection).values(row).on_conflict_do_nothing(index_elements=[leases.c.name]))
        blocking = [
            held
            for held in _others(connection, sorted(wanted), holder.token, now)
            if held.silent_for < ttl and held.holder.lock_file not in dead_locks
        ]
        if blocking:
            connection.rollback()
            return min(blocking, key=lambda held: held.silent_for)
        for name in sorted(wanted):
            row = {"lock_file": wanted[name], "beaten_at": now, **_columns(holder)}
            connection.execute(update(leases).where(leases.c.name == name).values(row))
    return None


def beat(engine: Engine, token: str) -> int:
    """Renew every lease of ``token``; returns how many are still ours."""
    with engine.begin() as connection:
        renewed = update(leases).where(leases.c.token == token).values(beaten_at=_database_now(connection))
        return connection.execute(renewed).rowcount


def release(engine: Engine, token: str) -> None:
    """Give back every lease of ``token``; those taken over meanwhile are not touched."""
    with engine.begin() as connection:
        connection.execute(delete(leases).where(leases.c.token == token))


def _insert(connection: Connection) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(leases) if connection.dialect.name == "sqlite" else postgresql.insert(leases)


def _columns(holder: Holder) -> dict[str, str | int | datetime]:
    return {"token": holder.token, "host": holder.host, "pid": holder.pid, "since": holder.since}


def _others(connection: Connection, names: Sequence[str], token: str, now: datetime) -> list[Held]:
    rows = connection.execute(
        select(leases)
        .where(leases.c.name.in_(names), leases.c.token != token)
        .order_by(leases.c.name)
        .with_for_update()
    ).mappings()
    return [
        Held(
            row["name"],
            Holder(row["token"], row["host"], row["pid"], row["lock_file"], row["since"]),
            (now - row["beaten_at"]).total_seconds(),
        )
        for row in rows
    ]


def _database_now(connection: Connection) -> datetime:
    seconds = connection.execute(select(_EPOCH[connection.dialect.name])).scalar_one()
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
