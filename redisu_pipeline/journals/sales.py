"""Sales (events 1, 3, 7, 20, 21): the cash leg is the balance transaction, revenue and tax come from the invoice.

Cash is dated by its balance transaction, revenue and tax by the invoice. Where the two fall into one month, clearing
stands against revenue and tax; where not, `in_flight` bridges them (netsuite-journals.md §2.3, §2.5). A zero invoice
(event 22) books nothing.
"""

import narwhals as nw

from redisu_pipeline.journals import courses, taxes
from redisu_pipeline.journals.books import Books, Frame
from redisu_pipeline.journals.conversion import with_bridge, with_converted
from redisu_pipeline.journals.model import JournalClass
from redisu_pipeline.journals.postings import LegKey, Source, key_with, legs, together
from redisu_pipeline.journals.transactions import SALE, SALE_FAILED

_SALES = JournalClass.SALES
PARTS = ("offline", "overpaid", "applied")
"""What of an invoice did not come as money of its own; see `_valued`."""


def postings(books: Books) -> Frame:
    """Return the sales of the month."""
    cash = books.keep(payments(books))
    invoiced = books.keep(invoiced_of(books, cash, paid_in(books)))
    return together([*_cash_legs(books, cash), *_failed(books), *_invoice_legs(books, invoiced)])


def invoices_by_intent(books: Books) -> Frame:
    """Return which invoice a payment intent paid."""
    paid = books["invoice_payments"].filter(nw.col("status") == "paid", ~nw.col("payment_intent").is_null())
    return paid.select("payment_intent", "invoice")


def paid_in(books: Books) -> Frame:
    """Return the paid invoices of the month; those over nothing book nothing."""
    return paid_invoices(books).filter(nw.col("period") == books.month)


def paid_invoices(books: Books) -> Frame:
    """Return every invoice that stands for revenue."""
    return books["invoices"].filter(nw.col("status") == "paid", nw.col("total") != 0)


_BOOKED = "id source period currency amount rate_e8".split()
_CASH = "id entry invoice together period currency amount rate_e8 charge_amount presentment_currency".split()


def payments(books: Books) -> Frame:
    """Return the payments whose money or whose invoice falls into the month, one row per balance transaction.

    `invoice` is null where no paid one is known. Where both fall into the month they are `together`: one entry.
    """
    month = books.month
    charges = books["charges"].select(
        nw.col("id").alias("source"),
        "payment_intent",
        nw.col("amount").alias("charge_amount"),
        nw.col("currency").alias("presentment_currency"),
    )
    dated = paid_invoices(books).select(nw.col("id").alias("invoice"), nw.col("period").alias("invoice_period"))
    booked = books["transactions"].filter(nw.col("category").is_in(SALE)).select(*_BOOKED)
    charged = booked.join(charges, on="source", how="left")
    named = charged.join(invoices_by_intent(books), on="payment_intent", how="left")
    known = named.join(dated, on="invoice", how="left")
    here = known.filter((nw.col("period") == month) | (nw.col("invoice_period") == month))
    both = ((nw.col("period") == month) & (nw.col("invoice_period") == month)).fill_null(value=False)
    # An invoice that is not paid stands for nothing yet.
    paid = nw.when(nw.col("invoice_period").is_null()).then(nw.lit(None)).otherwise(nw.col("invoice"))
    entry = nw.when(both).then(nw.col("invoice")).otherwise(nw.col("id"))
    return here.with_columns(both.alias("together"), entry.alias("entry"), paid.alias("invoice")).select(*_CASH)


def payments_of(books: Books, charges: Frame) -> Frame:
    """Return the payments that ``charges`` (see charges_of) became, of any month, for invoiced_of."""
    booked = books["transactions"].filter(nw.col("category").is_in(SALE)).select(*_BOOKED)
    return charges.join(booked, left_on="charge", right_on="source", how="inner")


def charges_of(books: Books, invoices: Frame) -> Frame:
    """Return `invoice, charge, charge_amount` of ``invoices`` (`invoice`), charged in any month, worked out."""
    charges = books["charges"].select(
        nw.col("id").alias("charge"), "payment_intent", nw.col("amount").alias("charge_amount")
    )
    paid = invoices.select("invoice").join(invoices_by_intent(books), on="invoice", how="inner")
    return books.keep(paid.join(charges, on="payment_intent", how="inner").drop("payment_intent"))


def _cash_legs(books: Books, cash: Frame) -> list[Frame]:
    """Dr clearing; Cr in flight where the invoice falls into another month, or has not come yet."""
    here = cash.filter(nw.col("period") == books.month)
    sold, alone = here.filter(nw.col("together")), here.filter(~nw.col("together"))
    source = Source("balance_transaction", "id", presentment="charge_amount")
    return [
        legs(sold, LegKey(_SALES, "1", "clearing"), nw.col("amount"), source),
        legs(alone, LegKey(_SALES, "3", "clearing"), nw.col("amount"), source),
        legs(alone, LegKey(_SALES, "3", "in_flight"), nw.col("amount"), source, sign=-1),
    ]


