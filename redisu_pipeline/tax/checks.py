"""What must hold of the tax of one account: pure checks, each returning findings that name the objects concerned.

A finding is a thing for a person to decide on, not a reason to stop a sync; which of them stand in the way of a close
is for the asset checks and controls to say (``Check.severe``). A check looks at a slice of the books at a time, and
``Check.merge`` says what its findings are for the whole: the same however many slices there are.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from redisu_pipeline.common.money import show
from redisu_pipeline.tables.sales import TAXABILITY
from redisu_pipeline.tax.invoiced import movements
from redisu_pipeline.tax.jurisdictions import reported
from redisu_pipeline.tax.merging import Agreed, Merge, Merged, Summary, Together, United
from redisu_pipeline.tax.model import UNKNOWN, Books, Finding, Invoice, Movement, TaxLine
from redisu_pipeline.tax.two_sides import report_differs, report_is_late

ISRAEL = "IL"

REASONS = frozenset(TAXABILITY.split())
RECENT = timedelta(days=92)
"""How long a registration may bring in nothing before that is told."""


@dataclass(frozen=True)
class Check:
    """One check: ``doc`` says what must hold. A ``severe`` finding must not reach the books undecided.

    ``find`` looks at a slice, ``merge`` makes its findings of what it found in each.
    """

    name: str
    doc: str
    find: Callable[[Books, datetime], Iterator[Finding]]
    merge: Merge = Together
    severe: bool = False


class Findings:
    """What checks find at ``now``, slice by slice; ``shown`` is how many of a check's findings will be shown of all."""

    def __init__(self, now: datetime, checks: Iterable[Check], shown: int | None = None) -> None:
        self._now = now
        self._merged: dict[str, tuple[Check, Merged]] = {one.name: (one, one.merge(shown)) for one in checks}

    def add(self, books: Books) -> None:
        """Look at one slice."""
        for check, merged in self._merged.values():
            merged.add(check.find(books, self._now))

    def of(self, check: Check) -> list[Finding]:
        """Return what one of the checks found."""
        return self._merged[check.name][1].findings()

    def summaries(self) -> dict[str, Summary]:
        """Return what every check found in short, in the order of the checks."""
        return {name: merged.summary() for name, (_, merged) in self._merged.items()}


# -- who was charged what ----------------------------------------------------------------------------------------------


def israeli_without_vat(books: Books, _now: datetime) -> Iterator[Finding]:
    """Tell paid invoices of Israeli buyers on which no Israeli tax stands (Stripe Tax has no Israel)."""
    taxed = {line.document for line in books.invoice_taxes if line.place.country == ISRAEL and line.tax > 0}
    for invoice in _paid(books):
        if invoice.country == ISRAEL and invoice.net > 0 and invoice.exempt == "none" and invoice.id not in taxed:
            message = f"an Israeli buyer paid {show(invoice.total, invoice.currency)} without VAT"
            yield Finding("israeli_without_vat", _month(books, invoice), (invoice.id,), message)


def manual_rate_abroad(books: Books, _now: datetime) -> Iterator[Finding]:
    """Tell manual rates charged to buyers of another country than the rate's."""
    lines = _lines(books)
    for invoice in _paid(books):
        if invoice.automatic or not invoice.country:
            continue
        charged: dict[str, int] = defaultdict(int)
        for line in lines.get(invoice.id, ()):
            charged[line.place.country] += line.tax
        for country, tax in sorted(charged.items()):
            if tax > 0 and country and country != invoice.country:
                message = f"{show(tax, invoice.currency)} of {country} tax charged to a buyer in {invoice.country}"
                yield Finding("manual_rate_abroad", _month(books, invoice), (invoice.id,), message)


def refunded_twice(books: Books, _now: datetime) -> Iterator[Finding]:
    """Tell a refund beside a credit note of the same invoice and amount that are not linked: tax falls twice."""
    linked = {refund for note in books.credit_notes for refund, _ in note.refunds}
    loose = defaultdict(list)
    for note in books.credit_notes:
        if note.status == "issued" and not note.refunds and not note.to_balance:
            loose[note.invoice, note.total].append(note.id)
    for refund in books.refunds:
        notes = loose.get((refund.invoice, refund.amount), []) if refund.status == "succeeded" else []
        if notes and refund.id not in linked:
            month = str(books.month(refund.at))
            message = f"{refund.id} and {notes[0]} give back the same money unlinked: its tax is reduced twice"
            yield Finding("refunded_twice", month, (refund.id, notes.pop(0), refund.invoice), message)


# -- registrations -----------------------------------------------------------------------------------------------------


