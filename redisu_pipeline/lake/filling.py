"""Columns of a table that rows of another table decide, such as whose tax a tax rate is."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from redisu_pipeline.lake.schemas import schema_of
from redisu_pipeline.tables.model import Table


def unfilled(rows: pa.Table) -> pa.Table:
    """Return ``rows`` as they are: nothing else decides any column."""
    return rows


@dataclass(frozen=True)
class Filling:
    """Columns that rows of other tables decide: ``columns`` are read and filled in by ``fill``, in old rows too.

    ``version`` changes with those other rows; old files are only looked at when it is not the one they landed with
    (``Cursor.extra["filling"]``).
    """

    columns: tuple[str, ...]
    fill: Callable[[pa.Table], pa.Table]
    version: str

    def concerns(self, table: Table) -> bool:
        """Whether ``table`` has these columns."""
        return set(self.columns) <= set(schema_of(table).names)


NO_FILLING = Filling((), unfilled, "")


def no_filling() -> Filling:
    """Say that no other table decides anything."""
    return NO_FILLING
