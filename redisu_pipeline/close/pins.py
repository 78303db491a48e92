"""What a close reads: the files that the manifests of one account list, checked against their hashes, pinned."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.lake.foreign import sha256_of
from redisu_pipeline.lake.manifest import Cursor, FileEntry, read_manifest
from redisu_pipeline.lake.schemas import schema_of
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tables.registry import TABLES

SOURCES = (
    "balance_transactions balance_transaction_fees charges invoice_payments invoices invoice_lines invoice_taxes "
    "products refunds credit_notes credit_note_lines credit_note_taxes tax_transactions disputes payouts events "
    "checkout_sessions balances"
).split()
"""The Stripe tables that journals and controls are derived from."""

WORKERS = 2


@dataclass(frozen=True)
class Pins:
    """The files of each table on this machine, the cursor of each table, and the hash of each file."""

    files: Mapping[str, tuple[Path, ...]]
    cursors: Mapping[str, Cursor]
    hashes: Mapping[str, str]  # "<table>/<month>" -> sha256
    rows: Mapping[str, int]

    def scan(self, table: str) -> pl.LazyFrame:
        """Return a table's rows that exist at Stripe; an empty frame where nothing was ever synced."""
        files = self.files.get(table, ())
        if not files:
            return pl.from_arrow(schema_of(TABLES[table]).empty_table()).lazy()  # type: ignore[union-attr]
        rows = pl.scan_parquet(list(files), hive_partitioning=False, missing_columns="insert", extra_columns="ignore")
        return rows.filter(pl.col("_deleted_at").is_null())


def pin(storage: Storage, account: str, tables: Iterable[str] = SOURCES) -> Pins:
    """Return the account's files as the manifests list them.

    Raises Failed naming every file that is missing or was edited by hand (its hash is not the manifest's).
    """
    entries: list[tuple[str, FileEntry]] = []
    cursors = {}
    for table in tables:
        manifest, _ = read_manifest(storage, table, account)
        if manifest is not None:
            entries += [(table, entry) for entry in manifest.files]
            cursors[table] = manifest.cursor
    folder = storage.scratch()
    with ThreadPoolExecutor(WORKERS) as pool:
        fetched = list(pool.map(lambda one: _fetched(storage, folder, *one), entries))
    problems = [problem for _, problem in fetched if problem is not None]
    if problems:
        raise Failed(problems)
    rows: dict[str, int] = {}
    for table, entry in entries:
        rows[table] = rows.get(table, 0) + entry.rows
    hashes = {f"{table}/{entry.month}": entry.sha256 for table, entry in entries}
    return Pins(dict(_by_table(entries, fetched)), cursors, hashes, rows)


def listed(storage: Storage, account: str) -> dict[str, str]:
    """Return the hash of each file as the manifests list it (`Pins.hashes`), without looking at the files."""
    found = {}
    for table in SOURCES:
        manifest, _ = read_manifest(storage, table, account)
        found.update({f"{table}/{entry.month}": entry.sha256 for entry in (manifest.files if manifest else ())})
    return found


def _fetched(storage: Storage, folder: Path, table: str, entry: FileEntry) -> tuple[Path | None, Problem | None]:
    place = folder / table / entry.month
    place.mkdir(parents=True, exist_ok=True)
    found = storage.fetch(entry.path, place)
    uri = storage.uri(entry.path)
    if found is None:
        mend = "restore it from _history/, or move the table's folder and its manifest away and run sync --full"
        return None, Problem("foreign_file", uri, "is in the manifest but not in the lake", mend)
    if sha256_of(found[0]) != entry.sha256:
        mend = "restore it from _history/, or move the table's folder and its manifest away and run sync --full"
        return None, Problem("foreign_file", uri, "was not written by redisu (its hash is not the manifest's)", mend)
    return found[0], None


def _by_table(
    entries: Iterable[tuple[str, FileEntry]], fetched: Iterable[tuple[Path | None, Problem | None]]
) -> Iterator[tuple[str, tuple[Path, ...]]]:
    files: dict[str, list[Path]] = {}
    for (table, _), (path, _) in zip(entries, fetched, strict=True):
        if path is not None:
            files.setdefault(table, []).append(path)
    for table, paths in files.items():
        yield table, tuple(paths)
