"""What Stripe keeps: fees on payments (event 2), product fees (15), tax on fees (16), conversion fees (17).

The fee of a payment stands in `fee` with its details; monthly product fees are rows of their own whose cost stands in
`amount` (netsuite-journals.md §0.13). Fees of disputes are booked with the dispute.
"""

import narwhals as nw

from redisu_pipeline.journals.books import Books, Frame
from redisu_pipeline.journals.model import Blocked, JournalClass
from redisu_pipeline.journals.postings import LegKey, Source, key_with, legs, together
from redisu_pipeline.journals.taxes import UNKNOWN
from redisu_pipeline.journals.transactions import DISPUTE, STRIPE_FEE, of_month, others

_FEES = JournalClass.FEES
_ROW = Source("balance_transaction", "id", presentment=None)
_BELONGS = {"fee_product": "15", "input_vat": "16", "fee_tax": "16", "fee_fx": "17"}


def postings(books: Books) -> tuple[Frame, list[Blocked]]:
    """Return the fees of the month, adjustments that finance mapped (event 24), and what nothing explains."""
    whole, blocked = others(books)
    return together([*_kept(books), *_whole(whole)]), blocked


def fee_role(kind: nw.Expr, processing: str, *, recoverable: bool) -> nw.Expr:
    """Return the role of a fee detail by its type; an unknown type blocks the month."""
    tax = "input_vat" if recoverable else "fee_tax"
    ours = kind.is_in(["stripe_fee", "payment_method_passthrough_fee"])
    other = nw.when(kind == "tax").then(nw.lit(tax)).otherwise(nw.lit(UNKNOWN))
    return nw.when(ours).then(nw.lit(processing)).otherwise(other)


def detailed(books: Books, transactions: Frame, processing: str) -> Frame:
    """Return the fee details of ``transactions`` by role: `id, entry, currency, role, amount` (a cost is positive)."""
    role = fee_role(nw.col("fee_type"), processing, recoverable=books.policy.recoverable_fee_tax)
    details = books["fees"].select(
        "transaction", nw.col("amount").alias("fee_amount"), nw.col("type").alias("fee_type")
    )
    heads = transactions.filter(nw.col("fee") != 0).select("id", "currency")
    joined = details.join(heads, left_on="transaction", right_on="id", how="inner").with_columns(role.alias("role"))
    summed = joined.group_by("transaction", "currency", "role").agg(nw.col("fee_amount").sum().alias("amount"))
    return summed.with_columns(nw.col("transaction").alias("id"), nw.col("transaction").alias("entry"))


def _kept(books: Books) -> list[Frame]:
    """Dr fees by kind, Cr clearing."""
    charged = of_month(books).filter(~nw.col("category").is_in(DISPUTE), nw.col("fee") != 0)
    costs = detailed(books, charged, "fee_processing")
    return [
        legs(costs, key_with(LegKey(_FEES, "2", "")), nw.col("amount"), _ROW),
        legs(charged, LegKey(_FEES, "2", "clearing"), nw.col("fee"), _ROW, entry="id", sign=-1),
    ]


def _whole(rows: Frame) -> list[Frame]:
    """Dr the role, Cr clearing by the whole row: Stripe's own fees, and what finance has mapped."""
    own = rows.filter(nw.col("category").is_in(STRIPE_FEE))
    adjusted = rows.filter(~nw.col("category").is_in(STRIPE_FEE))
    amount = nw.col("amount")
    found = []
    for role, event in _BELONGS.items():
        of_role = own.filter(nw.col("role") == role)
        found += [
            legs(of_role, LegKey(_FEES, event, role), amount, _ROW, entry="id", sign=-1),
            legs(of_role, LegKey(_FEES, event, "clearing"), amount, _ROW, entry="id"),
        ]
    mapped = own.filter(~nw.col("role").is_in(list(_BELONGS)))
    found += [
        legs(mapped, key_with(LegKey(_FEES, "15", "")), amount, _ROW, entry="id", sign=-1),
        legs(mapped, LegKey(_FEES, "15", "clearing"), amount, _ROW, entry="id"),
        legs(adjusted, key_with(LegKey(JournalClass.ADJ, "24", "")), amount, _ROW, entry="id", sign=-1),
        legs(adjusted, LegKey(JournalClass.ADJ, "24", "clearing"), amount, _ROW, entry="id"),
    ]
    return found
