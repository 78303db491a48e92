"""The CSV of one of Stripe's balance reports as rows of `balance_reports`: exact, consistent in itself, or refused.

Pure: text in, rows out. A report that does not add up is refused here, so that a control which fails says something
about our books and not about a damaged file. Summaries print a row `total` for each currency; the balance summary
prints gross and fee beside each net amount. Source: stripe.md §6.7, §8.3.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from redisu_pipeline.common.money import to_minor
from redisu_pipeline.extract.csv_file import Unreadable, number, records
from redisu_pipeline.tables.figures import TOTAL

ROLL = ("starting_balance", "activity", "payouts", "ending_balance")


@dataclass(frozen=True)
class ReportFacts:
    """What all rows of one report share; times are unix seconds, ``created`` the period's first midnight in UTC."""

    period: str
    report_type: str
    created: int
    interval_start: int
    interval_end: int
    report_run: str
    file: str


@dataclass(frozen=True)
class BalanceRow:
    """One row: ``values`` as the table's JSON (minor units, unix seconds), ``raw`` its cells as they were printed."""

    values: bytes
    raw: bytes


@dataclass(frozen=True)
class _Amounts:
    """One printed row in minor units."""

    where: str
    count: int
    gross: int
    fee: int
    net: int


_Printed = dict[str, dict[str, _Amounts]]
"""By currency and category."""


def balance_rows(lines: Iterable[str], facts: ReportFacts) -> list[BalanceRow]:
    """Return the rows of a report; raises Unreadable at the first thing that cannot be right."""
    summary = facts.report_type.startswith("balance.summary")
    name = "category" if summary else "reporting_category"
    amounts = {"net": "net_amount"} if summary else {"gross": "gross", "fee": "fee", "net": "net"}
    required = (name, "currency", *amounts.values(), *(() if summary else ("count",)))
    rows, printed = [], _Printed()
    for where, cells in records(lines, required):
        currency, category = _word(cells, "currency", where).lower(), _word(cells, name, where)
        money = {ours: _minor(cells, theirs, currency, where) for ours, theirs in amounts.items()}
        count = None if summary else _count(cells, where)
        if category in printed.setdefault(currency, {}):
            raise Unreadable(f"{where}, column {name}: {category} of {currency} stands there twice")
        printed[currency][category] = _Amounts(
            where, count or 0, money.get("gross", 0), money.get("fee", 0), money["net"]
        )
        values: dict[str, Any] = {
            "id": f"{facts.report_type}:{facts.period}:{currency}:{category}",
            **asdict(facts),
            name: category,
            "description": cells.get("description") or None,
            "currency": currency,
            "count": count,
            **money,
        }
        rows.append(BalanceRow(msgspec.json.encode(values), msgspec.json.encode(dict(cells))))
    for currency, by_category in printed.items():
        (_refuse_roll if summary else _refuse_sums)(currency, by_category)
    return rows


def _refuse_roll(currency: str, rows: Mapping[str, _Amounts]) -> None:
    missing = [category for category in ROLL if category not in rows]
    if missing:
        raise Unreadable(f"the row {', '.join(missing)} of {currency} is missing: it is cut off")
    starting, activity, payouts, ending = (rows[category].net for category in ROLL)
    if starting + activity + payouts != ending:
        where = rows["ending_balance"].where
        raise Unreadable(f"{where}: starting_balance, activity and payouts of {currency} miss ending_balance")


def _refuse_sums(currency: str, rows: Mapping[str, _Amounts]) -> None:
    for category, row in rows.items():
        if row.gross - row.fee != row.net:
            raise Unreadable(f"{row.where}: net of {category} in {currency} is not gross − fee")
    total = rows.get(TOTAL)
    if total is None:
        return
    parts = [row for category, row in rows.items() if category != TOTAL]
    for name in ("count", "gross", "fee", "net"):
        if getattr(total, name) != sum(getattr(row, name) for row in parts):
            raise Unreadable(f"{total.where}, column {name}: is not the sum of the categories of {currency}")


def _word(cells: Mapping[str, str], name: str, where: str) -> str:
    if not cells[name]:
        raise Unreadable(f"{where}, column {name}: is empty")
    return cells[name]


def _minor(cells: Mapping[str, str], name: str, currency: str, where: str) -> int:
    try:
        return to_minor(number(cells[name]), currency)
    except ValueError as error:
        raise Unreadable(f"{where}, column {name}: {error}") from None


def _count(cells: Mapping[str, str], where: str) -> int:
    text = cells["count"]
    if not (text.isascii() and text.isdigit()):
        raise Unreadable(f"{where}, column count: {text!r} is not a whole number")
    return int(text)
