"""Bring an operations database to the code's revision: created when new, upgraded when older, refused when newer."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Engine, inspect, text

from redisu_pipeline.common.opsdb.engine import database_failures, open_engine, reading, shown
from redisu_pipeline.common.opsdb.schema import HEAD, REVISIONS
from redisu_pipeline.common.problems import ConfigurationError, Problem

_POSTGRES_LOCK: Final = 7_310_442_881
"""Any constant: the advisory lock that lets one process at a time migrate."""


def ensure_current(url: str) -> None:
    """Create or upgrade the database; one query when it is current. Two processes at once do it once.

    Raises ConfigurationError when the database is newer than this program.
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
        if _known_revision(connection, url) == HEAD:
            return
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRES_LOCK})
        if _known_revision(connection, url) != HEAD:  # another process may have been faster
            _upgrade(connection)


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


def _upgrade(connection: Connection) -> None:
    # Imported only here: alembic is a third of a second that a current database need not pay.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "redisu_pipeline.common.opsdb:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
