"""What must hold of the journals themselves: C1, C2, C16, C17, C22, C23."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import groupby

import narwhals as nw

from redisu_pipeline.common.money import KNOWN_CURRENCIES
from redisu_pipeline.controls.evidence import Evidence
from redisu_pipeline.controls.model import Status
from redisu_pipeline.controls.outcome import ZERO, Outcome, count, in_major, money, named, nothing
from redisu_pipeline.controls.rows import ids_of
from redisu_pipeline.journals.books import Frame
from redisu_pipeline.journals.model import JournalClass, JournalLine

LEAST_LINES, MOST_LINES = 2, 200
MOST_DIGITS = 10  # before the point (netsuite-journals.md §0.4)
WITHOUT_DECIMALS = frozenset("BYR KHR CLP ISK IDR IQD JPY LBP PYG KRW VND".split())
"""NetSuite's currencies of precision 0 (§1.6), not Stripe's; all others have 2 decimals."""


def by_journal(lines: Sequence[JournalLine]) -> dict[str, list[JournalLine]]:
    """Return lines by external id, in the order of their numbers."""
    ordered = sorted(lines, key=lambda line: (line.external_id, line.line))
    return {id: list(own) for id, own in groupby(ordered, key=lambda line: line.external_id)}


def content_hash(lines: Sequence[JournalLine]) -> str:
    """Return the SHA-256 of what one journal posts, without its external id: dates, accounts, sides and amounts."""
    words = [
        [
            line.subsidiary,
            line.currency,
            line.tran_date.isoformat(),
            line.posting_period,
            line.class_,
            line.gl_account,
            str(line.debit),
            str(line.credit),
            line.course or "",
            line.tax_country or "",
            line.tax_state or "",
            line.adjusts_period or "",
        ]
        for line in sorted(lines, key=lambda line: line.line)
    ]
    return hashlib.sha256(repr(words).encode()).hexdigest()


def balanced(evidence: Evidence) -> Iterator[Outcome]:
    """C1: each journal balances and is one that NetSuite takes."""
    wrong: dict[str, list[str]] = defaultdict(list)
    sums: dict[str, tuple[Decimal, Decimal]] = defaultdict(lambda: (ZERO, ZERO))
    for id, lines in by_journal(evidence.inputs.lines).items():
        currency = lines[0].currency
        debit, credit = (sum((getattr(line, side) or ZERO for line in lines), ZERO) for side in ("debit", "credit"))
        sums[currency] = (sums[currency][0] + debit, sums[currency][1] + credit)
        wrong[currency] += [f"{id}: {fault}" for fault in _faults(lines, debit, credit)]
    for currency, (debit, credit) in sorted(sums.items()):
        detail = named(wrong[currency])
        yield Outcome(left=debit, right=credit, currency=currency, detail=detail, wrong=bool(wrong[currency]))


def _faults(lines: Sequence[JournalLine], debit: Decimal, credit: Decimal) -> Iterator[str]:
    if debit != credit:
        yield f"debit {debit} against credit {credit}"
    if not LEAST_LINES <= len(lines) <= MOST_LINES:
        yield f"{len(lines)} lines"
    if len({(line.subsidiary, line.currency) for line in lines}) > 1:
        yield "more than one subsidiary or currency"
    if len({line.line for line in lines}) < len(lines):
        yield "a line number twice"
    for line in lines:
        amounts = [amount for amount in (line.debit, line.credit) if amount is not None]
        if len(amounts) != 1 or amounts[0] <= 0:
            yield f"line {line.line} needs one of debit and credit, above 0"
        elif not _fits(amounts[0], line.currency):
            yield f"line {line.line}: {amounts[0]} does not fit {line.currency} at NetSuite"


def _fits(amount: Decimal, currency: str) -> bool:
    decimals = 0 if currency in WITHOUT_DECIMALS else 2
    scaled = amount * 10**decimals
    return bool(scaled == scaled.to_integral_value()) and amount < 10**MOST_DIGITS


def sourced(evidence: Evidence) -> Iterator[Outcome]:
    """C2: each journal line is the sum of its sources."""
    sums: dict[tuple[str, str], tuple[Decimal, Decimal]] = defaultdict(lambda: (ZERO, ZERO))
    wrong: dict[tuple[str, str], list[str]] = defaultdict(list)
    rest = dict(evidence.inputs.line_sums)
    for line in evidence.inputs.lines:
        place = (line.currency, str(line.class_))
        source = in_major(rest.pop((line.external_id, line.line), 0), line.currency)
        left, right = sums[place]
        sums[place] = (left + abs(line.amount), right + (source if line.amount > 0 else -source))
        if source != line.amount:
            wrong[place].append(f"{line.external_id} line {line.line}: {line.amount} against {source} of its sources")
    for (currency, class_), (left, right) in sorted(sums.items()):
        ids = wrong[currency, class_]
        detail = named(ids)
        yield Outcome(left=left, right=right, currency=currency, scope=class_, detail=detail, wrong=bool(ids))
    if rest:
        ids = [f"{id} line {number}" for id, number in sorted(rest)]
        yield count(0, len(rest), scope="sources without a line", wrong=ids)


_FEE_OF_ROW = "2"  # the event that books a row's fee beside the row itself


def taken_once(evidence: Evidence) -> Iterator[Outcome]:
    """C16: every balance transaction of the month is posted, once, in one class."""
    moved = evidence.transactions.filter(nw.col("amount") != 0)
    booked = sum(kind.count for kind in evidence.of_month) - _idle(evidence)
    roles = ("clearing", "reserve")
    whole = evidence.posted(lambda total: total.key.role in roles and total.key.event != _FEE_OF_ROW)
    posted = int(whole.select(nw.col("source_id").n_unique().alias("n")).collect()["n"][0])
    missing: list[str] = []
    if posted != booked:
        missing = [f"not posted: {id}" for id in ids_of(moved.join(_sources(whole), on="id", how="anti"))]
        missing += [f"not of the month: {id}" for id in ids_of(_sources(whole).join(moved, on="id", how="anti"))]
        missing += [f"twice in the lake: {id}" for id in _twice(moved.select("id"))]
    yield count(booked, posted, scope="balance transactions", wrong=missing)
    legs = _in_classes(evidence)
    several = _twice(whole.select(nw.col("source_id").alias("id"))) if legs != posted else []
    yield count(legs, posted, scope="one class each", wrong=several)


_IN_PARTS = (JournalClass.DISPUTES, JournalClass.RESERVES)
"""Classes in which one balance transaction may stand in several legs; they are few."""


def _in_classes(evidence: Evidence) -> int:
    """Return how many balance transactions each class has, added up."""
    totals = [total for total in evidence.inputs.derived.totals if total.key.event != _FEE_OF_ROW]
    whole = [total for total in totals if total.key.role in ("clearing", "reserve")]
    found = sum(total.legs for total in whole if total.key.klass not in _IN_PARTS)
    for klass in _IN_PARTS:
        legs = [total for total in whole if total.key.klass == klass]
        found += len(ids_of(evidence.posted(legs.__contains__), "source_id")) if legs else 0
    return found


def bookings_there(evidence: Evidence) -> Iterator[Outcome]:
    """C16: no balance transaction is missing that an object of the month names."""
    books = evidence.books
    for table in ("charges", "refunds", "payouts"):
        rows = books[table].filter(nw.col("period") == books.month)
        both = [rows.select(nw.col(name).alias("id")) for name in ("transaction", "failure_transaction")]
        named_ids = nw.concat(both, how="vertical").filter(~nw.col("id").is_null())
        missing = ids_of(named_ids.join(books["transactions"].select("id"), on="id", how="anti"))
        whole = int(named_ids.select(nw.len().alias("n")).collect()["n"][0])
        yield count(whole, whole - len(missing), scope=f"named by {table}", wrong=missing)


def _idle(evidence: Evidence) -> int:
    """Return how many balance transactions move nothing."""
    idle = evidence.transactions.filter(nw.col("amount") == 0).select(nw.len().alias("n")).collect()
    return int(idle["n"][0])


def _sources(whole: Frame) -> Frame:
    return whole.select(nw.col("source_id").alias("id")).unique("id")


def _twice(ids: Frame) -> list[str]:
    return ids_of(ids.group_by("id").agg(nw.len().alias("n")).filter(nw.col("n") > 1))


def ids_once(evidence: Evidence) -> Iterator[Outcome]:
    """C16: an external id always means the same content, and the same content never has two ids."""
    known: dict[str, list[str]] = defaultdict(list)
    wrong = []
    for id, lines in by_journal(evidence.inputs.lines).items():
        fresh = content_hash(lines)
        known[fresh].append(id)
        if evidence.inputs.exported.get(id, fresh) != fresh:
            wrong.append(f"{id} was exported with other content")
    for id, old in evidence.inputs.exported.items():
        if id not in known[old]:
            known[old].append(id)
    wrong += [f"same content: {' and '.join(sorted(same))}" for same in known.values() if len(same) > 1]
    yield count(len(wrong), 0, scope="external ids", wrong=sorted(wrong))


def nothing_unmapped(evidence: Evidence) -> Iterator[Outcome]:
    """C17: nothing lacks a rule, a product, a jurisdiction, an account, a subsidiary or a currency."""
    for blocked in evidence.inputs.derived.blocked:
        detail = f"{blocked.what}; {blocked.mend}:"
        yield count(len(blocked.ids) or 1, 0, scope=blocked.kind, detail=detail, wrong=blocked.ids)
    lines = evidence.inputs.lines
    for scope, faulty in (
        ("account", [line for line in lines if not line.gl_account.strip()]),
        ("subsidiary", [line for line in lines if line.subsidiary != evidence.inputs.account.subsidiary]),
    ):
        ids = [f"{line.external_id} line {line.line}" for line in faulty]
        yield count(len(ids), 0, scope=scope, wrong=ids)
    strange = [currency for currency in evidence.currencies if currency not in KNOWN_CURRENCIES]
    yield count(len(strange), 0, scope="currency", wrong=strange)


def versions(evidence: Evidence) -> Iterator[Outcome]:
    """C22: all versions of a locked month together are what today's data derive for it."""
    for check in evidence.inputs.versions:
        scope = " ".join(part for part in (str(check.period), check.scope) if part)
        yield money(check.currency, check.versions, check.fresh, scope=scope, detail=check.detail)
    if not evidence.inputs.versions:
        yield nothing("no month is locked yet")


def read_back(evidence: Evidence) -> Iterator[Outcome]:
    """C23: what NetSuite holds is what was exported."""
    ids = list(by_journal(evidence.inputs.lines))
    detail = f"finance supplies external id, total, period and number of lines from NetSuite: {named(ids)}"
    yield count(len(ids), 0, scope="journals", detail=detail, status=Status.LIST)
