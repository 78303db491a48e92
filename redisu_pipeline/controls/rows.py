"""Rows fetched from a frame, in an order that does not depend on the engine."""

from collections.abc import Mapping
from typing import Any

from redisu_pipeline.journals.books import Frame

Row = Mapping[str, Any]


def rows_of(frame: Frame, *columns: str) -> list[Row]:
    """Return a frame's rows in the order of ``columns``, which are fetched."""
    found = frame.select(*columns).collect().rows(named=True)
    return sorted(found, key=lambda row: tuple(str(row[column]) for column in columns))


def ids_of(frame: Frame, column: str = "id") -> list[str]:
    """Return the distinct ids of a frame, sorted."""
    return sorted({str(row[column]) for row in frame.select(column).collect().rows(named=True)})
