"""Building postings: the few words in which every rule says debit and credit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import narwhals as nw

from redisu_pipeline.journals.books import Books, Frame
from redisu_pipeline.journals.model import JournalClass

POSTING = {
    "entry": "string",
    "key": "string",
    "currency": "string",
    "amount": "int64",
    "source_object": "string",
    "source_id": "string",
    "presentment_amount": "int64",
    "presentment_currency": "string",
    "rate_e8": "int64",
}
"""Columns of postings, one row per leg of an entry.

entry: what balances by itself: the id of the balance transaction, invoice, refund, … behind it.
key: class, event, role, course, country and state in one text (see `LegKey`); one text is joined and grouped faster.
currency: of settlement, upper case. amount: minor units, debit positive. presentment_*: the same in the buyer's
currency, same sign. rate_e8: presentment → settlement × 10^8, null where they are the same.
"""
FEW = ("key", "currency", "source_object", "presentment_currency")
"""Columns of few different texts: as categories they take a quarter of the memory, and are compared as numbers."""
_MARK = "\x1f"  # in no id, slug or ISO code


class LegKey(NamedTuple):
    """What a leg is: ``event`` is the rule's number in netsuite-journals.md §2.3; "" where a part does not apply."""

    klass: JournalClass
    event: str
    role: str
    course: str = ""
    country: str = ""
    state: str = ""

    def __str__(self) -> str:
        return _MARK.join((self.klass, self.event, self.role, self.course, self.country, self.state))

    @staticmethod
    def prefix(klass: str) -> str:
        """Return how the keys of a class begin."""
        return f"{klass}{_MARK}"

    @classmethod
    def parse(cls, key: str) -> "LegKey":
        """Read what ``str`` wrote."""
        klass, event, role, course, country, state = key.split(_MARK)
        return cls(JournalClass(klass), event, role, course, country, state)


@dataclass(frozen=True)
class Source:
    """Where a leg comes from: kind of Stripe object, and the columns of its id and its presentment amount."""

    object: str
    id: str
    presentment: str | None = "presentment"


def legs(
    frame: Frame,
    key: LegKey | nw.Expr,
    amount: nw.Expr,
    source: Source,
    *,
    entry: str = "entry",
    sign: int = 1,
) -> Frame:
    """Return one leg per row of ``frame``; zero amounts are dropped.

    ``frame`` has `currency` and, where ``source.presentment`` is named, that column with `presentment_currency` and
    `rate_e8`. ``sign`` −1 makes credits; presentment amounts take the sign of the leg.
    """
    amount = amount * sign
    key_column = nw.lit(str(key)) if isinstance(key, LegKey) else key
    if source.presentment is None:
        shown = (nw.lit(None).cast(nw.Int64), nw.lit(None).cast(nw.String), nw.lit(None).cast(nw.Int64))
    else:
        shown = (nw.col(source.presentment) * sign, nw.col("presentment_currency"), nw.col("rate_e8"))
    return frame.select(
        nw.col(entry).alias("entry"),
        key_column.alias("key"),
        nw.col("currency"),
        amount.alias("amount"),
        nw.lit(source.object).alias("source_object"),
        nw.col(source.id).alias("source_id"),
        shown[0].alias("presentment_amount"),
        shown[1].alias("presentment_currency"),
        shown[2].alias("rate_e8"),
    ).filter(nw.col("amount") != 0)


def key_with(key: LegKey, course: str | None = None, country: str | None = None, state: str | None = None) -> nw.Expr:
    """Return ``key`` with course, country or state (and `role`, where ``key.role`` is "") taken from columns."""
    parts = [
        nw.lit(str(key.klass)),
        nw.lit(key.event),
        nw.lit(key.role) if key.role else nw.col("role"),
        nw.col(course) if course else nw.lit(key.course),
        nw.col(country) if country else nw.lit(key.country),
        nw.col(state) if state else nw.lit(key.state),
    ]
    return nw.concat_str(*parts, separator=_MARK)


class Leg(NamedTuple):
    """One leg that was worked out singly; see POSTING."""

    entry: str
    key: LegKey
    currency: str
    amount: int
    source_object: str
    source_id: str
    presentment: int | None = None
    presentment_currency: str | None = None
    rate_e8: int | None = None

    def negated(self) -> "Leg":
        """Return the exact reverse."""
        shown = None if self.presentment is None else -self.presentment
        return self._replace(amount=-self.amount, presentment=shown)

    def row(self) -> tuple[object, ...]:
        """Return it as a row of postings."""
        return (self.entry, _text(self.key), *self[2:])


@cache
def _text(key: LegKey) -> str:
    """Few different keys stand in many legs."""
    return str(key)


def frame_of(books: Books, single: Iterable[Leg]) -> Frame:
    """Return single legs as postings; zero amounts are dropped."""
    return books.make(POSTING, [leg.row() for leg in single if leg.amount])


def together(parts: Sequence[Frame]) -> Frame:
    """Return all postings as one frame."""
    return nw.concat(list(parts), how="vertical")
