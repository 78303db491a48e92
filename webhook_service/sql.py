"""The two dialects' inserts that may meet an existing row; they share their spelling, SQLAlchemy's own lacks it."""

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

INSERTS: Final[Mapping[str, Callable[[Table], sqlite.Insert | postgresql.Insert]]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT with ``on_conflict_do_…`` for the connection's database."""
    return INSERTS[connection.dialect.name](table)
