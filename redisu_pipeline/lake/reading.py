"""Columns of an account's part of a table, file by file, as the manifest lists them: for the writer's own questions."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from redisu_pipeline.lake.manifest import FileEntry, Manifest
from redisu_pipeline.lake.storage import Storage

AT_ONCE = 20_000
"""Rows that ``scan_some`` has in memory: ten columns of them are a few megabytes."""


def scan(
    storage: Storage, manifest: Manifest | None, columns: Sequence[str], *, since: int = 0, open_only: bool = False
) -> Iterator[pa.Table]:
    """Yield ``columns`` of every file that holds rows created at or after ``since`` (unix seconds).

    ``open_only`` leaves out files without rows that still wait for something (see FileEntry.open_rows).
    A column that an old file lacks is left out; a file that is missing is passed over: commit refuses it.
    """
    entries = [one for one in manifest.files if wanted(one, since, open_only=open_only)] if manifest else []
    for path in _files(storage, entries):
        yield pq.read_table(path, columns=_present(pq.read_schema(path), columns), partitioning=None)


def scan_some(storage: Storage, manifest: Manifest | None, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield what ``scan`` does some rows at a time, for who needs few of them: no file is in memory whole."""
    for path in _files(storage, manifest.files if manifest else ()):
        with pq.ParquetFile(path) as file:
            # Threads make a few columns no faster, and each keeps what it has once allocated.
            for batch in file.iter_batches(AT_ONCE, columns=_present(file.schema_arrow, columns), use_threads=False):
                yield pa.Table.from_batches([batch])


def wanted(entry: FileEntry, since: int, *, open_only: bool) -> bool:
    """Tell whether a file can hold rows from ``since`` on (and, with ``open_only``, rows that are still open)."""
    recent = entry.created_max is None or entry.created_max >= since
    return recent and (entry.open_rows > 0 or not open_only)


def _files(storage: Storage, entries: Sequence[FileEntry]) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        for entry in entries:
            if fetched := storage.fetch(entry.path, Path(folder)):
                yield fetched[0]


def _present(schema: pa.Schema, columns: Sequence[str]) -> list[str]:
    return [column for column in columns if column in schema.names]
