"""The account's tables of the lake, some rows at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.month_file import conform
from redisu_pipeline.lake.reading import scan_some
from redisu_pipeline.lake.schemas import schema_of
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tables.registry import TABLES


@dataclass(frozen=True)
class Scan:
    """Reads one account's tables."""

    storage: Storage
    account: str

    def __call__(self, table: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield ``columns`` of ``table`` in this order; one that an old file lacks is null."""
        manifest, _ = read_manifest(self.storage, table, self.account)
        schema = self.schema(table, columns)
        for rows in scan_some(self.storage, manifest, columns):
            yield conform(rows, schema)

    @staticmethod
    def schema(table: str, columns: Sequence[str]) -> pa.Schema:
        """Return the schema of these columns."""
        whole = schema_of(TABLES[table])
        return pa.schema([whole.field(name) for name in columns])
