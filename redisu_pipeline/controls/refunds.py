"""Money that goes back: C11 (refunds), C13 (disputes)."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

import narwhals as nw

from redisu_pipeline.controls.conversion import at_rate
from redisu_pipeline.controls.evidence import Evidence
from redisu_pipeline.controls.outcome import Outcome, in_major, money, named
from redisu_pipeline.controls.rows import Row, rows_of
from redisu_pipeline.journals.books import Frame
from redisu_pipeline.journals.model import JournalClass
from redisu_pipeline.journals.transactions import DISPUTE, REFUND


def within_capture(evidence: Evidence) -> Iterator[Outcome]:
    """C11: no charge of which something went back in the month was refunded for more than was captured."""
    for currency, own in evidence.refunded_charges.items():
        over = [row["charge"] for row in own if row["refunded"] > (row["amount_captured"] or 0)]
        total = sum(row["refunded"] for row in own)
        capped = sum(min(row["refunded"], row["amount_captured"] or 0) for row in own)
        detail = f"{len(own)} charges"
        yield money(currency, total, capped, scope="no more than captured", detail=detail, wrong=over)


def refunds_of_charges(evidence: Evidence) -> Iterator[Outcome]:
    """C11: a charge says itself how much of it went back; that is the only exact side of a converted refund.

    Not blocking: Stripe does not say when a charge takes a failed refund off again.
    """
    for currency, own in evidence.refunded_charges.items():
        wrong = [row["charge"] for row in own if row["refunded"] != row["amount_refunded"]]
        left, right = sum(row["refunded"] for row in own), sum(row["amount_refunded"] or 0 for row in own)
        yield money(currency, left, right, scope="as the charges say", wrong=wrong)


def booked_refunds(evidence: Evidence) -> Iterator[Outcome]:
    """C11: what Stripe booked for refunds is what the refunds are, converted ones at their rate within 1 each."""
    pairs = evidence.books.keep(_pairs(evidence))
    rows = rows_of(pairs, "id", "currency", "amount", "refund", "presentment", "presentment_currency", "rate_e8")
    worked = {row["id"]: row["at_rate"] for row in _converted(evidence, pairs)}
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    wrong: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        currency, amount = row["currency"], abs(row["amount"])
        allowed = 0 if row["rate_e8"] is None else 1
        expected = row["presentment"] or 0 if row["rate_e8"] is None else worked.get(row["id"], 0)
        own = sums[currency]
        own[0], own[1], own[2] = own[0] + amount, own[1] + expected, own[2] + allowed
        foreign = row["rate_e8"] is None and row["presentment_currency"] not in (None, currency)
        if abs(amount - expected) > allowed or row["refund"] is None or foreign:
            wrong[currency].append(f"{row['id']} ({row['refund'] or 'no refund'})")
    for currency in sorted({*sums, *evidence.currencies}):
        left, right, tolerance = sums[currency]
        scope = "refunds and their bookings"
        yield money(currency, left, right, scope=scope, tolerance=Decimal(tolerance), wrong=wrong[currency])


def _pairs(evidence: Evidence) -> Frame:
    """Return the month's bookings of refunds with the refund that names each as its own, and its currency."""
    columns = ("id", "currency", "category", "amount", "rate_e8")
    moved = evidence.transactions.filter(nw.col("category").is_in(REFUND)).select(*columns)
    charges = evidence.books["charges"].select(
        nw.col("id").alias("charge"), nw.col("currency").alias("presentment_currency")
    )
    of_refunds = charges.join(evidence.books["refunds"].select("charge"), on="charge", how="semi")
    refunds = evidence.books["refunds"].join(of_refunds, on="charge", how="left")
    shown = ("refund", "presentment", "presentment_currency")
    by_booking = [
        refunds.select(
            nw.col(column).alias("id"),
            nw.lit(category).alias("category"),
            nw.col("id").alias("refund"),
            nw.col("amount").alias("presentment"),
            "presentment_currency",
        )
        for column, category in (("transaction", "refund"), ("failure_transaction", "refund_failure"))
    ]
    named_ = nw.concat(by_booking, how="vertical").filter(~nw.col("id").is_null())
    return moved.join(named_, on=["id", "category"], how="left").select(*columns, *shown)


