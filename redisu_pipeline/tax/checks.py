"""What must hold of the tax of one account: pure checks, each returning findings that name the objects concerned.

A finding is a thing for a person to decide on, not a reason to stop a sync; which of them stand in the way of a close
is for the asset checks and controls to say (``Check.severe``).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from redisu_pipeline.common.money import show
from redisu_pipeline.common.periods import Month
from redisu_pipeline.tables.sales import TAXABILITY
from redisu_pipeline.tax.invoiced import movements
from redisu_pipeline.tax.jurisdictions import INVOICE, REPORT, reported
from redisu_pipeline.tax.model import UNKNOWN, Books, Coverage, Finding, Invoice, Movement, Place, TaxLine

ISRAEL = "IL"
LATE_AFTER = timedelta(hours=36)
TOLERANCE_PER_TAX = 1
"""Minor units by which report and invoices may differ for each tax of a document: both round (stripe.md §7)."""

REASONS = frozenset(TAXABILITY.split())
RECENT = timedelta(days=92)
"""How long a registration may bring in nothing before that is told."""


@dataclass(frozen=True)
class Check:
    """One check: ``doc`` says what must hold. A ``severe`` finding must not reach the books undecided."""

    name: str
    doc: str
    find: Callable[[Books, datetime], Iterator[Finding]]
    severe: bool = False


def findings_of(books: Books, now: datetime) -> Iterator[Finding]:
    """Yield what every check finds at ``now``."""
    for check in CHECKS.values():
        yield from check.find(books, now)


# -- report and invoices -----------------------------------------------------------------------------------------------


@dataclass
class _Sides:
    """What the two sides say of one sale in one month and jurisdiction, and how many taxes each says it in."""

    amounts: Counter[str] = field(default_factory=Counter)
    taxes: Counter[str] = field(default_factory=Counter)
    names: set[str] = field(default_factory=set)

    def add(self, one: Movement, source: str) -> None:
        self.amounts[source] += one.tax
        self.taxes[source] += 1
        self.names.update(one.documents)


def report_differs(books: Books, _now: datetime) -> Iterator[Finding]:
    """Compare the two sides of automatic tax, sale by sale, where the report reaches.

    What goes back is compared by its sale and month, for the report may print a refund under the id of its credit note.
    """
    if books.coverage.reported_until is None:
        return
    sides: dict[tuple[str, str, Place, bool], _Sides] = defaultdict(_Sides)
    for one, source in _both(books):
        if one.tax:
            month = str(Month.containing(one.at, books.timezone))
            sides[month, one.sale, one.place, one.tax > 0].add(one, source)
    for (month, sale, place, collected), side in sorted(sides.items(), key=lambda item: item[0]):
        theirs, ours = side.amounts[REPORT], side.amounts[INVOICE]
        if abs(theirs - ours) > TOLERANCE_PER_TAX * max(side.taxes.values()):
            where = " ".join(filter(None, (place.country, place.state, place.tax_type)))
            what = "collected" if collected else "given back"
            amounts = f"{show(theirs, place.currency)} in the report, {show(ours, place.currency)}"
            ids = tuple(sorted({sale} - side.names)) + tuple(sorted(side.names))
            yield Finding("report_differs", month, ids, f"{where} {what}: {amounts} by the invoices")


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
            month = str(Month.containing(refund.at, books.timezone))
            message = f"{refund.id} and {notes[0]} give back the same money unlinked: its tax is reduced twice"
            yield Finding("refunded_twice", month, (refund.id, notes.pop(0), refund.invoice), message)


# -- registrations -----------------------------------------------------------------------------------------------------


def tax_without_registration(books: Books, _now: datetime) -> Iterator[Finding]:
    """Tell automatic tax that was collected where no registration was active at the time."""
    found: dict[tuple[str, str, str], list[Movement]] = defaultdict(list)
    for one in _automatic_sales(books):
        if not any(r.covers(one.place.country, one.place.state, one.at) for r in books.registrations):
            found[str(Month.containing(one.at, books.timezone)), one.place.country, one.place.state].append(one)
    for (month, country, state), taxes in sorted(found.items()):
        sales = tuple(sorted({one.sale for one in taxes}))
        where = f"{country} {state}".strip()
        message = f"tax of {where} was collected on {len(sales)} sales without an active registration there"
        yield Finding("tax_without_registration", month, sales, message)


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
    for message, ids in sorted(found.items()):
        yield Finding("unknown_reason", "", tuple(sorted(ids)), message)


_TYPELESS = "neither the report nor a tax rate tells the type of a tax"


def _paid(books: Books) -> Iterable[Invoice]:
    return (invoice for invoice in books.invoices.values() if invoice.status == "paid" and invoice.at is not None)


def _lines(books: Books) -> Mapping[str, list[TaxLine]]:
    found: dict[str, list[TaxLine]] = defaultdict(list)
    for line in books.invoice_taxes:
        found[line.document].append(line)
    return found


def _month(books: Books, invoice: Invoice) -> str:
    return str(Month.containing(invoice.at, books.timezone)) if invoice.at else ""


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
            Check("report_is_late", "The tax report reaches to less than 36 hours ago.", report_is_late),
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
                severe=True,
            ),
            Check(
                "registration_without_tax",
                "Every active registration brought in tax in the last three months.",
                registration_without_tax,
            ),
            Check(
                "unknown_reason",
                "Every taxability_reason is documented, and the type of every tax is known.",
                unknown_reason,
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
