"""Clearing and reserve against the balance at Stripe: C3, C3a, C4, C5, C25 (stripe.md §8.3)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import narwhals as nw

from redisu_pipeline.controls.evidence import Evidence, on_others, on_payments
from redisu_pipeline.controls.figures import standing_of
from redisu_pipeline.controls.inputs import BalanceHeld
from redisu_pipeline.controls.outcome import Outcome, in_major, money, nothing, work_list
from redisu_pipeline.controls.rows import ids_of, rows_of
from redisu_pipeline.extract.figures_model import CategorySum, Figure
from redisu_pipeline.journals.model import JournalClass
from redisu_pipeline.journals.transactions import PAYMENTS

_HELD_WITHOUT_SECOND_ROW = ("payout_minimum_balance_hold", "payout_minimum_balance_release")
_PREFUNDING = "refund_and_dispute_prefunding"
_HELD = ("available", "pending")
_RISK_RESERVED = "risk_reserved"


def clearing(evidence: Evidence) -> Iterator[Outcome]:
    """C3: what Stripe booked on the payments balance is what the journals posted to clearing."""
    for currency in evidence.currencies:
        start = evidence.configured(currency, "clearing")
        booked = evidence.net(evidence.since_start, currency, on_payments)
        month = evidence.net(evidence.of_month, currency, on_payments)
        opening = evidence.opening(currency, "clearing")
        detail = f"opening {opening:,f}, net of the month {in_major(month, currency):,f}"
        yield Outcome(
            left=in_major(start + booked, currency),
            right=evidence.closing(currency, "clearing"),
            currency=currency,
            detail=detail,
        )


def continuity(evidence: Evidence) -> Iterator[Outcome]:
    """C3: a month begins with what the month before ended with."""
    before = evidence.inputs.previous_closing
    for currency in evidence.currencies:
        if before is None:
            yield nothing("no month was closed before this one", currency=currency, scope="opening")
        else:
            opening = evidence.opening(currency, "clearing")
            closed = before.get(currency, in_major(evidence.configured(currency, "clearing"), currency))
            yield Outcome(left=opening, right=closed, currency=currency, scope="opening")


def reported_balance(evidence: Evidence) -> Iterator[Outcome]:
    """C3: Stripe's balance report begins and ends where the journals do; it holds reserves too."""
    found = standing_of(evidence, Figure.BALANCE, scope="stripe report")
    if isinstance(found, Outcome):
        yield found
        return
    for currency in evidence.currencies:
        row = found.balance(currency.lower())
        if row is None:
            why = "the report has no such currency"
            yield money(currency, 0, _held_minor(evidence, currency), scope="stripe report", detail=why)
            continue
        month = evidence.net(evidence.of_month, currency, lambda _: True)
        ending = in_major(_reserved(evidence, currency), currency) + evidence.closing(currency, "clearing")
        starting = ending - in_major(month, currency)
        yield Outcome(
            left=ending, right=in_major(row.ending, currency), currency=currency, scope="stripe report: ending"
        )
        yield Outcome(
            left=starting, right=in_major(row.starting, currency), currency=currency, scope="stripe report: starting"
        )


def _reserved(evidence: Evidence, currency: str) -> int:
    return evidence.net(evidence.since_start, currency, on_others)


def _held_minor(evidence: Evidence, currency: str) -> int:
    return evidence.net(evidence.since_start, currency, lambda _: True) + evidence.configured(currency, "clearing")


def reported_activity(evidence: Evidence) -> Iterator[Outcome]:
    """C3a: by reporting category, our balance transactions are those of Stripe's activity and payout reports."""
    for figure in (Figure.ACTIVITY, Figure.PAYOUTS):
        found = standing_of(evidence, figure, scope=figure.value)
        if isinstance(found, Outcome):
            yield found
            return
    figures = evidence.inputs.figures
    reported = {(row.currency.upper(), row.reporting_category): row for row in (figures.activity if figures else ())}
    ours = _by_category(evidence)
    for currency, category in sorted({*reported, *ours}):
        mine, theirs = ours.get((currency, category), [0, 0, 0, 0]), _sums_of(reported.get((currency, category)))
        names = ("number of rows", "gross", "fee", "net")
        differing = [name for name, a, b in zip(names, mine, theirs, strict=True) if a != b]
        detail = f"{mine[0]} balance transactions, {theirs[0]} in the report"
        yield money(currency, mine[3], theirs[3], scope=category, detail=detail, wrong=differing)


def _sums_of(row: CategorySum | None) -> list[int]:
    return [row.count, row.gross, row.fee, row.net] if row else [0, 0, 0, 0]


def _by_category(evidence: Evidence) -> dict[tuple[str, str], list[int]]:
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for kind in evidence.of_month:
        own = sums[kind.currency, kind.category]
        for place, amount in enumerate((kind.count, kind.amount, kind.fee, kind.net)):
            own[place] += amount
    return sums


