"""What tax is derived from, and what comes of it: plain frozen rows, money in minor units, instants in UTC.

Two sources tell of tax. The itemised report has automatic tax, a day late; invoices, credit notes and refunds have all
tax at once, but a refund carries no split. Every movement is taken from one of them only (see jurisdictions.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

UNKNOWN = "unknown"
"""Stands for a tax type that neither the report nor a tax rate tells; a check lists it."""


class Place(NamedTuple):
    """Whose tax, and in which currency. ``state`` is empty for the tax of a whole country."""

    country: str
    state: str
    tax_type: str
    currency: str


@dataclass(frozen=True)
class TaxLine:
    """One tax on one line of an invoice or credit note. ``rate`` is the tax rate's id."""

    document: str
    line: str
    rate: str
    place: Place
    tax: int
    taxable: int
    reason: str | None


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Refund:
    """A refund: ``at`` decides its turn among the returns, its tax counts when the money moved and moved back."""

    id: str
    invoice: str
    amount: int
    status: str
    at: datetime
    booked: datetime | None
    failed: datetime | None


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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
    """All that one account's tax is derived from. ``sales`` names the invoice behind each id that a report prints.

    What happened before ``since`` may be missing from it.
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

    def is_manual(self, source_id: str) -> bool:
        """Whether the id belongs to a sale whose tax we computed ourselves."""
        invoice = self.invoices.get(self.sales.get(source_id, source_id))
        return invoice is not None and not invoice.automatic


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Finding:
    """Something that a check found: the objects concerned, in one sentence. ``month`` is empty where none applies."""

    check: str
    month: str
    ids: tuple[str, ...]
    message: str
