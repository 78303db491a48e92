"""An existing data file, read by slices of time; its columns as they are declared now."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.lake.schemas import schema_of
from redisu_pipeline.tables.model import Table


def created_seconds(rows: pa.Table) -> pa.ChunkedArray:
    """Return `created` as unix seconds."""
    return pc.divide(rows.column("created").cast(pa.int64()), 1_000_000)


def within(rows: pa.Table, lo: int, hi: int) -> pa.Table:
    """Return the rows made in ``[lo, hi)`` (unix seconds)."""
    seconds = created_seconds(rows)
    return rows.filter(pc.and_(pc.greater_equal(seconds, lo), pc.less(seconds, hi)))


class MonthFile:
    """An existing data file, read by slices of time; or none yet."""

    def __init__(self, table: Table, path: Path | None) -> None:
        self._table = table
        self._file = None if path is None else pq.ParquetFile(path)
        self._bounds = [] if self._file is None else [_bounds(self._file, g) for g in range(self._file.num_row_groups)]
        if self._file is not None:
            refuse_type_change(table, self._file.schema_arrow)

    def cuts(self) -> list[int]:
        return [low for low, _ in self._bounds]

    def between(self, lo: int, hi: int, columns: list[str] | None = None) -> pa.Table:
        groups = [g for g, (low, high) in enumerate(self._bounds) if low < hi and high >= lo]
        schema = schema_of(self._table)
        if columns is not None:
            schema = pa.schema([schema.field(name) for name in columns])
        if self._file is None or not groups:
            return schema.empty_table()
        present = [name for name in schema.names if name in self._file.schema_arrow.names]
        rows = self._file.read_row_groups(groups, columns=present)
        return within(conform(rows, schema), lo, hi)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _bounds(file: pq.ParquetFile, group: int) -> tuple[int, int]:
    index = file.schema_arrow.names.index("created")
    statistics = file.metadata.row_group(group).column(index).statistics
    if statistics is None or not statistics.has_min_max:  # written by another program
        seconds = created_seconds(file.read_row_group(group, columns=["created"]))
        return pc.min(seconds).as_py(), pc.max(seconds).as_py()
    return int(statistics.min.timestamp()), int(statistics.max.timestamp())


def refuse_type_change(table: Table, found: pa.Schema) -> None:
    """Raise Failed naming the column when a file's type differs from the declared one; new columns are no fault."""
    for declared in schema_of(table):
        index = found.get_field_index(declared.name)
        if index >= 0 and found.field(index).type != declared.type:
            problem = Problem(
                "type_change",
                f"{table.name}.{declared.name}",
                f"is {found.field(index).type} in the lake and {declared.type} in the declaration",
                "give the column another name, or move the table's folder away and run sync --full",
            )
            raise Failed([problem])


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return ``rows`` in the declared columns: a column that is new is null in old rows."""
    columns = [
        rows.column(field.name) if field.name in rows.schema.names else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
