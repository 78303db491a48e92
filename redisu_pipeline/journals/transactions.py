"""Which rule takes which balance transaction: every one of a month is taken once, or blocks the month (C16, C17)."""

from collections.abc import Mapping

import narwhals as nw

from redisu_pipeline.journals.books import Books, Frame
from redisu_pipeline.journals.model import Blocked

SALE = ("charge",)
SALE_FAILED = ("charge_failure",)
REFUND = ("refund", "refund_failure")
DISPUTE = ("dispute", "dispute_reversal")
PAYOUT = ("payout", "payout_reversal")
TOPUP = ("topup", "topup_reversal")
RESERVE = (
    "risk_reserved_funds",
    "payout_minimum_balance_hold",
    "payout_minimum_balance_release",
    "payment_network_reserve_hold",
    "payment_network_reserve_release",
)
STRIPE_FEE = ("fee", "tax")
"""Rows of their own whose cost stands in `amount`, with `fee` 0; finance may map them to other roles."""

RULED = (*SALE, *SALE_FAILED, *REFUND, *DISPUTE, *PAYOUT, *TOPUP, *RESERVE)
PAYMENTS = "payments"
_KIND = ("category", "type", "description")


def of_month(books: Books) -> Frame:
    """Return the balance transactions of the month."""
    return books["transactions"].filter(nw.col("period") == books.month)


def of(books: Books, categories: tuple[str, ...]) -> Frame:
    """Return the month's transactions of some reporting categories."""
    return of_month(books).filter(nw.col("category").is_in(categories))


def others(books: Books) -> tuple[Frame, list[Blocked]]:
    """Return the transactions that a mapping or a default takes whole, with their `role`; and what nothing takes."""
    rest = books.keep(of_month(books).filter(~nw.col("category").is_in(RULED)))
    kinds = rest.group_by(*_KIND).agg(nw.len().alias("rows")).collect().rows(named=True)
    roles: list[tuple[str, str, str, str]] = []
    unknown: list[Mapping[str, str]] = []
    for kind in kinds:
        role = books.policy.map_transaction(kind["category"], kind["type"], kind["description"] or "") or _default(
            kind["category"], kind["type"], recoverable=books.policy.recoverable_fee_tax
        )
        if role is None:
            unknown.append(kind)
        else:
            roles.append((kind["category"], kind["type"], kind["description"] or "", role))
    named = rest.with_columns(nw.col("description").fill_null(""))
    columns = {**dict.fromkeys(_KIND, "string"), "role": "string"}
    taken = named.join(books.make(columns, roles), on=list(_KIND), how="inner")
    return taken, [_blocked(rest, kind) for kind in unknown]


def _default(category: str, kind: str, *, recoverable: bool) -> str | None:
    """Return the role of Stripe's own fees (events 15–17); None for what only finance can decide (event 24)."""
    if kind == "stripe_fx_fee":
        return "fee_fx"
    if category == "fee" and kind == "stripe_fee":
        return "fee_product"
    if category == "tax" or kind == "tax_fee":
        return "input_vat" if recoverable else "fee_tax"
    return None


def _blocked(rest: Frame, kind: Mapping[str, str]) -> Blocked:
    same = (nw.col("category") == kind["category"]) & (nw.col("type") == kind["type"])
    description = kind["description"]
    alike = nw.col("description").is_null() if description is None else nw.col("description") == description
    ids = sorted(rest.filter(same & alike).select("id").collect()["id"].to_list())
    what = f"no rule for balance transactions of category {kind['category']}, type {kind['type']}, {description!r}"
    mend = f'decide its role in redisu.toml: [[journal_mapping]] reporting_category = "{kind["category"]}", role = "…"'
    return Blocked("category", what, mend, tuple(ids))
