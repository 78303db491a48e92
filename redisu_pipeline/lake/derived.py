"""Tables that are derived from others, a file a month: written whole, only when their content is another.

They can be derived again at any moment, so a crash costs nothing: a file is replaced in one step, the manifest follows.
What a file was before is kept in `_history/`, a file edited by hand too.
"""

import base64
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from redisu_pipeline.common import clock
from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.lake import history
from redisu_pipeline.lake.catalog import CatalogTable
from redisu_pipeline.lake.foreign import sha256_of
from redisu_pipeline.lake.manifest import Cursor, FileEntry, Manifest, RunProof, Sums, read_manifest, write_manifest
from redisu_pipeline.lake.storage import ABSENT, Conflict, Storage

_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
READ_AS = "ARROW:schema"
"""Where a Parquet file says as what Arrow is to read it."""


@dataclass(frozen=True)
class Slices:
    """Rows that come a few at a time: each slice becomes a row group. They can be gone through once.

    Texts in the columns ``coded`` come as dictionary<int32, string>, which is what Parquet makes of them anyway: for
    millions of rows neither side spells them out. Who reads the file gets the texts that the table declares. For the
    columns ``distinct``, whose values hardly recur, Parquet would begin a dictionary and throw it away.
    """

    num_rows: int
    tables: Iterable[pa.Table]
    coded: Collection[str] = ()
    distinct: Collection[str] = ()


def coded_schema(declared: pa.Schema, coded: Collection[str]) -> pa.Schema:
    """Return the schema of slices whose texts in the columns ``coded`` come as dictionaries."""
    return pa.schema([field.with_type(_DICTIONARY) if field.name in coded else field for field in declared])


@dataclass(frozen=True)
class DerivedMonth:
    """One month's rows, with their money by column and currency in minor units."""

    rows: pa.Table | Slices
    sums: Sums


@dataclass(frozen=True)
class Derivation:
    """Who writes: the run, its clock, and ``guard``, which raises when the right to write was lost."""

    storage: Storage
    account: str
    run_id: str
    now: datetime
    guard: Callable[[], None]


def write_months(
    derivation: Derivation, table: CatalogTable, months: Mapping[str, DerivedMonth], cursor: Cursor
) -> tuple[str, ...]:
    """Write ``months`` (YYYY-MM) of ``table`` and the manifest; return the months whose file changed.

    Months not named stay as they are. Raises Failed for a lost race.
    """
    storage, account = derivation.storage, derivation.account
    manifest, tag = read_manifest(storage, table.name, account, table.area)
    entries = {entry.month: entry for entry in manifest.files} if manifest else {}
    derivation.guard()
    changed = []
    for month, derived in sorted(months.items()):
        path = f"{table.folder}/account={account}/month={month}/data.parquet"
        built = _build(storage, table, derived.rows, f"{account}-{table.name}-{month}.building")
        entry = FileEntry(
            path=path,
            month=month,
            rows=derived.rows.num_rows,
            sha256=sha256_of(built),
            bytes=built.stat().st_size,
            sums=derived.sums,
        )
        if _publish(derivation, built, entry, entries.get(month)):
            changed.append(month)
        entries[month] = entry
    _record(derivation, table, manifest, tag, [entries[month] for month in sorted(entries)], cursor, len(changed))
    return tuple(changed)


def _build(storage: Storage, table: CatalogTable, rows: pa.Table | Slices, name: str) -> Path:
    target = storage.scratch() / name
    slices = rows if isinstance(rows, Slices) else Slices(rows.num_rows, (rows.cast(table.schema),))
    schema, read_as = coded_schema(table.schema, slices.coded), base64.b64encode(table.schema.serialize().to_pybytes())
    recurring = [column for column in schema.names if column not in slices.distinct]
    options = {"compression": "zstd", "use_dictionary": recurring, "store_schema": False}
    with pq.ParquetWriter(target, schema, **options) as writer:
        for part in slices.tables:
            writer.write_table(part)
        writer.add_key_value_metadata({READ_AS: read_as})
    return target


def _publish(derivation: Derivation, built: Path, entry: FileEntry, before: FileEntry | None) -> bool:
    """Replace the file unless it has this content already; tell whether it was replaced."""
    storage = derivation.storage
    fetched = storage.fetch(entry.path, storage.scratch())
    present = sha256_of(fetched[0]) if fetched else None
    if present == entry.sha256:
        built.unlink()
        return before is None or before.sha256 != entry.sha256
    if present is not None:
        history.keep(storage, entry.path, present, derivation.now)
    try:
        storage.publish(entry.path, built, expect=fetched[1] if fetched else ABSENT)
    except Conflict as conflict:
        raise Failed(_lost_race(conflict.uri)) from None
    return True


def _record(
    derivation: Derivation,
    table: CatalogTable,
    before: Manifest | None,
    tag: str | None,
    files: list[FileEntry],
    cursor: Cursor,
    changed: int,
) -> None:
    columns = {field.name: str(field.type) for field in table.schema}
    same = before is not None and (before.files, before.cursor, before.columns) == (files, cursor, columns)
    if same:
        return
    sums: Sums = {}
    for entry in files:
        for column, by_currency in entry.sums.items():
            for currency, amount in by_currency.items():
                total = sums.setdefault(column, {})
                total[currency] = total.get(currency, 0) + amount
    proof = RunProof(
        id=derivation.run_id,
        started=derivation.now.isoformat(),
        finished=clock.now().isoformat(),
        changed=changed,
    )
    after = Manifest(
        area=table.area,
        table=table.name,
        account=derivation.account,
        columns=columns,
        files=files,
        rows=sum(entry.rows for entry in files),
        sums=sums,
        cursor=cursor,
        run=proof,
    )
    try:
        write_manifest(derivation.storage, after, tag or ABSENT)
    except Conflict as conflict:
        raise Failed(_lost_race(conflict.uri)) from None


def _lost_race(uri: str) -> Problem:
    return Problem("lost_race", uri, "was replaced by another writer meanwhile", "let one writer finish and run again")
