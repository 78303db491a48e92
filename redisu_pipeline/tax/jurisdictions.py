"""`tax_by_jurisdiction`: which source tells of a movement of tax, and their sums by month and jurisdiction.

Automatic tax comes from the report as far as it reaches and from the invoices after that; manual rates (Israel) come
from invoices, credit notes and refunds always. No movement is ever taken from both: an instant belongs to one side,
and a document that the report has printed is not taken from the invoices as well.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from redisu_pipeline.common.periods import Month
from redisu_pipeline.tax.invoiced import movements
from redisu_pipeline.tax.model import Books, JurisdictionRow, Movement, Place

REPORT, INVOICE = "report", "invoice"


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
    sessions: dict[str, set[str]] = defaultdict(set)
    for session, invoice in books.sales.items():
        sessions[invoice].add(session)
    for one in movements(books):
        if not books.invoices[one.sale].automatic:
            yield one, False
        elif not books.coverage.reported(one.at) and not printed & {(i, one.tax > 0) for i in _names(one, sessions)}:
            yield one, _awaited(books, one.at)


def _awaited(books: Books, at: datetime) -> bool:
    """Tell whether the report will have it some day: then the invoices stand in for it until then."""
    start = books.coverage.reported_from
    return not books.coverage.note and (start is None or at >= start)


def _names(one: Movement, sessions: dict[str, set[str]]) -> set[str]:
    """Return the ids under which the report may print this movement; of a sale its checkout session's, too."""
    names = set(one.documents)
    return names | {i for i in sessions[one.sale] if i.startswith("cs_")} if one.sale in names else names


@dataclass
class _Sums:
    collected: int = 0
    refunded: int = 0
    taxable: dict[tuple[tuple[str, ...], str, bool], int] = field(default_factory=dict)
    untils: set[datetime | None] = field(default_factory=set)

    def add(self, one: Movement, until: datetime | None) -> None:
        if one.tax > 0:
            self.collected += one.tax
        else:
            self.refunded -= one.tax
        # A line's base repeats on each of its jurisdictions: it counts once.
        place = (one.documents, one.line, one.taxable < 0)
        self.taxable[place] = max(self.taxable.get(place, 0), one.taxable, key=abs)
        self.untils.add(until)

    @property
    def until(self) -> datetime | None:
        """Up to when all that was added is complete; None when that cannot be said."""
        return None if None in self.untils else min((until for until in self.untils if until), default=None)


def by_jurisdiction(books: Books, months: Iterable[Month]) -> dict[Month, list[JurisdictionRow]]:
    """Return the rows of each of ``months`` (cut in the account's zone), ordered; a month without tax has none.

    `collected` is tax that became payable: sales, and returns that were undone. `refunded` is tax given back.
    """
    wanted = set(months)
    sums: dict[tuple[Month, Place, str], _Sums] = defaultdict(_Sums)
    coverage = books.coverage
    for one in reported(books):
        _add(sums, books, one, REPORT, coverage.reported_until)
    for one, provisional in invoiced(books):
        _add(sums, books, one, INVOICE, coverage.reported_until if provisional else coverage.invoiced_until)
    found: dict[Month, list[JurisdictionRow]] = {month: [] for month in wanted}
    for (month, place, source), total in sorted(sums.items(), key=lambda item: item[0]):
        if month in wanted and (total.collected or total.refunded):
            found[month].append(_row(month, place, source, total, books.timezone))
    return found


def _add(
    sums: dict[tuple[Month, Place, str], _Sums], books: Books, one: Movement, source: str, until: datetime | None
) -> None:
    sums[Month.containing(one.at, books.timezone), one.place, source].add(one, until)


def _row(month: Month, place: Place, source: str, total: _Sums, timezone: str) -> JurisdictionRow:
    end = month.bounds(timezone)[1]
    return JurisdictionRow(
        period=str(month),
        place=place,
        taxable=sum(total.taxable.values()),
        collected=total.collected,
        refunded=total.refunded,
        source=source,
        complete=total.until is not None and total.until >= end,
        until=None if total.until is None else min(total.until, end),
    )