def snapshot(evidence: Evidence) -> Iterator[Outcome]:
    """C4: all balance transactions up to a moment are what `/v1/balance` said at that moment."""
    rows = _snapshot_rows(evidence)
    if not rows:
        yield work_list("no snapshot of /v1/balance that the balance transactions reach: sync, then close again")
        return
    at = rows[0].at
    held = _net_until(evidence, at)
    when = f"snapshot of {at:%Y-%m-%d %H:%M:%S} UTC"
    for currency in sorted({row.currency.upper() for row in rows}):
        own = [row for row in rows if row.currency.upper() == currency]
        start = evidence.configured(currency, "clearing")
        said = sum(row.amount for row in own if row.kind in _HELD or row.kind.startswith(_RISK_RESERVED))
        # A reserve stays part of what Stripe holds for us; only prefunding has kinds of its own.
        booked = sum(net for (of, balance), net in held.items() if of == currency and balance != _PREFUNDING)
        yield money(currency, start + booked, said, detail=when)
        ahead = [row.amount for row in own if row.kind.startswith("prefunding_")]
        if ahead:
            funded = held.get((currency, _PREFUNDING), 0)
            yield money(currency, funded, sum(ahead), scope="prefunding", detail=when)


def _snapshot_rows(evidence: Evidence) -> Sequence[BalanceHeld]:
    """Return the first snapshot after the month's end, else the last one: closing again gives the same row."""
    end = evidence.inputs.period.bounds(evidence.inputs.account.timezone)[1]
    until = evidence.inputs.complete_until.get("balance_transactions")
    moments = sorted({row.at for row in evidence.inputs.balances if until is not None and row.at <= until})
    if not moments:
        return ()
    chosen = next((at for at in moments if at >= end), moments[-1])
    return [row for row in evidence.inputs.balances if row.at == chosen]


def _net_until(evidence: Evidence, at: datetime) -> dict[tuple[str, str], int]:
    rows = evidence.books["transactions"].filter(nw.col("created") <= at, nw.col("period") >= evidence.first_month)
    summed = rows.group_by("currency", "balance_type").agg(nw.col("net").sum()).collect().rows()
    return {(currency, balance): int(net) for currency, balance, net in summed}


def nets(evidence: Evidence) -> Iterator[Outcome]:
    """C5: amount − fee = net, for every balance transaction."""
    broken = nw.col("amount") - nw.col("fee") != nw.col("net")
    wrong = rows_by_currency(evidence, broken)
    for currency in evidence.currencies:
        own = [kind for kind in evidence.of_month if kind.currency == currency]
        left = sum(kind.amount - kind.fee for kind in own)
        yield money(currency, left, sum(kind.net for kind in own), wrong=wrong.get(currency, []))


def rows_by_currency(evidence: Evidence, broken: nw.Expr) -> dict[str, list[str]]:
    """Return the ids of the month's balance transactions for which ``broken`` holds, by currency."""
    found: dict[str, list[str]] = defaultdict(list)
    for id, currency in sorted(evidence.transactions.filter(broken).select("id", "currency").collect().rows()):
        found[currency].append(id)
    return found


_FEES_BESIDE = ((JournalClass.FEES, "2"), (JournalClass.DISPUTES, "9"))
"""Where the fee of a balance transaction and its details are posted against each other."""


def fee_details(evidence: Evidence) -> Iterator[Outcome]:
    """C5: the fee details of every balance transaction add up to its fee.

    Both are posted under the balance transaction, the details to their accounts and the fee to clearing, so that it
    balances exactly when they agree.
    """
    legs = evidence.posted(lambda total: (total.key.klass, total.key.event) in _FEES_BESIDE)
    by_row = legs.group_by("entry").agg(nw.col("amount").sum())
    uneven = ids_of(by_row.filter(nw.col("amount") != 0), "entry")
    wrong: dict[str, list[str]] = defaultdict(list)
    for row in rows_of(legs.filter(nw.col("entry").is_in(uneven)), "entry", "currency") if uneven else ():
        if row["entry"] not in wrong[row["currency"]]:
            wrong[row["currency"]].append(row["entry"])
    details: dict[str, int] = defaultdict(int)
    for total in evidence.inputs.derived.totals:
        of_fee = (total.key.klass, total.key.event) in _FEES_BESIDE
        if of_fee and total.key.role not in ("clearing", "disputed"):
            details[total.currency] += total.amount
    for currency in evidence.currencies:
        fee = sum(kind.fee for kind in evidence.of_month if kind.currency == currency)
        yield money(currency, details[currency], fee, scope="fee details", wrong=wrong[currency])


def reserve(evidence: Evidence) -> Iterable[Outcome]:
    """C25: the reserve account is what stands on Stripe's other balances, and what payout minimums hold back."""
    for currency in evidence.currencies:
        minimum = sum(
            kind.net
            for kind in evidence.since_start
            if kind.currency == currency and kind.category in _HELD_WITHOUT_SECOND_ROW and kind.balance_type == PAYMENTS
        )
        right = evidence.configured(currency, "reserve") + _reserved(evidence, currency) - minimum
        yield Outcome(left=evidence.closing(currency, "reserve"), right=in_major(right, currency), currency=currency)
