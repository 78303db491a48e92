"""Money on its way to the bank: C6, C7, C8."""

from collections import defaultdict
from collections.abc import Iterator

import narwhals as nw

from redisu_pipeline.controls.evidence import Evidence
from redisu_pipeline.controls.figures import standing_of
from redisu_pipeline.controls.model import Status
from redisu_pipeline.controls.outcome import Outcome, in_major, money, named, nothing, work_list
from redisu_pipeline.controls.rows import Row, ids_of, rows_of
from redisu_pipeline.extract.figures_model import Figure
from redisu_pipeline.journals.payouts import arrivals
from redisu_pipeline.journals.transactions import TOPUP

_BACK = ("payout_reversal",)


def contents(evidence: Evidence) -> Iterator[Outcome]:
    """C6: what Stripe lists in an automatic payout is the payout's amount, and its booking's."""
    found = standing_of(evidence, Figure.PAYOUT_CONTENTS, scope="payout contents")
    if isinstance(found, Outcome):
        yield found
    booked: dict[str, int] = defaultdict(int)
    sent = evidence.transactions.filter(nw.col("category") == "payout").select("source", "amount")
    for source, amount in sent.collect().rows():
        booked[source] += amount
    figures = evidence.inputs.figures
    for payout in sorted(figures.payouts if figures else (), key=lambda one: one.id):
        currency = payout.currency.upper()
        own = -booked.get(payout.id, 0)
        wrong = [payout.id] if own != payout.amount or -(payout.own or 0) != payout.amount else []
        detail = f"{payout.rows} rows; its own booking {in_major(own, currency):,f}"
        yield money(currency, payout.contents, payout.amount, scope=payout.id, detail=detail, wrong=wrong)


def by_hand(evidence: Evidence) -> Iterator[Outcome]:
    """C6: payouts made by hand, or at once: Stripe does not say what they contain."""
    by_hand_ = evidence.books["payouts"].filter(nw.col("period") == evidence.month, ~nw.col("automatic"))
    sums: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of(by_hand_, "id", "currency", "amount"):
        sums[row["currency"]].append(row)
    for currency, rows in sorted(sums.items()):
        detail = f"not provable: {named([row['id'] for row in rows])}"
        total = sum(row["amount"] for row in rows)
        yield money(currency, total, total, scope="by hand", detail=detail, status=Status.LIST)
    if not sums:
        yield nothing("no payout of the month was made by hand", scope="by hand")


def transit(evidence: Evidence) -> Iterator[Outcome]:
    """C7: cash in transit by the journals is what the payouts themselves say is under way.

    Arrivals are taken off only where the bank leg is ours; else NetSuite's bank matching empties the account.
    """
    under_way = _under_way(evidence)
    unknown = _without_payout(evidence)
    for currency in evidence.currencies:
        right = evidence.configured(currency, "transit") + under_way.get(currency, 0)
        yield Outcome(
            left=evidence.closing(currency, "transit"),
            right=in_major(right, currency),
            currency=currency,
            detail=named(unknown.get(currency, [])),
            wrong=bool(unknown.get(currency)),
        )


def _under_way(evidence: Evidence) -> dict[str, int]:
    """Return Σ payouts that were sent and neither came back nor (where the bank leg is ours) arrived.

    Of payouts made before the books began only their end counts: the opening balance holds them.
    """
    month, since = evidence.month, evidence.first_month
    sent = evidence.books["payouts"].filter(nw.col("period") <= month, ~nw.col("transaction").is_null())
    arrived = set(ids_of(arrivals(evidence.books).filter(nw.col("arrival_period") <= month)))
    sums: dict[str, int] = defaultdict(int)
    for row in rows_of(sent, "id", "currency", "amount", "period", "failure_period"):
        back = row["failure_period"] is not None and row["failure_period"] <= month
        ended = row["id"] in arrived or back
        if row["period"] >= since:
            sums[row["currency"]] += 0 if ended else row["amount"]
        elif back and row["failure_period"] >= since:
            sums[row["currency"]] -= row["amount"]
    if not evidence.books.policy.bank_leg:
        for kind in evidence.since_start:
            if kind.category in TOPUP:
                sums[kind.currency] -= kind.amount
    return sums


def _without_payout(evidence: Evidence) -> dict[str, list[str]]:
    """Return bookings of the month whose payout is not in the lake."""
    moved = evidence.transactions.filter(nw.col("category").is_in(["payout", *_BACK]))
    alone = moved.join(evidence.books["payouts"].select("id"), left_on="source", right_on="id", how="anti")
    found = defaultdict(list)
    for row in rows_of(alone, "id", "source", "currency"):
        found[row["currency"]].append(f"{row['id']} (no payout {row['source']})")
    return found


def bank(evidence: Evidence) -> Iterator[Outcome]:
    """C8: payouts that arrived in the month; finance holds the bank's lines against them."""
    there = evidence.books["payouts"].filter(nw.col("arrival_period") == evidence.month, nw.col("status") == "paid")
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of(there, "id", "currency", "amount"):
        rows[row["currency"]].append(row)
    for currency, own in sorted(rows.items()):
        total = sum(row["amount"] for row in own)
        detail = f"finance supplies the bank's lines of {len(own)} payouts: {named([row['id'] for row in own])}"
        yield money(currency, total, 0, scope="arrived", detail=detail, status=Status.LIST)
    if not rows:
        yield work_list("no payout arrived in the month", scope="arrived")
