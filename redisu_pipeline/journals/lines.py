"""Totals as journal lines: accounts, external ids, order, parts of at most 200 lines that each balance (§2.7).

A journal holds one account, currency, class and version. Income and expense come first: NetSuite rounds to base
currency and pushes the difference onto the first line, which must never be clearing (§1.6).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from redisu_pipeline.common.money import to_major
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import GLAccount
from redisu_pipeline.journals.derive import DEBIT, Total
from redisu_pipeline.journals.model import JournalClass, JournalLine, external_id
from redisu_pipeline.journals.taxes import UNKNOWN

MOST_LINES = 200
ORDER = (
    "revenue refunds discounts fee_processing fee_product fee_dispute fee_fx fee_tax dispute_loss fx rounding "
    "adjustments sales_tax vat_il vat deferred customer_credit credit_out_of_band offline_receivable input_vat "
    "in_flight disputed reserve transit bank clearing"
).split()

Key = tuple[str, str, str, str, str, str, str, str]
"""class, currency, role, course, country, state, side, GL account ("": the chart decides): one line for each."""
Posted = tuple[str, str, str, str, str, str]
"""currency, role, course, country, state, number of the GL account; department and location hang on all of them."""


@dataclass(frozen=True)
class Heading:
    """What all lines of one derivation share. ``adjusts`` is the locked month that a delta belongs to."""

    account: str
    subsidiary: str
    period: Month
    posting_period: str
    version: int
    adjusts: Month | None
    rate_of: Callable[[str], Decimal]
    account_of: Callable[[str, str | None, str | None, str | None, str, date], GLAccount]
    """(role, course, state, country, currency, day) -> GL account, by the chart."""
    posted: Mapping[Posted, GLAccount] = field(default_factory=dict)
    """The GL accounts of late changes, with the department and location that each was posted with."""

    @property
    def origin(self) -> Month:
        """The month that the external id names."""
        return self.adjusts or self.period


@dataclass(frozen=True)
class PlacedLine:
    """A line with the key of the postings that it sums, and the part of the class it stands in (None: not split)."""

    key: Key
    part: int | None
    line: JournalLine


def key_of(total: Total) -> Key:
    """Return which line a total belongs to; the event does not matter there."""
    key = total.key
    return (key.klass, total.currency, key.role, key.course, key.country, key.state, total.side, total.account)


def lines_of(
    totals: Iterable[Total],
    heading: Heading,
    parts_of: Callable[[str, str], Mapping[Key, Mapping[int, tuple[int, int]]]],
) -> tuple[PlacedLine, ...]:
    """Return the lines, by external id and line number.

    ``parts_of`` (class, currency) is asked where a class has more than 200 lines: for each key the parts it stands in
    with (amount, legs).
    """
    classes: dict[tuple[str, str], dict[Key, tuple[int, int]]] = defaultdict(dict)
    for total in totals:
        key = key_of(total)
        amount, legs = classes[key[0], key[1]].get(key, (0, 0))
        classes[key[0], key[1]][key] = (amount + total.amount, legs + total.legs)
    placed = []
    for (klass, currency), sums in classes.items():
        if len(sums) <= MOST_LINES:
            placed += list(_journal(sums, heading, None))
            continue
        by_part: dict[int, dict[Key, tuple[int, int]]] = defaultdict(dict)
        for key, parts in parts_of(klass, currency).items():
            for part, whole in parts.items():
                by_part[part][key] = whole
        for part, of_part in sorted(by_part.items()):
            placed += list(_journal(of_part, heading, part))
    return tuple(sorted(placed, key=lambda one: (one.line.external_id, one.line.line)))


def _journal(sums: Mapping[Key, tuple[int, int]], heading: Heading, part: int | None) -> Iterator[PlacedLine]:
    kept = sorted((key for key, (amount, _) in sums.items() if amount), key=_turn)
    for number, key in enumerate(kept, start=1):
        amount, legs = sums[key]
        yield PlacedLine(key, part, _line(key, amount, legs, heading, part, number))


def _turn(key: Key) -> tuple[int, str, str, str, str, str, str]:
    _, _, role, course, country, state, side, account = key
    return (ORDER.index(role) if role in ORDER else -1, role, course, country, state, side, account)


def _line(key: Key, amount: int, legs: int, heading: Heading, part: int | None, place: int) -> JournalLine:
    klass, currency, role, course, country, state, side, number = key
    known = (_told(course), _told(state), _told(country))
    day = heading.period.last_day
    posted = (currency, role, course, country, state, number)
    account = heading.posted[posted] if number else heading.account_of(role, *known, currency, day)
    major = to_major(abs(amount), currency)
    return JournalLine(
        account=heading.account,
        subsidiary=heading.subsidiary,
        period=str(heading.period),
        external_id=external_id(heading.account, currency, heading.origin, JournalClass(klass), heading.version, part),
        class_=JournalClass(klass),
        version=heading.version,
        tran_date=day,
        posting_period=heading.posting_period,
        currency=currency,
        exchange_rate=heading.rate_of(currency),
        line=place,
        gl_role=role,
        gl_account=account.number,
        gl_account_name=account.name,
        debit=major if side == DEBIT else None,
        credit=major if side != DEBIT else None,
        memo=_memo(heading, role, known, legs),
        department=account.department,
        location=account.location,
        course=known[0],
        tax_country=known[2],
        tax_state=known[1],
        adjusts_period=str(heading.adjusts) if heading.adjusts else None,
    )


def _told(word: str) -> str | None:
    return None if word in ("", UNKNOWN) else word


def _memo(heading: Heading, role: str, known: Sequence[str | None], legs: int) -> str:
    about = " ".join(word for word in (role.replace("_", " "), known[0], known[2], known[1]) if word)
    late = f" (late change of {heading.adjusts})" if heading.adjusts else ""
    return f"Stripe {heading.account} {heading.origin}: {about}, {legs:,} posting{'' if legs == 1 else 's'}{late}"


def packed(buckets: Mapping[str, frozenset[Key]], most: int = MOST_LINES) -> dict[str, int]:
    """Return the part (from 1) of each bucket of entries, so that no part has more than ``most`` lines.

    A bucket is a set of whole entries, so every part balances. Buckets fill the parts in their own order.
    ValueError when a single bucket is too large.
    """
    found: dict[str, int] = {}
    part, lines = 1, frozenset[Key]()
    for bucket in sorted(buckets):
        keys = buckets[bucket]
        if len(keys) > most:
            raise ValueError(f"entries of {bucket!r} have {len(keys)} lines together; a journal takes {most}")
        if len(lines | keys) > most:
            part, lines = part + 1, frozenset[Key]()
        lines |= keys
        found[bucket] = part
    return found
