"""What tax is derived from, and what comes of it: plain frozen rows, money in minor units, instants in UTC.

Two sources tell of tax. The itemised report has automatic tax, a day late; invoices, credit notes and refunds have all
tax at once, but a refund carries no split. Every movement is taken from one of them only (see jurisdictions.py).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache, wraps
from typing import Any, NamedTuple, TypeVar

from redisu_pipeline.common.periods import Month

T = TypeVar("T")

UNKNOWN = "unknown"
"""Stands for a tax type that neither the report nor a tax rate tells; a check lists it."""


class Place(NamedTuple):
    """Whose tax, and in which currency. ``state`` is empty for the tax of a whole country."""

    country: str
    state: str
    tax_type: str
    currency: str


@dataclass(frozen=True, slots=True)
class TaxLine:
    """One tax on one line of an invoice or credit note. ``rate`` is the tax rate's id."""

    document: str
    line: str
    rate: str
    place: Place
    tax: int
    taxable: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice as far as tax goes. ``at`` is `effective_at`; ``country`` the buyer's."""

    id: str
    status: str
    at: datetime | None
    automatic: bool
    currency: str
    total: int
    net: int
    country: str
    exempt: str


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund: ``at`` decides its turn among the returns, its tax counts when the money moved and moved back."""

    id: str
    invoice: str
    amount: int
    status: str
    at: datetime
    booked: datetime | None
    failed: datetime | None


@dataclass(frozen=True, slots=True)
class CreditNote:
    """A credit note: ``refunds`` are the refunds linked to it with the amount of each."""

    id: str
    invoice: str
    total: int
    status: str
    at: datetime
    effective: datetime
    voided: datetime | None
    refunds: tuple[tuple[str, int], ...]
    to_balance: bool


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A row of the itemised report."""

    id: str
    source_id: str
    type: str
    line: str
    at: datetime
    place: Place
    tax: int
    taxable: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Registration:
    """Where Stripe Tax collects: ``until`` is None while it does. ``state`` is empty for a whole country."""

    id: str
    country: str
    state: str
    since: datetime
    until: datetime | None

    def covers(self, country: str, state: str, at: datetime) -> bool:
        """Whether tax of that jurisdiction was collected by right at ``at``."""
        where = self.country == country and self.state in ("", state)
        return where and self.since <= at and (self.until is None or at < self.until)


@dataclass(frozen=True)
class Coverage:
    """How far the sources reach: the report over [reported_from, reported_until), invoices up to ``invoiced_until``.

    ``reported_until`` is None when there is no report; ``note`` then says why.
    """

    reported_from: datetime | None
    reported_until: datetime | None
    invoiced_until: datetime | None
    note: str = ""

    def reported(self, at: datetime) -> bool:
        """Whether the report tells of automatic tax at that instant."""
        return (
            self.reported_until is not None
            and at < self.reported_until
            and (self.reported_from is None or at >= self.reported_from)
        )


@dataclass(frozen=True)
class Books:
    """What an account's tax is derived from, or a slice of it: some of the sales with all that belongs to them.

    ``sales`` names the invoice behind each id that a report prints. Coverage and registrations are the account's in
    every slice. What happened before ``since`` may be missing.
    """

    account: str
    timezone: str
    coverage: Coverage
    since: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    invoices: Mapping[str, Invoice] = field(default_factory=dict)
    invoice_taxes: Sequence[TaxLine] = ()
    refunds: Sequence[Refund] = ()
    credit_notes: Sequence[CreditNote] = ()
    credit_note_taxes: Sequence[TaxLine] = ()
    report: Sequence[ReportRow] = ()
    registrations: Sequence[Registration] = ()
    sales: Mapping[str, str] = field(default_factory=dict)
    worked_out: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What ``once`` keeps."""

    def month(self, at: datetime) -> Month:
        """Return the month of the books that an instant falls in."""
        return _month_of_day(at.date(), self.timezone) or Month.containing(at, self.timezone)

    def is_manual(self, source_id: str) -> bool:
        """Whether the id belongs to a sale whose tax we computed ourselves."""
        invoice = self.invoices.get(self.sales.get(source_id, source_id))
        return invoice is not None and not invoice.automatic


@cache
def _month_of_day(day: date, timezone: str) -> Month | None:
    """Return the month that a whole day of UTC falls in; None when it falls in two."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    first, last = (Month.containing(at, timezone) for at in (start, start + timedelta(days=1, microseconds=-1)))
    return first if first == last else None


def once(work: Callable[[Books], Iterable[T]]) -> Callable[[Books], Sequence[T]]:
    """Let ``work`` be done once for each books: rows and every check ask for the same movements."""

    @wraps(work)
    def kept(books: Books) -> Sequence[T]:
        if work.__name__ not in books.worked_out:
            books.worked_out[work.__name__] = tuple(work(books))
        found: Sequence[T] = books.worked_out[work.__name__]
        return found

    return kept


@dataclass(frozen=True, slots=True)
class Movement:
    """Tax that became payable (positive) or was given back (negative) at ``at``; ``taxable`` likewise.

    ``documents`` are the ids under which a report may print it, ``sale`` the invoice it belongs to.
    """

    at: datetime
    place: Place
    tax: int
    taxable: int
    documents: tuple[str, ...]
    line: str
    sale: str


@dataclass(frozen=True)
class JurisdictionRow:
    """A row of `tax_by_jurisdiction`, in minor units. ``until`` is at most the month's end."""

    period: str
    place: Place
    taxable: int
    collected: int
    refunded: int
    source: str
    complete: bool
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a check found: the objects concerned, in one sentence. ``month`` is empty where none applies."""

    check: str
    month: str
    ids: tuple[str, ...]
    message: str
