"""Stripe's tax report beside the invoices: two sides that tell of the same tax, and how far the report reaches."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from redisu_pipeline.common.money import show
from redisu_pipeline.common.periods import Month
from redisu_pipeline.tax.invoiced import movements
from redisu_pipeline.tax.jurisdictions import INVOICE, REPORT, reported
from redisu_pipeline.tax.model import Books, Coverage, Finding, Movement, Place

LATE_AFTER = timedelta(hours=36)
TOLERANCE_PER_TAX = 1
"""Minor units by which report and invoices may differ for each tax of a document: both round (stripe.md §7)."""


@dataclass(slots=True)
class _Sides:
    """What the two sides say of one sale in one month and jurisdiction."""

    theirs: list[Movement] = field(default_factory=list)
    ours: list[Movement] = field(default_factory=list)

    def ids(self, sale: str) -> tuple[str, ...]:
        """Return the objects concerned: the sale, where no side names it, and what the sides name."""
        names = {name for one in (*self.theirs, *self.ours) for name in one.documents}
        return (*sorted({sale} - names), *sorted(names))


def report_differs(books: Books, _now: datetime) -> Iterator[Finding]:
    """Compare the two sides of automatic tax, sale by sale, where the report reaches.

    What goes back is compared by its sale and month, for the report may print a refund under the id of its credit note.
    """
    if books.coverage.reported_until is None:
        return
    sides: dict[tuple[Month, str, Place, bool], _Sides] = defaultdict(_Sides)
    for one, source in _both(books):
        if one.tax:
            side = sides[books.month(one.at), one.sale, one.place, one.tax > 0]
            (side.theirs if source == REPORT else side.ours).append(one)
    for (month, sale, place, collected), side in sorted(sides.items(), key=lambda item: item[0]):
        theirs, ours = (sum(one.tax for one in told) for told in (side.theirs, side.ours))
        if abs(theirs - ours) > TOLERANCE_PER_TAX * max(len(side.theirs), len(side.ours)):
            where = " ".join(filter(None, (place.country, place.state, place.tax_type)))
            what = "collected" if collected else "given back"
            amounts = f"{show(theirs, place.currency)} in the report, {show(ours, place.currency)}"
            message = f"{where} {what}: {amounts} by the invoices"
            yield Finding("report_differs", str(month), side.ids(sale), message)


def _both(books: Books) -> Iterator[tuple[Movement, str]]:
    """Yield the movements that both sides should tell, each with the side that tells it."""
    for one in reported(books):
        yield one, REPORT
    for one in movements(books):
        if books.invoices[one.sale].automatic and books.coverage.reported(one.at) and one.at >= books.since:
            yield one, INVOICE


def report_is_late(books: Books, now: datetime) -> Iterator[Finding]:
    """Tell a report that reaches less far than it should; or that there is none, and why."""
    yield from lateness(books.coverage, now)


def lateness(coverage: Coverage, now: datetime) -> Iterator[Finding]:
    """Tell what ``report_is_late`` tells; that takes no more than the coverage."""
    until = coverage.reported_until
    if coverage.note:
        yield Finding("report_is_late", "", (), coverage.note)
    elif until is None:
        yield Finding("report_is_late", "", (), "the tax report has not been read yet: sync tax_transactions")
    elif now - until > LATE_AFTER:
        hours = int((now - until).total_seconds() // 3600)
        message = f"the tax report reaches to {until:%Y-%m-%d %H:%M} UTC, {hours} hours ago; {_LATE}"
        yield Finding("report_is_late", "", (), message)


_LATE = "newer automatic tax comes from the invoices until it moves on"
