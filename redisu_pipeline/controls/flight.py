"""Payments that the journals put in flight: booked in one month, invoiced in another (event 3).

Who they are comes from the journals' legs, which are few; how much they are is looked up in the lake. If the journals
named the wrong ones, the sums of C9 would not agree.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import narwhals as nw

from redisu_pipeline.controls.rows import Row, rows_of
from redisu_pipeline.journals.books import Books, Frame
from redisu_pipeline.journals.sales import invoices_by_intent
from redisu_pipeline.journals.transactions import SALE


@dataclass(frozen=True)
class Ahead:
    """A charge of the month whose invoice is of another month, or has not come. ``shown`` is presentment."""

    charge: str
    status: str
    currency: str
    amount: int
    shown_currency: str
    shown: int
    invoiced: bool


@dataclass(frozen=True)
class Behind:
    """An invoice of the month whose money is of another month, as far as it is: ``amount`` settled, ``shown`` not.

    ``uncharged`` (presentment) is what no successful charge of any month stands for: it would stay in flight for ever.
    ``charges`` is how many charges of it the lake knows.
    """

    invoice: str
    currency: str
    amount: int
    shown_currency: str
    shown: int
    uncharged: int
    charges: int


@dataclass(frozen=True)
class Flight:
    """Both kinds."""

    ahead: Sequence[Ahead]
    behind: Sequence[Behind]


def received() -> nw.Expr:
    """Return the money that an invoice brings in through Stripe, in its own currency."""
    off = nw.col("amount_paid_off_stripe").fill_null(0)
    over = nw.col("amount_overpaid").fill_null(0)
    return nw.when(over > 0).then(nw.col("total") + over - off).otherwise(nw.col("amount_paid") - off)


def flight_of(books: Books, transactions: Frame, legs: Frame) -> Flight:
    """Return what ``legs`` put in flight, or landed; ``transactions`` are the month's."""
    named = books.keep(legs.select("source_object", nw.col("source_id").alias("id")))
    cash = named.filter(nw.col("source_object") == "balance_transaction").select("id")
    sent = named.filter(nw.col("source_object") == "invoice").select("id")
    return Flight(_ahead(books, transactions, cash), _behind(books, sent))


def _paid_by(books: Books, column: str, wanted: Frame) -> Frame:
    """Return `invoice, payment_intent` of paid invoices, only where ``column`` is among ``wanted``."""
    ours = invoices_by_intent(books).join(wanted, on=column, how="semi").select("invoice", "payment_intent")
    return books.keep(ours.unique(["invoice", "payment_intent"]))


def _ahead(books: Books, transactions: Frame, cash: Frame) -> list[Ahead]:
    keep = books.keep
    rows = keep(transactions.join(cash, on="id", how="semi").select("id", "source", "currency", "amount"))
    charges = books["charges"].select(
        nw.col("id").alias("source"),
        nw.col("status"),
        "payment_intent",
        nw.col("currency").alias("shown_currency"),
        nw.col("amount").alias("shown"),
    )
    ours = keep(charges.join(rows.select("source"), on="source", how="semi"))
    invoiced = _paid_by(books, "payment_intent", ours.select("payment_intent"))
    known = invoiced.select("payment_intent", nw.lit(1).alias("invoiced")).unique("payment_intent")
    joined = rows.join(ours, on="source", how="inner").join(known, on="payment_intent", how="left")
    columns = ("source", "status", "currency", "amount", "shown_currency", "shown", "invoiced")
    return [
        Ahead(
            charge=row["source"],
            status=row["status"],
            currency=row["currency"],
            amount=row["amount"],
            shown_currency=row["shown_currency"],
            shown=row["shown"],
            invoiced=row["invoiced"] is not None,
        )
        for row in rows_of(joined, *columns)
    ]


def _behind(books: Books, sent: Frame) -> list[Behind]:
    keep = books.keep
    waiting = keep(books["invoices"].join(sent, on="id", how="semi").with_columns(received().alias("due")))
    paid = _paid_by(books, "invoice", sent.select(nw.col("id").alias("invoice")))
    charges = books["charges"].select(
        nw.col("id").alias("source"), "payment_intent", nw.col("amount").alias("shown"), "status"
    )
    tried = charges.join(paid.select("payment_intent"), on="payment_intent", how="semi")
    ours = keep(tried.join(paid, on="payment_intent", how="inner"))
    booked = books["transactions"].filter(nw.col("category").is_in(SALE))
    of_ours = booked.join(ours.select("source"), on="source", how="semi")
    rows = keep(of_ours.select("source", "currency", "amount", "period", "rate_e8"))
    moved = rows.join(ours, on="source", how="inner")
    columns = ("invoice", "period", "currency", "amount", "rate_e8", "shown", "source")
    by_invoice: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of(moved, *columns):
        by_invoice[row["invoice"]].append(row)
    charged: dict[str, list[int]] = defaultdict(list)
    for row in rows_of(ours.filter(nw.col("status") == "succeeded"), "invoice", "shown", "source"):
        charged[row["invoice"]].append(row["shown"])
    heads = rows_of(waiting, "id", "currency", "due")
    return [_of_invoice(head, by_invoice[head["id"]], charged[head["id"]], books.month) for head in heads]


def _of_invoice(head: Row, paid: Sequence[Row], charged: Sequence[int], month: int) -> Behind:
    """Return what of an invoice's money is of another month; a converted one is worth what its bookings came to."""
    shown = head["due"] - sum(row["shown"] for row in paid if row["period"] == month)
    currency, amount = head["currency"], shown
    if any(row["rate_e8"] is not None for row in paid):
        currency = paid[0]["currency"]
        amount = sum(row["amount"] for row in paid if row["period"] != month)
    return Behind(
        invoice=head["id"],
        currency=currency,
        amount=amount,
        shown_currency=head["currency"],
        shown=shown,
        uncharged=head["due"] - sum(charged),
        charges=len(charged),
    )
