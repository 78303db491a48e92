"""All journals of one account and month: every rule once, then lines. The same books give the same lines."""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import narwhals as nw

from redisu_pipeline.journals import deferral, disputes, fees, payouts, refunds, reserves, sales
from redisu_pipeline.journals.books import Books, Frame
from redisu_pipeline.journals.model import Blocked
from redisu_pipeline.journals.postings import LegKey, frame_of
from redisu_pipeline.journals.taxes import UNKNOWN

DEBIT, CREDIT = "debit", "credit"


@dataclass(frozen=True)
class Total:
    """What one line stands for: its key, currency and side, the sum (debit positive) and how many legs it has."""

    key: LegKey
    currency: str
    side: str
    amount: int
    legs: int
    account: str = ""
    """GL account, where a late change must hit the one that was posted to; "" lets the chart decide."""


@dataclass(frozen=True)
class Derived:
    """A month's postings, their totals, and what blocks it."""

    postings: Frame
    totals: tuple[Total, ...]
    blocked: tuple[Blocked, ...]


def derive(books: Books) -> Derived:
    """Return everything that the month's books consist of."""
    # Returns are worked out row by row in Python: another thread does that while the engine is busy with the rest.
    with ThreadPoolExecutor(1) as beside:
        returns = beside.submit(refunds.postings, books)
        sold, (fee_legs, unknown) = sales.postings(books), fees.postings(books)
        many = books.gather([sold, fee_legs, disputes.postings(books), payouts.postings(books)])
        held, alone = reserves.postings(books)
        released = deferral.postings(books)
        returned, without = returns.result()
    postings = books.gather([many, frame_of(books, [*returned, *held, *released])])
    totals = totals_of(postings)
    return Derived(postings, totals, (*unknown, *without, *alone, *_nameless(postings, totals)))


def with_side(postings: Frame) -> Frame:
    """Add `side`: both sides of an account are kept gross (§2.7)."""
    return postings.with_columns(
        nw.when(nw.col("amount") > 0).then(nw.lit(DEBIT)).otherwise(nw.lit(CREDIT)).alias("side")
    )


def totals_of(postings: Frame) -> tuple[Total, ...]:
    """Return the sums by key, currency and side, sorted."""
    summed = (
        with_side(postings)
        .group_by("key", "currency", "side")
        .agg(nw.col("amount").sum().alias("amount"), nw.len().alias("legs"))
    )
    rows = sorted(summed.select("key", "currency", "side", "amount", "legs").collect().rows())
    return tuple(Total(LegKey.parse(key), currency, side, int(a), int(n)) for key, currency, side, a, n in rows)


_NAMELESS = {
    "course": ("product", "sales without a course", "give the product a metadata.course at Stripe, then sync"),
    "state": ("jurisdiction", "US tax without a state", "look at the tax rate at Stripe: give it its state, then sync"),
    "country": (
        "jurisdiction",
        "tax without a country",
        "look at the tax rate at Stripe: give it its country, then sync",
    ),
    "role": ("category", "fees of a type that no rule knows", "tell the maintainers: a new fee type needs a decision"),
}


def _nameless(postings: Frame, totals: tuple[Total, ...]) -> list[Blocked]:
    """Return what lacks a course, a jurisdiction or a role, with the ids concerned."""
    keys: dict[str, list[str]] = defaultdict(list)
    for total in totals:
        for part in _NAMELESS:
            if getattr(total.key, part) == UNKNOWN:
                keys[part].append(str(total.key))
    found = []
    for part, marked in keys.items():
        rows = postings.filter(nw.col("key").is_in(marked)).select("source_id").collect()
        kind, what, mend = _NAMELESS[part]
        found.append(Blocked(kind, what, mend, tuple(sorted(set(rows["source_id"].to_list())))))
    return found
