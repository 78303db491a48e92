"""Disputes (events 9–11): the money is withdrawn when one opens and comes back when it is won.

A lost one books nothing at Stripe: the loss is dated by the dispute's end, its tax stays owed (netsuite-journals.md
§0.10). Signs come from the balance transaction, never from the event's name: what a countered fee does differs by
country. A reversal at another rate leaves an exchange difference.
"""

import narwhals as nw

from redisu_pipeline.journals.books import Books, Frame
from redisu_pipeline.journals.fees import detailed
from redisu_pipeline.journals.model import JournalClass
from redisu_pipeline.journals.postings import LegKey, Source, key_with, legs, together
from redisu_pipeline.journals.transactions import DISPUTE, of

_DISPUTES = JournalClass.DISPUTES
_ROW = Source("balance_transaction", "id", presentment=None)
_DISPUTE = Source("dispute", "source", presentment=None)


def postings(books: Books) -> Frame:
    """Return withdrawals, returns and losses of the month, with their fees."""
    rows = books.keep(of(books, DISPUTE))
    return together([*_moved(books, rows), *_fees(books, rows), *_lost(books)])


def _moved(books: Books, rows: Frame) -> list[Frame]:
    """Opened: Dr disputed, Cr clearing. Won: Dr clearing, Cr disputed as it was withdrawn, the rest to fx."""
    amount = nw.col("amount")
    opened = rows.filter(nw.col("category") == "dispute")
    won = rows.filter(nw.col("category") == "dispute_reversal").join(
        withdrawals(books), left_on="source", right_on="dispute", how="left"
    )
    # Without conversion the return is the withdrawal's mirror, or the part of it that comes back; so is a row of
    # nothing but a returned fee.
    plain = nw.col("rate_e8").is_null() | (amount == 0)
    settled = nw.when(plain).then(amount).otherwise(nw.coalesce(nw.col("withdrawn") * -1, amount))
    won = won.with_columns(settled.alias("settled"), (amount - settled).alias("gap"))
    return [
        legs(opened, LegKey(_DISPUTES, "9", "disputed"), amount, _DISPUTE, entry="id", sign=-1),
        legs(opened, LegKey(_DISPUTES, "9", "clearing"), amount, _ROW, entry="id"),
        legs(won, LegKey(_DISPUTES, "10", "clearing"), amount, _ROW, entry="id"),
        legs(won, LegKey(_DISPUTES, "10", "disputed"), nw.col("settled"), _DISPUTE, entry="id", sign=-1),
        legs(won, LegKey(_DISPUTES, "10", "fx"), nw.col("gap"), _DISPUTE, entry="id", sign=-1),
    ]


def withdrawals(books: Books) -> Frame:
    """Return what was `withdrawn` for each `dispute`, of any month: one row, though a fee may have a row of its own."""
    rows = books["transactions"].filter(nw.col("category") == "dispute")
    return rows.group_by("source").agg(nw.col("amount").sum().alias("withdrawn")).rename({"source": "dispute"})


def _fees(books: Books, rows: Frame) -> list[Frame]:
    """Dr dispute fee (a returned one: Cr), against clearing."""
    costs = detailed(books, rows, "fee_dispute")
    charged = rows.filter(nw.col("fee") != 0)
    return [
        legs(costs, key_with(LegKey(_DISPUTES, "9", "")), nw.col("amount"), _ROW),
        legs(charged, LegKey(_DISPUTES, "9", "clearing"), nw.col("fee"), _ROW, entry="id", sign=-1),
    ]


def _lost(books: Books) -> list[Frame]:
    """Dr dispute loss, Cr disputed: what was withdrawn and never came back (event 11)."""
    lost = books["disputes"].filter(nw.col("status") == "lost", nw.col("closed_period") == books.month)
    moved = books["transactions"].filter(nw.col("category").is_in(DISPUTE))
    gone = moved.group_by("source", "currency").agg((nw.col("amount").sum() * -1).alias("gone"))
    rows = lost.select("id", "closed_period").join(gone, left_on="id", right_on="source", how="inner")
    source = Source("dispute", "id", presentment=None)
    return [
        legs(rows, LegKey(_DISPUTES, "11", "dispute_loss"), nw.col("gone"), source, entry="id"),
        legs(rows, LegKey(_DISPUTES, "11", "disputed"), nw.col("gone"), source, entry="id", sign=-1),
    ]
