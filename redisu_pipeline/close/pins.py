"""What a close reads: the files that the manifests of one account list, checked against them, pinned."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl

from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.common.settings import JournalEngine, Settings
from redisu_pipeline.lake.foreign import sha256_of
from redisu_pipeline.lake.manifest import Cursor, FileEntry, read_manifest
from redisu_pipeline.lake.schemas import schema_of
from redisu_pipeline.lake.storage import OBJECT_SCHEMES, Storage
from redisu_pipeline.tables.registry import TABLES

SOURCES = (
    "balance_transactions balance_transaction_fees charges invoice_payments invoices invoice_lines invoice_taxes "
    "products refunds credit_notes credit_note_lines credit_note_taxes tax_transactions disputes payouts events "
    "checkout_sessions balances"
).split()
"""The Stripe tables that journals and controls are derived from."""

WORKERS = 2
MISSING = "is in the manifest but not in the lake"


@dataclass(frozen=True)
class Pins:
    """The files of each table, the cursor of each table, and the hash of each file as its manifest has it.

    A file is a path of this machine, or an address in an object store where it is read in place.
    """

    files: Mapping[str, tuple[str, ...]]
    cursors: Mapping[str, Cursor]
    hashes: Mapping[str, str]  # "<table>/<month>" -> sha256
    rows: Mapping[str, int]

    def scan(self, table: str) -> pl.LazyFrame:
        """Return a table's rows that exist at Stripe; an empty frame where nothing was ever synced."""
        files = self.files.get(table, ())
        if not files:
            return pl.from_arrow(schema_of(TABLES[table]).empty_table()).lazy()  # type: ignore[union-attr]
        rows = pl.scan_parquet(
            list(files), glob=False, hive_partitioning=False, missing_columns="insert", extra_columns="ignore"
        )
        return rows.filter(pl.col("_deleted_at").is_null())


def pins_of(settings: Settings, storage: Storage, account: str) -> Pins:
    """Return the account's pins as the configured engine reads them: Spark reads an object store in place."""
    remote = urlsplit(storage.root).scheme in OBJECT_SCHEMES
    if remote and settings.journals.engine is JournalEngine.SPARK:
        return pin_in_place(storage, account)
    return pin(storage, account)


def pin(storage: Storage, account: str, tables: Iterable[str] = SOURCES) -> Pins:
    """Return the account's files as the manifests list them, on this machine: fetched from where they lie.

    Raises Failed naming every file that is missing or was edited by hand (its hash is not the manifest's).
    """
    listing = _Listing.of(storage, account, tables)
    folder = storage.scratch()
    with ThreadPoolExecutor(WORKERS) as pool:
        return listing.pins(pool.map(lambda one: _fetched(storage, folder, *one), listing.entries))


def pin_in_place(storage: Storage, account: str, tables: Iterable[str] = SOURCES) -> Pins:
    """Return the account's files as the manifests list them, where they lie in the object store.

    A hash would need the whole file, so its size is compared instead. Raises Failed as `pin` does.
    """
    listing = _Listing.of(storage, account, tables)
    folders = sorted({entry.path.rpartition("/month=")[0] for _, entry in listing.entries})
    sizes = {found.path: found.size for folder in folders for found in storage.list(folder)}
    return listing.pins(_in_place(storage, sizes, entry) for _, entry in listing.entries)


def listed(storage: Storage, account: str) -> dict[str, str]:
    """Return the hash of each file as the manifests list it (`Pins.hashes`), without looking at the files."""
    return _Listing.of(storage, account, SOURCES).hashes


@dataclass(frozen=True)
class _Listing:
    """What the manifests of an account list."""

    entries: Sequence[tuple[str, FileEntry]]
    cursors: Mapping[str, Cursor]

    @classmethod
    def of(cls, storage: Storage, account: str, tables: Iterable[str]) -> "_Listing":
        """Read the manifests of ``tables``."""
        entries: list[tuple[str, FileEntry]] = []
        cursors = {}
        for table in tables:
            manifest, _ = read_manifest(storage, table, account)
            if manifest is not None:
                entries += [(table, entry) for entry in manifest.files]
                cursors[table] = manifest.cursor
        return cls(entries, cursors)

    @property
    def hashes(self) -> dict[str, str]:
        """The hash of each file, by "<table>/<month>"."""
        return {f"{table}/{entry.month}": entry.sha256 for table, entry in self.entries}

    def pins(self, found: Iterable[str | Problem]) -> Pins:
        """Return the pins of the entries' places, in their order; raises Failed with all that are problems."""
        places = list(found)
        problems = [place for place in places if isinstance(place, Problem)]
        if problems:
            raise Failed(problems)
        files: dict[str, list[str]] = {}
        rows: dict[str, int] = {}
        for (table, entry), place in zip(self.entries, places, strict=True):
            files.setdefault(table, []).append(str(place))
            rows[table] = rows.get(table, 0) + entry.rows
        return Pins({table: tuple(of) for table, of in files.items()}, self.cursors, self.hashes, rows)


def _fetched(storage: Storage, folder: Path, table: str, entry: FileEntry) -> str | Problem:
    place = folder / table / entry.month
    place.mkdir(parents=True, exist_ok=True)
    found = storage.fetch(entry.path, place)
    if found is None:
        return _foreign(storage, entry, MISSING)
    if sha256_of(found[0]) != entry.sha256:
        return _foreign(storage, entry, "was not written by redisu (its hash is not the manifest's)")
    return str(found[0])


def _in_place(storage: Storage, sizes: Mapping[str, int], entry: FileEntry) -> str | Problem:
    if entry.path not in sizes:
        return _foreign(storage, entry, MISSING)
    if sizes[entry.path] != entry.bytes:
        return _foreign(storage, entry, "was not written by redisu (its size is not the manifest's)")
    return storage.uri(entry.path)


def _foreign(storage: Storage, entry: FileEntry, what: str) -> Problem:
    mend = "restore it from _history/, or move the table's folder and its manifest away and run sync --full"
    return Problem("foreign_file", storage.uri(entry.path), what, mend)
