"""`tax_by_jurisdiction`: which source tells of a movement of tax, and their sums by month and jurisdiction.

Automatic tax comes from the report as far as it reaches and from the invoices after that; manual rates (Israel) come
from invoices, credit notes and refunds always. No movement is ever taken from both: an instant belongs to one side,
and a document that the report has printed is not taken from the invoices as well.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from redisu_pipeline.common.periods import Month
from redisu_pipeline.tax.invoiced import movements
from redisu_pipeline.tax.model import Books, JurisdictionRow, Movement, Place, once

REPORT, INVOICE = "report", "invoice"


@once
def reported(books: Books) -> Iterator[Movement]:
    """Yield the report's movements of automatic tax; rows of a sale with a manual rate are left to the invoices."""
    for row in books.report:
        if not books.is_manual(row.source_id):
            sale = books.sales.get(row.source_id, row.source_id)
            yield Movement(row.at, row.place, row.tax, row.taxable, (row.source_id,), row.line, sale)


def invoiced(books: Books) -> Iterator[tuple[Movement, bool]]:
    """Yield the movements that are taken from invoices, each with whether it is provisional until the report has it."""
    # A refund that fails is printed twice, with both signs: what was printed says nothing about the other.
    printed = {(row.source_id, row.tax > 0) for row in books.report}
    sessions: dict[str, list[str]] = defaultdict(list)
    for name, invoice in books.sales.items() if printed else ():
        if name.startswith("cs_"):
            sessions[invoice].append(name)
    for one in movements(books):
        if not books.invoices[one.sale].automatic:
            yield one, False
        elif not books.coverage.reported(one.at) and not any(
            (i, one.tax > 0) in printed for i in _names(one, sessions)
        ):
            yield one, _awaited(books, one.at)


def _awaited(books: Books, at: datetime) -> bool:
    """Tell whether the report will have it some day: then the invoices stand in for it until then."""
    start = books.coverage.reported_from
    return not books.coverage.note and (start is None or at >= start)


def _names(one: Movement, sessions: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the ids under which the report may print this movement; of a sale its checkout session's, too."""
    yield from one.documents
    if one.sale in one.documents:
        yield from sessions.get(one.sale, ())


@dataclass(slots=True)
class _Sums:
    """``lines`` holds the bases of a slice by document and line, until they are summed up in ``taxable``."""

    collected: int = 0
    refunded: int = 0
    taxable: int = 0
    lines: dict[tuple[tuple[str, ...], str, bool], int] = field(default_factory=dict)
    untils: set[datetime | None] = field(default_factory=set)

    def add(self, one: Movement, until: datetime | None) -> None:
        if one.tax > 0:
            self.collected += one.tax
        else:
            self.refunded -= one.tax
        # A line's base repeats on each of its jurisdictions: it counts once.
        place = (one.documents, one.line, one.taxable < 0)
        self.lines[place] = max(self.lines.get(place, 0), one.taxable, key=abs)
        self.untils.add(until)

    def sum_up(self) -> None:
        """Forget the lines: a document is in one slice only."""
        self.taxable += sum(self.lines.values())
        self.lines.clear()

    @property
    def until(self) -> datetime | None:
        """Up to when all that was added is complete; None when that cannot be said."""
        return None if None in self.untils else min((until for until in self.untils if until), default=None)


class Jurisdictions:
    """Adds up the tax of the months (cut in the account's zone), slice by slice."""

    def __init__(self, months: Iterable[Month]) -> None:
        self._months, self._timezone = frozenset(months), ""
        self._sums: dict[tuple[Month, Place, str], _Sums] = defaultdict(_Sums)

    def add(self, books: Books) -> None:
        """Add what one slice tells."""
        coverage, self._timezone = books.coverage, books.timezone
        for one in reported(books):
            if (month := books.month(one.at)) in self._months:
                self._sums[month, one.place, REPORT].add(one, coverage.reported_until)
        for one, provisional in invoiced(books):
            if (month := books.month(one.at)) in self._months:
                until = coverage.reported_until if provisional else coverage.invoiced_until
                self._sums[month, one.place, INVOICE].add(one, until)
        for sums in self._sums.values():
            sums.sum_up()

    def rows(self) -> dict[Month, list[JurisdictionRow]]:
        """Return the rows of each month, ordered; a month without tax has none.

        `collected` is tax that became payable: sales, and returns that were undone. `refunded` is tax given back.
        """
        found: dict[Month, list[JurisdictionRow]] = {month: [] for month in self._months}
        for (month, place, source), total in sorted(self._sums.items(), key=lambda item: item[0]):
            if total.collected or total.refunded:
                found[month].append(_row(month, place, source, total, self._timezone))
        return found


def _row(month: Month, place: Place, source: str, total: _Sums, timezone: str) -> JurisdictionRow:
    end = month.bounds(timezone)[1]
    return JurisdictionRow(
        period=str(month),
        place=place,
        taxable=total.taxable,
        collected=total.collected,
        refunded=total.refunded,
        source=source,
        complete=total.until is not None and total.until >= end,
        until=None if total.until is None else min(total.until, end),
    )
