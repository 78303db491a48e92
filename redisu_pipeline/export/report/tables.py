"""What a section of the report is made of: tables and plots, already in words; the template only lays them out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from markupsafe import Markup

from redisu_pipeline.common.money import exponent
from redisu_pipeline.export.month import ClosedMonth

MOST_ROWS = 250  # of one table: a page that nobody can print helps nobody; the workbook has every row


@dataclass(frozen=True)
class Row:
    """Cells of a row; ``kind`` is empty, ``total``, or the status that colours it (fail, warn, list, pass)."""

    cells: tuple[str, ...]
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A caption, headings (numeric ones begin with ``#``: right-aligned), rows; ``more`` were cut, ``see`` has them."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    more: int = 0
    see: str = "journal_entries.xlsx"


@dataclass(frozen=True)
class Section:
    """A part of the report; without tables and plots it says ``empty``."""

    anchor: str
    title: str
    intro: str = ""
    empty: str = "None in this month."
    tables: tuple[Table, ...] = ()
    plots: tuple[Markup, ...] = field(default=())


def cut(
    caption: str,
    heads: tuple[str, ...],
    rows: Sequence[Row],
    totals: Iterable[Row] = (),
    see: str = "journal_entries.xlsx",
) -> Table:
    """Return a table of at most ``MOST_ROWS`` rows that says how many more there are; totals always stand."""
    return Table(caption, heads, (*rows[:MOST_ROWS], *totals), max(len(rows) - MOST_ROWS, 0), see)


def money(value: Decimal, currency: str) -> str:
    """Return ``1,234.50`` with the currency's decimals; a finer value is shown whole rather than rounded away."""
    rounded = round(value, exponent(currency))
    if rounded != value:
        return f"{value.normalize():,f}"
    return f"{rounded + 0:,f}"  # + 0: a negative zero is nothing to explain


def total(values: Iterable[Decimal]) -> Decimal:
    """Return the sum, a Decimal also of nothing."""
    return sum(values, Decimal(0))


def base_first(month: ClosedMonth, currencies: Iterable[str]) -> list[str]:
    """Return the currencies once each: the subsidiary's own first, the others by name."""
    return sorted(set(currencies), key=lambda currency: (currency != month.account.base_currency, currency))
