"""The documents behind what goes back, gathered sale by sale: returns of one sale depend on each other.

Returns are few beside sales, so they are read row by row and split in plain Python (returns.py).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import narwhals as nw

from redisu_pipeline.common.money import allocate
from redisu_pipeline.journals import courses, sales
from redisu_pipeline.journals.books import Books, Frame
from redisu_pipeline.journals.returns import LinePart, Sale, TaxPart
from redisu_pipeline.journals.taxes import UNKNOWN, tax_role
from redisu_pipeline.journals.transactions import REFUND, of

Row = Mapping[str, Any]
_TAX = "invoice tax_rate country state amount".split()
_REFUND = "id invoice amount status created day transaction failure_transaction".split()
_BOOKING = "id created day period currency amount rate_e8".split()
_HEAD = "id currency presentment_currency total charged received gross rate_e8 up down day metadata_course".split()


class Booking(NamedTuple):
    """A balance transaction of a refund: ``amount`` signed, settlement minor units."""

    id: str
    at: datetime
    day: int
    period: int
    currency: str
    amount: int
    rate_e8: int | None


class Refund(NamedTuple):
    """A refund in presentment minor units; ``reported`` is the tax by tax rate as the tax report has it."""

    id: str
    amount: int
    status: str
    created: datetime
    day: int
    booked: Booking | None
    failed: Booking | None
    reported: Mapping[str, int] | None


class Note(NamedTuple):
    """A credit note in presentment minor units; ``refunds`` are those it explains, with the amount of each."""

    id: str
    total: int
    status: str
    created: datetime
    day: int
    period: int
    voided: datetime | None
    void_period: int | None
    void_day: int | None
    to_balance: bool
    refunds: tuple[tuple[str, int], ...]
    taxes: Mapping[str, int]
    nets: Mapping[str, int]


class Story(NamedTuple):
    """One sale with everything that ever went back of it."""

    sale: Sale
    refunds: tuple[Refund, ...]
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class ReturnRows:
    """The sales that returns of the month belong to, and the returns that nothing can be said of."""

    stories: tuple[Story, ...]
    without_sale: tuple[str, ...] = ()
    before_payment: tuple[str, ...] = ()


def read(books: Books) -> ReturnRows:
    """Return the stories of all sales of which something went back, or was taken back, in the month."""
    month = books.month
    moved = books.keep(of(books, REFUND).select(nw.col("source").alias("id")))
    refunds = {id for (id,) in moved.collect().rows()}
    notes = books["credit_notes"].filter((nw.col("period") == month) | (nw.col("void_period") == month))
    noted: list[tuple[str, str, int | None]] = notes.select("id", "invoice", "pre_payment").collect().rows()
    before = tuple(sorted(id for id, _, pre_payment in noted if pre_payment))
    wanted = {invoice for (invoice,) in _refunded(books, moved).collect().rows()}
    wanted |= {invoice for id, invoice, _ in noted if id not in before}
    stories = tuple(stories_of(books, wanted))
    known = {refund.id for story in stories for refund in story.refunds}
    return ReturnRows(stories, tuple(sorted(refunds - known)), before)


def _refunded(books: Books, refunds: Frame) -> Frame:
    """Return the `invoice` behind each of ``refunds``, where there is one; joins start from what is few."""
    charges = refunds.join(books["refunds"].select("id", "charge"), on="id", how="inner").select("charge")
    intents = charges.join(
        books["charges"].select("id", "payment_intent"), left_on="charge", right_on="id", how="inner"
    )
    paid = intents.join(sales.invoices_by_intent(books), on="payment_intent", how="inner")
    return paid.select("invoice")


def stories_of(books: Books, invoices: Iterable[str]) -> Iterator[Story]:
    """Yield the stories of ``invoices``, by their id."""
    ids = sorted(invoices)
    if not ids:
        return
    wanted = books.keep(books.make({"invoice": "string"}, [(id,) for id in ids]))
    documents = _Documents(books, wanted)
    for head in documents.heads():
        yield documents.story(head)


class _Documents:
    """Everything about some invoices, by invoice."""

    def __init__(self, books: Books, wanted: Frame) -> None:
        self._books, self._wanted = books, wanted
        self._taxes = _by(_rows(self._of(books["invoice_taxes"].select(_TAX))), "invoice")
        self._lines = _by(_rows(courses.with_course(books, self._of(books["invoice_lines"]))), "invoice")
        self._charges = sales.charges_of(books, wanted)
        self._refunds = _by(self._refund_rows(), "invoice")
        self._notes = _by(_rows(self._of(books["credit_notes"])), "invoice")
        self._bookings = self._booking_rows()
        notes = [(note["id"],) for of_invoice in self._notes.values() for note in of_invoice]
        self._note_ids = books.keep(books.make({"credit_note": "string"}, sorted(notes)))
        self._note_refunds = _by(self._of_notes("credit_note_refunds"), "credit_note")
        self._note_taxes = _by(self._of_notes("credit_note_taxes"), "credit_note")
        self._note_lines = _by(self._of_notes("credit_note_lines"), "credit_note")
        self._reported = _by(self._report_rows(), "source_id")

    def _of(self, frame: Frame) -> Frame:
        return frame.join(self._wanted, on="invoice", how="inner")

    def _of_notes(self, table: str) -> list[Row]:
        return _rows(self._books[table].join(self._note_ids, on="credit_note", how="inner"))

    def _refund_rows(self) -> list[Row]:
        return _rows(self._charges.join(self._books["refunds"], on="charge", how="inner").select(_REFUND))

    def _booking_rows(self) -> dict[str, Booking]:
        names = ("transaction", "failure_transaction")
        ids = sorted({row[name] for rows in self._refunds.values() for row in rows for name in names if row[name]})
        wanted = self._books.make({"transaction": "string"}, [(id,) for id in ids])
        booked = self._books["transactions"].select(_BOOKING)
        rows = booked.join(wanted, left_on="id", right_on="transaction", how="inner").collect().rows()
        return {row[0]: Booking(*row) for row in rows}

    def _report_rows(self) -> list[Row]:
        ids = sorted({row["id"] for rows in self._refunds.values() for row in rows})
        wanted = self._books.make({"source_id": "string"}, [(id,) for id in ids])
        return _rows(self._books["report_refunds"].join(wanted, on="source_id", how="inner"))

    def heads(self) -> list[Row]:
        """Return the invoices with what their payments came to, in the order of their ids."""
        cash = sales.payments_of(self._books, self._charges)
        paid = sales.paid_invoices(self._books).join(self._wanted, left_on="id", right_on="invoice", how="inner")
        heads = sales.invoiced_of(self._books, self._books.keep(cash), paid)
        return sorted(_rows(heads.select(_HEAD)), key=lambda row: row["id"])

    def story(self, head: Row) -> Story:
        """Return one invoice with its returns."""
        sale = self._sale(head)
        refunds = sorted(self._refunds.get(sale.invoice, ()), key=lambda row: row["id"])
        notes = sorted(self._notes.get(sale.invoice, ()), key=lambda row: row["id"])
        return Story(sale, tuple(self._refund(sale, row) for row in refunds), tuple(self._note(row) for row in notes))

    def _sale(self, head: Row) -> Sale:
        lines = sorted(self._lines.get(head["id"], ()), key=lambda row: (row["position"], row["id"]))
        fallback = head["metadata_course"] or UNKNOWN
        return Sale(
            invoice=head["id"],
            currency=head["currency"],
            shown=head["presentment_currency"],
            total=head["total"],
            charged=head["charged"] or head["total"],
            received=head["received"] or head["gross"],
            rate_e8=head["rate_e8"],
            up=head["up"],
            down=head["down"],
            day=head["day"],
            taxes=_tax_parts(self._taxes.get(head["id"], ())),
            lines=tuple(LinePart(row["id"], row["course"] or fallback, row["net"]) for row in lines),
        )

    def _refund(self, sale: Sale, row: Row) -> Refund:
        return Refund(
            id=row["id"],
            amount=row["amount"],
            status=row["status"],
            created=row["created"],
            day=row["day"],
            booked=self._bookings.get(row["transaction"]),
            failed=self._bookings.get(row["failure_transaction"]),
            reported=_reported(sale, self._reported.get(row["id"], ())),
        )

    def _note(self, row: Row) -> Note:
        linked = sorted(self._note_refunds.get(row["id"], ()), key=lambda one: str(one["refund"]))
        taxes: dict[str, int] = defaultdict(int)
        for tax in self._note_taxes.get(row["id"], ()):
            taxes[tax["tax_rate"]] += tax["amount"]
        nets: dict[str, int] = defaultdict(int)
        for line in self._note_lines.get(row["id"], ()):
            if line["invoice_line"] is not None:
                nets[line["invoice_line"]] += _net_of(line)
        return Note(
            id=row["id"],
            total=row["total"],
            status=row["status"],
            created=row["created"],
            day=row["day"],
            period=row["period"],
            voided=row["voided_at"],
            void_period=row["void_period"],
            void_day=row["void_day"],
            to_balance=bool(row["to_balance"]),
            refunds=tuple((one["refund"], one["amount"]) for one in linked),
            taxes=dict(taxes),
            nets=dict(nets),
        )


def _rows(frame: Frame) -> list[Row]:
    return list(frame.collect().rows(named=True))


def _by(rows: Iterable[Row], column: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[column]].append(row)
    return found


def _net_of(line: Row) -> int:
    return int(line["amount"]) - int(line["discount_amount"] or 0) - int(line["inclusive_tax"] or 0)


def _tax_parts(rows: Iterable[Row]) -> tuple[TaxPart, ...]:
    """Add the lines' taxes up by tax rate, as the invoice's `total_taxes` does."""
    amounts: dict[tuple[str, str, str], int] = defaultdict(int)
    for row in rows:
        country, state = row["country"] or UNKNOWN, row["state"] or ""
        nobody = country == "US" and not state
        amounts[row["tax_rate"] or "", country, UNKNOWN if nobody else state] += row["amount"]
    return tuple(
        TaxPart(rate, tax_role(country), country, state, amount)
        for (rate, country, state), amount in sorted(amounts.items())
        if amount
    )


def _reported(sale: Sale, rows: Iterable[Row]) -> dict[str, int] | None:
    """Return the report's tax of a refund by tax rate; None where it has none, or names another jurisdiction.

    The report knows places, not our rates: a place's tax is shared among its rates in proportion. Tax that goes back
    is negative there; a refund that failed has positive rows too, which take it back and are no part of its split.
    """
    places: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        places[row["country"] or "", row["state"] or ""] += max(-row["amount"], 0)
    if not places:
        return None
    found: dict[str, int] = {}
    for place, amount in places.items():
        parts = [part for part in sale.taxes if (part.country, part.state) == place]
        weights = [max(part.amount, 0) for part in parts]
        if amount and not any(weights):
            return None
        shares = allocate(amount, weights) if parts else []
        found.update({part.rate: share for part, share in zip(parts, shares, strict=True)})
    return found
