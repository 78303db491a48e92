"""Columns of an account's part of a table, file by file, as the manifest lists them: for the writer's own questions."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from redisu_pipeline.lake.manifest import FileEntry, Manifest
from redisu_pipeline.lake.storage import Storage


def scan(
    storage: Storage, manifest: Manifest | None, columns: Sequence[str], *, since: int = 0, open_only: bool = False
) -> Iterator[pa.Table]:
    """Yield ``columns`` of every file that holds rows created at or after ``since`` (unix seconds).

    ``open_only`` leaves out files without rows that still wait for something (see FileEntry.open_rows).
    A column that an old file lacks is left out; a file that is missing is passed over: commit refuses it.
    """
    with TemporaryDirectory() as folder:
        for entry in manifest.files if manifest else ():
            if wanted(entry, since, open_only=open_only) and (fetched := storage.fetch(entry.path, Path(folder))):
                present = pq.read_schema(fetched[0]).names
                yield pq.read_table(fetched[0], columns=[c for c in columns if c in present], partitioning=None)


def wanted(entry: FileEntry, since: int, *, open_only: bool) -> bool:
    """Tell whether a file can hold rows from ``since`` on (and, with ``open_only``, rows that are still open)."""
    recent = entry.created_max is None or entry.created_max >= since
    return recent and (entry.open_rows > 0 or not open_only)