def _converted(evidence: Evidence, pairs: Frame) -> list[Row]:
    known = pairs.filter(~nw.col("rate_e8").is_null(), ~nw.col("presentment").is_null())
    return rows_of(at_rate(evidence.books, known), "id", "at_rate")


def posted_refunds(evidence: Evidence) -> Iterator[Outcome]:
    """C11: refunds, tax, deferred and exchange difference together are what Stripe took for refunds."""
    for currency in evidence.currencies:
        left = evidence.own_sum(
            currency, lambda line: line.class_ == JournalClass.REFUNDS and line.gl_role != "clearing"
        )
        own = [kind for kind in evidence.of_month if kind.currency == currency and kind.category in REFUND]
        right = in_major(-sum(kind.amount for kind in own), currency)
        yield Outcome(left=left, right=right, currency=currency, scope="refunds in the journals")


# -- C13 --------------------------------------------------------------------------------------------------------------


def disputed(evidence: Evidence) -> Iterator[Outcome]:
    """C13: disputed funds by the journals are the disputes whose money was withdrawn and that were open."""
    rows = _disputes(evidence)
    month, since = evidence.month, evidence.first_month
    right: dict[str, int] = defaultdict(int)
    named_: dict[str, list[str]] = defaultdict(list)
    wrong: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        currency, open_ = row["settlement"], not _closed(row, month)
        if row["withdrawn_in"] > month:
            continue
        plain = row["amount"] if row["rate_e8"] is None and row["amount"] is not None else row["withdrawn"]
        if row["amount"] is None or plain != row["withdrawn"]:
            wrong[currency].append(f"{row['id']} (withdrawn {in_major(row['withdrawn'], currency):,f})")
        if row["withdrawn_in"] < since and (open_ or _closed_since(row, since)):
            right[currency] -= row["withdrawn"]  # the opening balance holds it
        if open_:
            right[currency] += plain
            named_[currency].append(row["id"])
    for currency in evidence.currencies:
        total = evidence.configured(currency, "disputed") + right[currency]
        detail = f"open: {named(named_[currency])}" if named_[currency] else "none open"
        faults = named(wrong[currency])
        yield Outcome(
            left=evidence.closing(currency, "disputed"),
            right=in_major(total, currency),
            currency=currency,
            detail=f"{detail}; not what was withdrawn: {faults}" if faults else detail,
            wrong=bool(faults),
        )


def _disputes(evidence: Evidence) -> list[Row]:
    """Return disputes with a withdrawal: its month and amount, and the month in which the money came back."""
    moved = evidence.books["transactions"].filter(nw.col("category").is_in(DISPUTE))
    opened = moved.filter(nw.col("category") == "dispute")
    gone = opened.group_by("source").agg(
        nw.col("period").min().alias("withdrawn_in"),
        nw.col("currency").min().alias("settlement"),
        nw.col("rate_e8").min().alias("rate_e8"),
        (nw.col("amount").sum() * -1).alias("withdrawn"),
    )
    won = moved.filter(nw.col("category") == "dispute_reversal")
    back = won.group_by("source").agg(nw.col("period").min().alias("returned_in"))
    known = evidence.books["disputes"].select("id", "amount", "status", "closed_period")
    joined = gone.join(back, on="source", how="left").join(known, left_on="source", right_on="id", how="left")
    columns = ("id", "amount", "status", "closed_period", "settlement", "rate_e8")
    return rows_of(
        joined.with_columns(nw.col("source").alias("id")), *columns, "withdrawn_in", "withdrawn", "returned_in"
    )


def _closed(row: Row, month: int) -> bool:
    """Whether a dispute was over at the end of ``month``: lost, or its money was back; or won without money back."""
    if row["returned_in"] is not None:
        return bool(row["returned_in"] <= month)
    if row["status"] == "lost":
        return row["closed_period"] is not None and bool(row["closed_period"] <= month)
    return row["status"] in ("won", "warning_closed", "prevented")


def _closed_since(row: Row, since: int) -> bool:
    ended = row["returned_in"] if row["returned_in"] is not None else row["closed_period"]
    return ended is not None and bool(ended >= since)
