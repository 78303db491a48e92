"""Everything that the controls and the report of a month look at, beside its journals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq

from redisu_pipeline.close.balances import configured, opening_of
from redisu_pipeline.close.chart import rates_of
from redisu_pipeline.close.late_changes import About
from redisu_pipeline.close.pins import SOURCES, Pins
from redisu_pipeline.close.sources import Journal
from redisu_pipeline.close.stored import Stored
from redisu_pipeline.common.money import KNOWN_CURRENCIES, to_minor
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import Refusal
from redisu_pipeline.common.secrets import is_live
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.controls.inputs import BalanceHeld, ControlInputs, TaxSum, VersionCheck
from redisu_pipeline.controls.journals import content_hash
from redisu_pipeline.extract.figures_model import Figures
from redisu_pipeline.journals.books import Books
from redisu_pipeline.journals.derive import Derived
from redisu_pipeline.journals.model import JournalLine
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tax.inputs import coverage_of
from redisu_pipeline.tax.table import TAX_BY_JURISDICTION

Row = Mapping[str, Any]
CLEARING = "C3"


@dataclass(frozen=True)
class Gathered:
    """What a close has at hand when it comes to the controls."""

    settings: Settings
    account: Account
    books: Books
    derived: Derived
    journals: Sequence[Journal]
    lines: Sequence[JournalLine]
    earlier: Mapping[Month, Sequence[JournalLine]]
    figures: Figures
    pins: Pins
    versions: Sequence[VersionCheck]
    stored: Stored
    environ: Mapping[str, str]
    taxes: Sequence[Row]
    storage: Storage


def control_inputs(known: Gathered) -> ControlInputs:
    """Return what the controls compare."""
    account, period = known.account, known.books.period
    before = [line for lines in known.earlier.values() for line in lines]
    currencies = {line.currency for line in known.lines}
    rates = rates_of(known.settings, account, period)
    return ControlInputs(
        account=account,
        books=known.books,
        derived=known.derived,
        lines=known.lines,
        line_sums={key: total for journal in known.journals for key, total in journal.sums().items()},
        opening=opening_of(account, before),
        opening_configured=configured(account),
        previous_closing=_previous_closing(known, period),
        figures=known.figures,
        balances=_balances(known.pins),
        taxes=[_tax_sum(row) for row in known.taxes],
        complete_until={table: _until(known.pins, table) for table in SOURCES},
        tax_report_note=coverage_of(known.storage, account.name).note,
        exported=_exported(known),
        versions=known.versions,
        key_livemode=_livemode(account, known.environ),
        rates={currency: rate for currency in currencies if (rate := rates.rate(currency))},
    )


def _exported(known: Gathered) -> dict[str, str]:
    """Return what earlier months hold by external id, as a hash: no id goes out twice, no content under two (C16)."""
    journals: dict[str, list[JournalLine]] = {}
    for lines in known.earlier.values():
        for line in lines:
            journals.setdefault(line.external_id, []).append(line)
    return {external_id: content_hash(lines) for external_id, lines in journals.items()}


def _previous_closing(known: Gathered, period: Month) -> Mapping[str, Decimal] | None:
    """Return what last month's controls said clearing closes at, by currency."""
    if period.previous() < known.account.first_month:
        return None
    rows = known.stored.controls(period.previous())
    return {
        row.currency: row.right_amount for row in rows if row.control == CLEARING and not row.scope and row.currency
    }


def _balances(pins: Pins) -> list[BalanceHeld]:
    rows = pins.scan("balances").select("_synced_at", "kind", "currency", "amount").collect().rows()
    return [BalanceHeld(at, kind or "", currency.upper(), amount) for at, kind, currency, amount in rows]


def _tax_sum(row: Row) -> TaxSum:
    currency = row["currency"]
    return TaxSum(
        country=row["country"],
        state=row["state"],
        tax_type=row["tax_type"],
        currency=currency.upper(),
        collected=to_minor(row["collected"], currency),
        refunded=to_minor(row["refunded"], currency),
        source=row["source"],
        complete=row["complete"],
    )


def read_until(pins: Pins) -> datetime | None:
    """Return up to when everything is complete; None when a table was never read."""
    known = [_until(pins, table) for table in SOURCES if table != "tax_transactions"]
    whole = [until for until in known if until is not None]
    return min(whole) if len(whole) == len(known) else None


def _until(pins: Pins, table: str) -> datetime | None:
    cursor = pins.cursors.get(table)
    return datetime.fromisoformat(cursor.complete_until) if cursor is not None and cursor.complete_until else None


def _livemode(account: Account, environ: Mapping[str, str]) -> bool | None:
    """Return whether the account's key is a live one; None where the environment has none."""
    try:
        return is_live(account.api_key(environ).reveal())
    except Refusal:
        return None


def taxes_of(storage: Storage, account: str, period: Month) -> list[dict[str, Any]]:
    """Return the month's rows of `netsuite/tax_by_jurisdiction`; none before the first sync."""
    manifest, _ = read_manifest(storage, TAX_BY_JURISDICTION.name, account, TAX_BY_JURISDICTION.area)
    for entry in manifest.files if manifest else ():
        if entry.month == str(period):
            fetched = storage.fetch(entry.path, storage.scratch())
            if fetched is not None:
                rows: list[dict[str, Any]] = pq.read_table(fetched[0], partitioning=None).to_pylist()
                return rows
    return []


def version_checks(
    period: Month, fresh: Mapping[About, int], versions: Mapping[About, int], caused: str
) -> list[VersionCheck]:
    """Compare what today's data derive for a locked month with all its versions (C22): by currency, and what differs.

    Amounts come in thousandths of a major unit.
    """
    found = []
    for currency in sorted({about.currency for about in (*fresh, *versions)} & KNOWN_CURRENCIES):
        keys = sorted(about for about in {*fresh, *versions} if about.currency == currency)
        debits = [sum(max(of.get(about, 0), 0) for about in keys) for of in (fresh, versions)]
        found.append(
            VersionCheck(period, currency, _minor(debits[0], currency), _minor(debits[1], currency), "", caused)
        )
        for about in keys:
            if fresh.get(about, 0) != versions.get(about, 0):
                scope = " ".join(word for word in about if word and word != currency)
                ours, theirs = _minor(fresh.get(about, 0), currency), _minor(versions.get(about, 0), currency)
                found.append(VersionCheck(period, currency, ours, theirs, scope, caused))
    return found


def _minor(thousandths: int, currency: str) -> int:
    return to_minor(Decimal(thousandths) / 1000, currency)
