"""Engines for the operations database, and its failures as one line each.

SQLite: WAL, `synchronous=FULL` (an answered webhook must survive a power cut) and BEGIN IMMEDIATE, so that a
transaction that will write never fails half-way for lack of the lock. PostgreSQL through psycopg 3.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from redisu_pipeline.common.problems import ConfigurationError, Failed, Problem, Refusal

BUSY_TIMEOUT_S: Final = 30
"""How long a SQLite transaction waits for another one's lock."""

_DISCREET: Final[Mapping[str, Any]] = {"hide_parameters": True}
"""A statement that fails is logged with its text: its values are names and addresses."""

_MEND_URL: Final = "set database.url to sqlite:///path/to/file.db or postgresql+psycopg://user@host/name"


def open_engine(url: str) -> Engine:
    """An engine for ``url``; creates SQLite's folder. Raises ConfigurationError when the url cannot work."""
    address = _address(url)
    if address.get_backend_name() == "sqlite":
        return _sqlite(address)
    try:
        return create_engine(address, pool_pre_ping=True, connect_args={"connect_timeout": 10}, **_DISCREET)
    except ModuleNotFoundError as error:
        mend = "install it with: pip install 'redisu[postgres]'"
        raise ConfigurationError(Problem("database_driver", shown(url), f"needs {error.name}", mend)) from error


def shown(url: str) -> str:
    """``url`` for people and logs, its password hidden."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "database.url"


@contextmanager
def database_failures(url: str) -> Iterator[None]:
    """Turn the database's refusals into one line that names it; nothing half-done is left behind."""
    try:
        yield
    except SQLAlchemyError as error:
        raise _refusal(error, url) from error


def reading(engine: Engine) -> Engine:
    """The same engine for transactions that only read: on SQLite they do not wait for writers."""
    return engine.execution_options(sqlite_begin="BEGIN DEFERRED")


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(
            Problem("database_url", "database.url", "is no database address", _MEND_URL)
        ) from error
    is_file = address.drivername in {"sqlite", "sqlite+pysqlite"} and address.database not in {None, "", ":memory:"}
    if not is_file and address.drivername not in {"postgresql", "postgresql+psycopg"}:
        message = f"{address.drivername} is not supported here"
        raise ConfigurationError(Problem("database_url", shown(url), message, _MEND_URL))
    return address


def _sqlite(address: URL) -> Engine:
    folder = Path(str(address.database)).absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"the folder cannot be created ({error.strerror})"
        mend = "set database.url to a file in a folder that is writable"
        raise ConfigurationError(Problem("database_folder", str(folder), message, mend)) from error
    connect = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}
    engine = create_engine(address, connect_args=connect, **_DISCREET)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # SQLAlchemy emits BEGIN itself (below): the driver's own deferred one would take the lock too late.
    connection.isolation_level = None
    cursor = connection.cursor()
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Switch to WAL once; two processes doing so at the same moment are told BUSY without waiting, so we wait."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN IMMEDIATE"))


def _refusal(error: SQLAlchemyError, url: str) -> Refusal:
    where = shown(url)
    if isinstance(error, NoSuchModuleError | ArgumentError):
        return ConfigurationError(Problem("database_url", where, "is no database address", _MEND_URL))
    # The driver's first line only: a statement's parameters may hold personal data.
    cause = str(error.orig) if isinstance(error, DBAPIError) and error.orig else type(error).__name__
    text = next(iter(cause.splitlines()), type(error).__name__)
    lowered = text.lower()
    if "disk is full" in lowered:
        return Failed(Problem("disk_full", where, text, "free space there and run again; nothing is lost"))
    if "locked" in lowered:
        mend = "end the program that holds the database open, then run again"
        return Failed(Problem("database_locked", where, text, mend))
    if any(word in lowered for word in ("readonly", "unable to open", "not a database", "permission", "authentic")):
        mend = "make the database readable and writable for this user, or mend database.url"
        return ConfigurationError(Problem("database_refused", where, text, mend))
    return Failed(Problem("database_failed", where, text, "check that the database runs, then run again"))
