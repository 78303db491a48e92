"""Writing a closed month: sources, lines, controls, exports, and last its state, which makes the rest count."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import numpy as np
import polars as pl
import pyarrow as pa

from redisu_pipeline.close.line_rows import lines_table
from redisu_pipeline.close.sources import Journal
from redisu_pipeline.close.stored import PeriodState, control_table
from redisu_pipeline.common.money import to_minor
from redisu_pipeline.common.periods import Month
from redisu_pipeline.controls.model import ControlRow
from redisu_pipeline.journals.model import JournalLine
from redisu_pipeline.lake.catalog import CatalogTable
from redisu_pipeline.lake.derived import Derivation, DerivedMonth, Slices, coded_schema, write_months
from redisu_pipeline.lake.manifest import Cursor, Sums, read_manifest
from redisu_pipeline.lake.netsuite_tables import CONTROLS, JOURNAL_LINES, JOURNAL_SOURCES, PERIODS
from redisu_pipeline.lake.storage import ANY

E8 = Decimal(10**8)
SLICE = 500_000
CODED = ("period", "external_id", "source_object", "currency", "presentment_currency")
DISTINCT = ("source_id",)
"""Columns of `journal_sources` with few different texts, and with many."""


def write_journals(derivation: Derivation, period: Month, journals: Sequence[Journal]) -> bool:
    """Write the month's sources and lines; tell whether one of them became another."""
    lines = [line for journal in journals for line in journal.lines]
    count = sum(one.legs.height for one in journals)
    sources = Slices(count, _slices(journals, derivation.account, period), CODED, DISTINCT)
    changed = _write(derivation, JOURNAL_SOURCES, period, sources, _source_sums(journals))
    return _write(derivation, JOURNAL_LINES, period, lines_table(lines), _line_sums(lines)) or changed


def write_controls(derivation: Derivation, period: Month, rows: Sequence[ControlRow]) -> bool:
    """Write the month's controls; tell whether they became others."""
    return _write(derivation, CONTROLS, period, control_table(rows), {})


def write_state(derivation: Derivation, state: PeriodState, seen: Mapping[str, str]) -> bool:
    """Write the month's state. ``seen`` are the fingerprints of what months were derived from, by month."""
    manifest, _ = read_manifest(derivation.storage, PERIODS.name, derivation.account, PERIODS.area)
    extra = {**(manifest.cursor.extra if manifest else {}), **seen}
    rows = DerivedMonth(state.row(derivation.account), {})
    return bool(write_months(derivation, PERIODS, {str(state.period): rows}, Cursor(extra=extra)))


def content_hash(derivation: Derivation, period: Month) -> str:
    """Return one hash over the month's sources and lines as they lie in the lake."""
    whole = hashlib.sha256()
    for table in (JOURNAL_SOURCES, JOURNAL_LINES):
        manifest, _ = read_manifest(derivation.storage, table.name, derivation.account, table.area)
        for entry in manifest.files if manifest else ():
            if entry.month == str(period):
                whole.update(entry.sha256.encode())
    return whole.hexdigest()


def write_exports(derivation: Derivation, period: Month, files: Mapping[str, bytes]) -> dict[str, str]:
    """Write the month's exports where they differ and return their uris by name."""
    storage, uris = derivation.storage, {}
    derivation.guard()
    for name, content in files.items():
        path = f"{exports_folder(derivation.account, period)}/{name}"
        present = storage.read(path)
        if present is None or present.data != content:
            storage.write(path, content, expect=ANY)
        uris[name] = storage.uri(path)
    return uris


def exports_folder(account: str, period: Month) -> str:
    """Return where the exports of a month lie in the lake."""
    return f"exports/netsuite/{account}/{period}"


def _write(derivation: Derivation, table: CatalogTable, period: Month, rows: pa.Table | Slices, sums: Sums) -> bool:
    manifest, _ = read_manifest(derivation.storage, table.name, derivation.account, table.area)
    cursor = manifest.cursor if manifest else Cursor()
    return bool(write_months(derivation, table, {str(period): DerivedMonth(rows, sums)}, cursor))


def _slices(journals: Sequence[Journal], account: str, period: Month) -> Iterator[pa.Table]:
    """Yield the legs of journals as rows of `journal_sources`, some at a time."""
    for journal in journals:
        for legs in journal.in_order(SLICE):
            yield _sources(journal, legs, account, period)


def _sources(journal: Journal, legs: pl.DataFrame, account: str, period: Month) -> pa.Table:
    """Return some legs of a journal as rows of `journal_sources`."""
    places, count = legs["place"].to_numpy(), legs.height
    journals = sorted({line.external_id for line in journal.lines})
    journal_at = np.array([journals.index(line.external_id) for line in journal.lines], np.int32)
    line_at = np.array([line.line for line in journal.lines], np.int32)
    columns = {
        "account": _one(account, count),
        "period": _one(str(period), count),
        "external_id": pa.DictionaryArray.from_arrays(journal_at[places], journals),
        "line": line_at[places],
        "source_object": _coded(legs["source_object"]),
        "source_id": legs["source_id"].to_arrow().cast(pa.string()),
        "amount_minor": legs["amount"].to_arrow(),
        "currency": _coded(legs["currency"]),
        "presentment_amount_minor": legs["presentment_amount"].to_arrow(),
        "presentment_currency": _coded(legs["presentment_currency"]),
        "exchange_rate": _rates(legs["rate_e8"]),
    }
    return pa.table(columns, schema=coded_schema(JOURNAL_SOURCES.schema, CODED))


def _one(text: str, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), [text])


def _coded(categories: pl.Series) -> pa.DictionaryArray:
    """Return a column of categories as Arrow's dictionary, which has the texts of these rows alone, in their order."""
    few = categories.drop_nulls().unique()
    texts = sorted(zip(few.to_list(), few.to_physical().to_list(), strict=True))
    place_of = np.zeros(1 + max((code for _, code in texts), default=0), np.int32)
    for place, (_, code) in enumerate(texts):
        place_of[code] = place
    places = place_of[categories.to_physical().fill_null(0).to_numpy()]
    nulls = categories.is_null().to_numpy() if categories.has_nulls() else None
    return pa.DictionaryArray.from_arrays(
        pa.array(places, mask=nulls), pa.array([text for text, _ in texts], pa.string())
    )


def _rates(rates_e8: pl.Series) -> pa.Array:
    """Return rates × 10^8 as decimals."""
    known = sorted(rates_e8.drop_nulls().unique().to_list())
    if not known:
        return pa.nulls(len(rates_e8), pa.decimal128(18, 8))
    place = rates_e8.replace_strict(known, list(range(len(known))), default=None, return_dtype=pl.Int32)
    return pa.array([Decimal(rate) / E8 for rate in known], pa.decimal128(18, 8)).take(place.to_arrow())


def _source_sums(journals: Sequence[Journal]) -> Sums:
    found: dict[str, int] = {}
    for journal in journals:
        for currency, amount in journal.legs.group_by("currency").agg(pl.col("amount").abs().sum()).rows():
            found[currency] = found.get(currency, 0) + amount
    return {"amount_minor": found} if found else {}


def _line_sums(lines: Sequence[JournalLine]) -> Sums:
    sums: Sums = {}
    for line in lines:
        for side, amount in (("debit", line.debit), ("credit", line.credit)):
            if amount is not None:
                of = sums.setdefault(side, {})
                of[line.currency] = of.get(line.currency, 0) + to_minor(amount, line.currency)
    return sums
