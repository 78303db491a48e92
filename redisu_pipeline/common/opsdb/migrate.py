"""The operations database's revision: created when empty, else exactly this program's or refused.

An older one is brought up only by `redisu migrate`: a program that is started by chance (a newer one beside running
older ones, a test of a new version) must not change tables under those that use them.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Engine, inspect, text

from redisu_pipeline.common.opsdb.engine import database_failures, open_engine, reading, shown
from redisu_pipeline.common.opsdb.schema import HEAD, REVISIONS
from redisu_pipeline.common.problems import ConfigurationError, Problem

_POSTGRES_LOCK: Final = 7_310_442_881
"""Any constant: the advisory lock that lets one process at a time migrate."""


def ensure_current(url: str) -> None:
    """Create the database when it is empty; one query when it is current. Two processes at once do it once.

    Raises ConfigurationError when the database is of another revision than this program.
    """
    engine = open_engine(url)
    try:
        with database_failures(url):
            ensure_engine_current(engine, url)
    finally:
        engine.dispose()


def ensure_engine_current(engine: Engine, url: str) -> None:
    """`ensure_current` for an engine that is open already."""
    with reading(engine).begin() as connection:
        found = _known_revision(connection, url)
    if found is None:
        with engine.begin() as connection:
            _lock(connection)
            if _known_revision(connection, url) is None:  # another process may have been faster
                _upgrade(connection)
    elif found != HEAD:
        message = f"the database is at revision {found}, older than this program's {HEAD}"
        mend = "stop what uses it, back it up, then run: redisu migrate"
        raise ConfigurationError(Problem("database_older", shown(url), message, mend))


def migrate(url: str) -> str | None:
    """Bring the database to this program's revision and return the one it had; None when it was empty.

    Raises ConfigurationError when the database is newer than this program.
    """
    engine = open_engine(url)
    try:
        with database_failures(url), engine.begin() as connection:
            _lock(connection)
            found = _known_revision(connection, url)
            if found != HEAD:
                _upgrade(connection)
            return found
    finally:
        engine.dispose()


def revision(url: str) -> str | None:
    """The database's revision, None when it is empty."""
    engine = open_engine(url)
    try:
        with database_failures(url), reading(engine).begin() as connection:
            return _revision(connection)
    finally:
        engine.dispose()


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _known_revision(connection: Connection, url: str) -> str | None:
    found = _revision(connection)
    if found is not None and found not in REVISIONS:
        message = f"the database is at revision {found}, newer than this program's {HEAD}"
        raise ConfigurationError(
            Problem("database_newer", shown(url), message, "run the newer redisu, or restore the database's backup")
        )
    return found


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRES_LOCK})


def _upgrade(connection: Connection) -> None:
    # Imported only here: alembic is a third of a second that a current database need not pay.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "redisu_pipeline.common.opsdb:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