def tax_without_registration(books: Books, _now: datetime) -> Iterator[Finding]:
    """Tell automatic tax that was collected where no registration was active at the time, a jurisdiction a finding.

    The message is only the jurisdiction: how many sales it is takes all slices to say.
    """
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in _automatic_sales(books):
        if not any(r.covers(one.place.country, one.place.state, one.at) for r in books.registrations):
            where = f"{one.place.country} {one.place.state}".strip()
            found[str(books.month(one.at)), where].add(one.sale)
    for (month, where), sales in found.items():
        yield Finding("tax_without_registration", month, tuple(sales), where)


class _Unregistered(United):
    def sentence(self, message: str, ids: int) -> str:
        return f"tax of {message} was collected on {ids} sales without an active registration there"


def registration_without_tax(books: Books, now: datetime) -> Iterator[Finding]:
    """Tell registrations that were active throughout the last three months and brought in nothing."""
    places = {(one.place.country, one.place.state) for one in _automatic_sales(books) if now - one.at < RECENT}
    for one in books.registrations:
        active = one.since <= now - RECENT and (one.until is None or one.until > now)
        used = any(country == one.country and one.state in ("", state) for country, state in places)
        if active and not used:
            where = f"{one.country} {one.state}".strip()
            message = f"the registration in {where} is active, but no tax of {where} was collected for three months"
            yield Finding("registration_without_tax", "", (one.id,), message)


def _automatic_sales(books: Books) -> Iterator[Movement]:
    """Yield the tax of automatic sales by whichever side has it: the report, else the invoices."""
    seen = set()
    for one in reported(books):
        seen.add(one.sale)
        if one.tax > 0 and one.place.country:
            yield one
    for one in movements(books):
        if books.invoices[one.sale].automatic and one.sale not in seen and one.tax > 0 and one.place.country:
            yield one


# -- values ------------------------------------------------------------------------------------------------------------


def unknown_reason(books: Books, _now: datetime) -> Iterator[Finding]:
    """Tell values of `taxability_reason` that Stripe does not document, and taxes whose type nothing tells."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in (*books.invoice_taxes, *books.credit_note_taxes):
        if line.reason is not None and line.reason not in REASONS:
            found[f"taxability_reason {line.reason!r} is not documented"].add(line.document)
        if line.tax and line.place.tax_type == UNKNOWN:
            found[_TYPELESS].add(line.document)
    for row in books.report:
        if row.reason is not None and row.reason not in REASONS:
            found[f"taxability_reason {row.reason!r} is not documented"].add(row.source_id)
        if row.tax and row.place.tax_type == UNKNOWN:
            found[_TYPELESS].add(row.source_id)
    for message, ids in found.items():
        yield Finding("unknown_reason", "", tuple(ids), message)


_TYPELESS = "neither the report nor a tax rate tells the type of a tax"


def _paid(books: Books) -> Iterable[Invoice]:
    return (invoice for invoice in books.invoices.values() if invoice.status == "paid" and invoice.at is not None)


def _lines(books: Books) -> Mapping[str, list[TaxLine]]:
    found: dict[str, list[TaxLine]] = defaultdict(list)
    for line in books.invoice_taxes:
        found[line.document].append(line)
    return found


def _month(books: Books, invoice: Invoice) -> str:
    return str(books.month(invoice.at)) if invoice.at else ""


CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        check.name: check
        for check in (
            Check(
                "report_differs",
                "Report and invoices agree on automatic tax by month and jurisdiction, to one minor unit for each tax.",
                report_differs,
                severe=True,
            ),
            Check("report_is_late", "The tax report reaches to less than 36 hours ago.", report_is_late, Agreed),
            Check("israeli_without_vat", "Every Israeli buyer was charged Israeli VAT.", israeli_without_vat),
            Check(
                "manual_rate_abroad",
                "A manual rate is charged only to buyers of its own country.",
                manual_rate_abroad,
                severe=True,
            ),
            Check(
                "tax_without_registration",
                "Tax is collected only where a registration is active.",
                tax_without_registration,
                _Unregistered,
                severe=True,
            ),
            Check(
                "registration_without_tax",
                "Every active registration brought in tax in the last three months.",
                registration_without_tax,
                Agreed,
            ),
            Check(
                "unknown_reason",
                "Every taxability_reason is documented, and the type of every tax is known.",
                unknown_reason,
                United,
                severe=True,
            ),
            Check(
                "refunded_twice",
                "No refund stands beside an unlinked credit note for the same money.",
                refunded_twice,
                severe=True,
            ),
        )
    }
)
