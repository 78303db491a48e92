"""The CSV files behind report runs: columns and rows of the finance reports (stripe.md §6.5, §6.7).

Amounts are printed as decimals in major units, times in the report's timezone.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from redisu_pipeline.common.money import to_major
from sandbox.stripe.store import Object, Store

PAYOUTS = frozenset({"payout", "payout_reversal"})
FAMILIES = ("invoice_metadata[", "credit_note_metadata[", "refund_metadata[", "tax_transaction_metadata[")
TAX_COLUMNS = tuple(
    """
    id type line_item_id transaction_date tax_date currency quantity quantity_decimal tax_code subtotal total tax_amount
    taxable_amount non_taxable_amount tax_name tax_rate taxability taxability_reason jurisdiction_level
    jurisdiction_name country_code state_code destination_resolved_address_country destination_resolved_address_state
    origin_resolved_address_country origin_resolved_address_state customer_tax_id filing_currency filing_exchange_rate
    filing_total filing_taxable_amount filing_non_taxable_amount filing_tax_amount
    """.split()
)
# The confirmed columns of the type that follows in 2026 (stripe.md §6.6).
TAX_EXPORT_COLUMNS = tuple(
    """
    tax_transaction_id transaction_type reversal_original_tax_transaction_id id type line_item_id transaction_date
    currency total tax_amount tax_rate tax_type jurisdiction_level jurisdiction_name country_code state_code
    payment_intent_id provider applied_tax_calculation_type
    """.split()
)
TAX_AMOUNTS = ("subtotal", "total", "tax_amount", "taxable_amount", "non_taxable_amount")
SUMMARY_COLUMNS = ("reporting_category", "currency", "count", "gross", "fee", "net")
BALANCE_COLUMNS = ("category", "description", "net_amount", "currency")


@dataclass(frozen=True)
class Interval:
    """What a report covers: [start, end) in unix seconds, and what it is narrowed to."""

    start: int
    end: int
    timezone: str = "Etc/UTC"
    currency: str | None = None
    reporting_category: str | None = None

    def holds(self, at: int) -> bool:
        return self.start <= at < self.end

    def printed(self, at: int, form: str = "%Y-%m-%d %H:%M:%S") -> str:
        return datetime.fromtimestamp(at, ZoneInfo(self.timezone)).strftime(form)


Rows = Callable[[Store, Sequence[Object], Interval], Iterable[Mapping[str, Any]]]


def balance_summary(store: Store, _tax_rows: Sequence[Object], interval: Interval) -> Iterable[Mapping[str, Any]]:
    """`balance.summary`: start, activity, payouts, end of each currency; before fees and the fees beside each."""
    rows = store.all("balance_transaction")
    for currency in _currencies(rows, interval):
        own = [row for row in rows if row["currency"] == currency]
        inside = [row for row in own if interval.holds(row["created"])]
        start = sum(row["net"] for row in own if row["created"] < interval.start)
        payouts = _split([row for row in inside if row["reporting_category"] in PAYOUTS])
        activity = _split([row for row in inside if row["reporting_category"] not in PAYOUTS])
        days = interval.printed(interval.start, "%Y-%m-%d"), interval.printed(interval.end, "%Y-%m-%d")
        for category, description, amount in (
            ("starting_balance", f"Starting balance ({days[0]})", start),
            ("activity_gross", "Account activity before fees", activity[0]),
            ("activity_fee", "Less fees", -activity[1]),
            ("activity", "Net balance change from activity", activity[2]),
            ("payouts_gross", "Payouts before fees", payouts[0]),
            ("payouts_fee", "Less payout fees", -payouts[1]),
            ("payouts", "Total payouts", payouts[2]),
            ("ending_balance", f"Ending balance ({days[1]})", start + activity[2] + payouts[2]),
        ):
            net = to_major(amount, currency)
            yield {"category": category, "description": description, "net_amount": net, "currency": currency}


def _split(rows: Sequence[Object]) -> tuple[int, int, int]:
    """Gross, fee and net of some balance transactions."""
    return sum(row["amount"] for row in rows), sum(row["fee"] for row in rows), sum(row["net"] for row in rows)


def activity_summary(store: Store, _tax_rows: Sequence[Object], interval: Interval) -> Iterable[Mapping[str, Any]]:
    """`balance_change_from_activity.summary`: everything except payouts, by category and currency."""
    rows = [row for row in store.all("balance_transaction") if row["reporting_category"] not in PAYOUTS]
    return _summary(rows, interval)


def payouts_summary(store: Store, _tax_rows: Sequence[Object], interval: Interval) -> Iterable[Mapping[str, Any]]:
    """`payouts.summary`: payouts and their reversals."""
    return _summary([row for row in store.all("balance_transaction") if row["reporting_category"] in PAYOUTS], interval)


def tax_itemized(_store: Store, tax_rows: Sequence[Object], interval: Interval) -> Iterable[Mapping[str, Any]]:
    """`tax.transactions.itemized`: one row per transaction, line and jurisdiction rate."""
    for row in sorted(tax_rows, key=lambda one: int(one["transaction_date"])):
        if not interval.holds(row["transaction_date"]):
            continue
        money = {name: to_major(row[name], row["currency"]) for name in TAX_AMOUNTS}
        filing = {
            f"filing_{name}": to_major(row[f"filing_{name}"], row["filing_currency"])
            for name in ("total", "taxable_amount", "non_taxable_amount", "tax_amount")
        }
        bags = {
            f"{bag}[{key}]": value
            for bag in ("invoice_metadata", "credit_note_metadata", "refund_metadata")
            for key, value in (row.get(bag) or {}).items()
        }
        dates = {
            "transaction_date": interval.printed(row["transaction_date"]),
            "tax_date": interval.printed(row["tax_date"]),
        }
        yield {**row, **money, **filing, **bags, **dates}


def tax_export(store: Store, tax_rows: Sequence[Object], interval: Interval) -> Iterable[Mapping[str, Any]]:
    """`tax.itemized_export`: the same rows under the ids of their tax transactions."""
    for row in tax_itemized(store, tax_rows, interval):
        given_back = row["type"] in ("refund", "credit_note")
        yield {
            **row,
            "tax_transaction_id": f"tax_{row['id']}",
            "transaction_type": "reversal" if given_back else "transaction",
            "provider": "stripe",
            "applied_tax_calculation_type": "automatic",
        }


def _summary(rows: Iterable[Object], interval: Interval) -> Iterable[Mapping[str, Any]]:
    groups: dict[tuple[str, str], list[Object]] = {}
    for row in rows:
        if interval.holds(row["created"]) and _narrowed(row, interval):
            groups.setdefault((row["reporting_category"], row["currency"]), []).append(row)
    for currency in sorted({currency for _, currency in groups}):
        own = {category: members for (category, one), members in sorted(groups.items()) if one == currency}
        # The last row of each currency sums it up, as the Dashboard shows it.
        everything = [row for members in own.values() for row in members]
        for category, members in [*own.items(), ("total", everything)]:
            sums = dict(zip(("gross", "fee", "net"), _split(members), strict=True))
            printed = {name: to_major(amount, currency) for name, amount in sums.items()}
            yield {"reporting_category": category, "currency": currency, "count": len(members), **printed}


def _narrowed(row: Object, interval: Interval) -> bool:
    category = interval.reporting_category in (None, row["reporting_category"])
    return category and interval.currency in (None, row["currency"])


def _currencies(rows: Iterable[Object], interval: Interval) -> list[str]:
    if interval.currency is not None:
        return [interval.currency]
    return sorted({row["currency"] for row in rows if row["created"] < interval.end})


def written(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], separator: str = ".") -> bytes:
    """UTF-8 CSV with a header row; a value that is None or absent is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column), separator) for column in columns])
    return text.getvalue().encode()


def _cell(value: Any, separator: str) -> str:
    if value is None:
        return ""
    text = str(value)
    return text.replace(".", separator) if separator != "." and not isinstance(value, str | int) else text
