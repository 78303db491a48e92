"""Writing a closed month: sources, lines, controls, exports, and last its state, which makes the rest count."""

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal

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
from redisu_pipeline.lake.derived import Derivation, DerivedMonth, write_months
from redisu_pipeline.lake.manifest import Cursor, Sums, read_manifest
from redisu_pipeline.lake.netsuite_tables import CONTROLS, JOURNAL_LINES, JOURNAL_SOURCES, PERIODS
from redisu_pipeline.lake.storage import ANY

E8 = Decimal(10**8)


def write_journals(derivation: Derivation, period: Month, journals: Sequence[Journal]) -> bool:
    """Write the month's sources and lines; tell whether one of them became another."""
    lines = [line for journal in journals for line in journal.lines]
    tables = [_sources(journal, derivation.account, period) for journal in journals]
    sources = pa.concat_tables(tables) if tables else JOURNAL_SOURCES.schema.empty_table()
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


def _write(derivation: Derivation, table: CatalogTable, period: Month, rows: pa.Table, sums: Sums) -> bool:
    manifest, _ = read_manifest(derivation.storage, table.name, derivation.account, table.area)
    cursor = manifest.cursor if manifest else Cursor()
    return bool(write_months(derivation, table, {str(period): DerivedMonth(rows, sums)}, cursor))


def _sources(journal: Journal, account: str, period: Month) -> pa.Table:
    """Return a journal's legs as rows of `journal_sources`."""
    rates = journal.legs["rate_e8"].drop_nulls().unique().to_list()
    known = pl.DataFrame(
        {"rate_e8": rates, "exchange_rate": [Decimal(rate) / E8 for rate in rates]},
        schema={"rate_e8": pl.Int64, "exchange_rate": pl.Decimal(18, 8)},
    )
    ids = pl.Series([line.external_id for line in journal.lines], dtype=pl.String)
    numbers = pl.Series([line.line for line in journal.lines], dtype=pl.Int32)
    named = journal.legs.join(known, on="rate_e8", how="left", maintain_order="left").select(
        pl.lit(account).cast(pl.Categorical).alias("account"),
        pl.lit(str(period)).alias("period"),
        pl.lit(ids).gather(pl.col("place")).alias("external_id"),
        pl.lit(numbers).gather(pl.col("place")).alias("line"),
        "source_object",
        "source_id",
        pl.col("amount").alias("amount_minor"),
        "currency",
        pl.col("presentment_amount").alias("presentment_amount_minor"),
        "presentment_currency",
        "exchange_rate",
    )
    return named.to_arrow().cast(JOURNAL_SOURCES.schema)


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
