"""Many rows in one statement of the driver: the path of every webhook.

SQLAlchemy's own way costs twice the processor time, and asks SQLite for each row again: each time the interpreter's
lock goes back and forth between this thread and the one that answers requests.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.exc import DBAPIError

_Process = Callable[[Any], Any]
_SHAPES: Final = 2_000
"""Statements kept: one for each table and number of rows."""


def insert_rows(
    connection: Connection, table: Table, names: tuple[str, ...], rows: Sequence[Sequence[object]], tail: str
) -> list[Any]:
    """Insert ``rows`` (never none, each the values of the columns ``names``) in one statement that ends with ``tail``.

    Returns the first column of what the statement returns. Raises DBAPIError.
    """
    dialect = connection.dialect
    processes = _processes(dialect, table, names)
    values = [
        value if process is None or value is None else process(value)
        for row in rows
        for value, process in zip(row, processes, strict=True)
    ]
    return _run(connection, _text(dialect.name, table.name, names, len(rows), tail), values)


def present(connection: Connection, table: Table, column: str, values: Sequence[str]) -> set[str]:
    """Return those of ``values`` that stand in the table's ``column``."""
    marks = ",".join(_marks(connection.dialect.name, 0, len(values)))
    return set(_run(connection, f"SELECT {column} FROM {table.name} WHERE {column} IN ({marks})", values))


def _run(connection: Connection, text: str, values: Sequence[object]) -> list[Any]:
    if not connection.in_transaction():
        connection.begin()  # as SQLAlchemy would: the driver by itself commits each statement
    driver: Any = connection.connection.driver_connection
    try:
        with closing(_cursor(connection.dialect.name, driver)) as cursor:
            cursor.execute(text, values)
            return [row[0] for row in cursor.fetchall()] if cursor.description else []
    except connection.dialect.loaded_dbapi.Error as error:
        # Callers know the failures of SQLAlchemy; the values are nobody's business.
        raise DBAPIError.instance(text, None, error, connection.dialect.loaded_dbapi.Error) from error


def _cursor(dialect: str, driver: Any) -> Any:
    if dialect == "sqlite":
        return driver.cursor()
    # psycopg's usual cursor looks for its %s in the whole text each time, which takes longer than to run it.
    from psycopg import RawCursor

    return RawCursor(driver)


@lru_cache(maxsize=_SHAPES)
def _text(dialect: str, table: str, names: tuple[str, ...], count: int, tail: str) -> str:
    width = len(names)
    rows = (f"({','.join(_marks(dialect, row * width, width))})" for row in range(count))
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {','.join(rows)} {tail}"


def _marks(dialect: str, start: int, count: int) -> list[str]:
    """The places of ``count`` values, ``start`` others before them."""
    return ["?"] * count if dialect == "sqlite" else [f"${start + n}" for n in range(1, count + 1)]


@lru_cache(maxsize=16)
def _processes(dialect: Dialect, table: Table, names: tuple[str, ...]) -> tuple[_Process | None, ...]:
    """How each column's value is made into the driver's: the database must hold the same as by any other statement."""
    return tuple(table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names)
