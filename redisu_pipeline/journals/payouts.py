"""Money on its way to the bank and back (events 12–14, 19): clearing against transit.

Arrival at the bank (event 13) is posted either here or by NetSuite's bank matching: one switch, by default not here.
"""

import narwhals as nw

from redisu_pipeline.journals.books import Books, Frame
from redisu_pipeline.journals.model import JournalClass
from redisu_pipeline.journals.postings import LegKey, Source, legs, together
from redisu_pipeline.journals.transactions import PAYOUT, TOPUP, of

_PAYOUTS = JournalClass.PAYOUTS
_ROW = Source("balance_transaction", "id", presentment=None)
_PAYOUT = Source("payout", "source", presentment=None)
_TOPUP = Source("topup", "source", presentment=None)


def postings(books: Books) -> Frame:
    """Return payouts, their returns, top-ups, and arrivals where the bank leg is ours."""
    return together([*_created(books), *_returned(books), *_topped_up(books), *_arrived(books)])


def _created(books: Books) -> list[Frame]:
    """Dr transit, Cr clearing; a positive row is a debit of our bank for a negative balance (event 19)."""
    rows = of(books, PAYOUT).filter(nw.col("category") == "payout")
    amount = nw.col("amount")
    found = []
    for event, of_event in (("12", rows.filter(amount < 0)), ("19", rows.filter(amount > 0))):
        found += [
            legs(of_event, LegKey(_PAYOUTS, event, "transit"), amount, _PAYOUT, entry="id", sign=-1),
            legs(of_event, LegKey(_PAYOUTS, event, "clearing"), amount, _ROW, entry="id"),
        ]
    return found


def _returned(books: Books) -> list[Frame]:
    """Dr clearing, Cr transit; Cr bank where the arrival had been posted before."""
    rows = of(books, PAYOUT).filter(nw.col("category") == "payout_reversal")
    arrived = arrivals(books).select("id", nw.lit("bank").alias("from"))
    known = rows.join(arrived, left_on="source", right_on="id", how="left")
    amount = nw.col("amount")
    posted = known.filter(nw.col("from") == "bank")
    under_way = known.filter(nw.col("from").is_null())
    return [
        legs(rows, LegKey(_PAYOUTS, "14", "clearing"), amount, _ROW, entry="id"),
        legs(posted, LegKey(_PAYOUTS, "14", "bank"), amount, _PAYOUT, entry="id", sign=-1),
        legs(under_way, LegKey(_PAYOUTS, "14", "transit"), amount, _PAYOUT, entry="id", sign=-1),
    ]


def _topped_up(books: Books) -> list[Frame]:
    """Dr clearing, Cr transit: NetSuite's bank matching finds the other end there (event 19)."""
    rows, amount = of(books, TOPUP), nw.col("amount")
    other = "bank" if books.policy.bank_leg else "transit"
    return [
        legs(rows, LegKey(_PAYOUTS, "19", "clearing"), amount, _ROW, entry="id"),
        legs(rows, LegKey(_PAYOUTS, "19", other), amount, _TOPUP, entry="id", sign=-1),
    ]


def arrivals(books: Books) -> Frame:
    """Return the payouts whose arrival is posted here: paid ones, and those the bank sent back after their arrival."""
    paid = nw.col("status") == "paid"
    came_back = (nw.col("status") == "failed") & (nw.col("failure_period") > nw.col("arrival_period"))
    if not books.policy.bank_leg:
        return books["payouts"].filter(paid & ~paid)
    return books["payouts"].filter(paid | came_back)


def _arrived(books: Books) -> list[Frame]:
    """Dr bank, Cr transit on the day of arrival (event 13)."""
    rows = arrivals(books).filter(nw.col("arrival_period") == books.month)
    source = Source("payout", "id", presentment=None)
    return [
        legs(rows, LegKey(_PAYOUTS, "13", "bank"), nw.col("amount"), source, entry="id"),
        legs(rows, LegKey(_PAYOUTS, "13", "transit"), nw.col("amount"), source, entry="id", sign=-1),
    ]