def _failed(books: Books) -> list[Frame]:
    """A delayed payment that fails after it was booked never had an invoice: Dr in flight, Cr clearing (event 7)."""
    booked = books["transactions"].filter(nw.col("category").is_in(SALE_FAILED), nw.col("period") == books.month)
    charges = books["charges"].select(
        nw.col("id").alias("charge"),
        nw.col("amount").alias("presentment"),
        nw.col("currency").alias("presentment_currency"),
    )
    failed = booked.join(charges, left_on="source", right_on="charge", how="left").with_columns(
        nw.col("id").alias("entry"), (nw.col("presentment") * -1).alias("presentment")
    )
    source = Source("balance_transaction", "id")
    return [
        legs(failed, LegKey(_SALES, "7", "clearing"), nw.col("amount"), source),
        legs(failed, LegKey(_SALES, "7", "in_flight"), nw.col("amount"), source, sign=-1),
    ]


_INVOICED = (
    "id currency presentment_currency rate_e8 up down day metadata_course total gross expected charged received "
    "received_here"
).split() + list(PARTS)


def invoiced_of(books: Books, cash: Frame, invoices: Frame) -> Frame:
    """Return ``invoices`` with what they come to in settlement currency; ``cash`` has all their payments.

    gross: the invoice in settlement currency. received: its money, of whichever month. received_here: of this month.
    """
    received = cash.group_by("invoice").agg(
        nw.col("currency").min().alias("settlement"),
        nw.col("amount").sum().alias("received"),
        nw.when(nw.col("period") == books.month).then(nw.col("amount")).otherwise(0).sum().alias("received_here"),
        nw.col("rate_e8").min().alias("rate_e8"),
        nw.col("charge_amount").sum().alias("charged"),
    )
    joined = invoices.join(received, left_on="id", right_on="invoice", how="left")
    named = joined.with_columns(
        nw.col("currency").alias("presentment_currency"),
        nw.coalesce(nw.col("settlement"), nw.col("currency")).alias("currency"),
        nw.col("received").fill_null(0),
        nw.col("received_here").fill_null(0),
        nw.col("charged").fill_null(0),
    )
    return _valued(with_bridge(books, named)).select(*_INVOICED)


def _valued(invoices: Frame) -> Frame:
    """Add what the invoice and its parts come to in settlement currency: the cash leg decides, the rest is converted.

    offline: paid outside Stripe (event 20). applied: paid from the customer's balance. overpaid: owed to the customer
    (event 21). expected: the money that must come.
    """
    off, over = nw.col("amount_paid_off_stripe"), nw.col("amount_overpaid")
    shown = invoices.with_columns(
        off.fill_null(0).alias("offline"),
        over.fill_null(0).alias("overpaid"),
    )
    shown = shown.with_columns(
        nw.when(nw.col("overpaid") > 0).then(0).otherwise(nw.col("total") - nw.col("amount_paid")).alias("applied"),
    )
    # Amounts ≥ 0 at the invoice's rate; unchanged where nothing is converted.
    shown = with_converted(shown, **{f"settled_{part}": part for part in PARTS})
    is_converted = ~nw.col("rate_e8").is_null()
    shown = shown.with_columns(
        *[nw.when(is_converted).then(nw.col(f"settled_{part}")).otherwise(nw.col(part)).alias(part) for part in PARTS]
    ).drop([f"settled_{part}" for part in PARTS])
    parts = nw.col("offline") + nw.col("applied") - nw.col("overpaid")
    valued = shown.with_columns(
        nw.when(is_converted).then(nw.col("received") + parts).otherwise(nw.col("total")).alias("gross")
    )
    expected = nw.when(is_converted).then(nw.col("received")).otherwise(nw.col("gross") - parts)
    return valued.with_columns(expected.alias("expected"))


def _invoice_legs(books: Books, invoices: Frame) -> list[Frame]:
    """Cr tax by jurisdiction, Cr revenue by course; Dr what of the money does not stand in clearing this month."""
    source = Source("invoice", "id", presentment=None)
    by_place = books.keep(taxes.of_invoices(books, invoices))
    taxed = by_place.group_by("id").agg(nw.col("amount").sum().alias("taxes"))
    net = invoices.join(taxed, on="id", how="left").with_columns(
        (nw.col("gross") - nw.col("taxes").fill_null(0)).alias("net")
    )
    revenue = courses.revenue(books, net)
    elsewhere = nw.col("expected") - nw.col("received_here")
    return [
        legs(
            by_place,
            key_with(LegKey(_SALES, "1", ""), country="country", state="state"),
            nw.col("amount"),
            Source("invoice", "id"),
            entry="id",
            sign=-1,
        ),
        legs(
            revenue,
            key_with(LegKey(_SALES, "1", ""), course="course"),
            nw.col("amount"),
            Source("invoice", "id"),
            entry="id",
            sign=-1,
        ),
        legs(invoices, LegKey(_SALES, "3", "in_flight"), elsewhere, source, entry="id"),
        legs(invoices, LegKey(_SALES, "20", "offline_receivable"), nw.col("offline"), source, entry="id"),
        legs(invoices, LegKey(_SALES, "1", "customer_credit"), nw.col("applied"), source, entry="id"),
        legs(invoices, LegKey(_SALES, "21", "customer_credit"), nw.col("overpaid"), source, entry="id", sign=-1),
    ]
