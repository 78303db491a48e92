"""Refunds: full, partial, pending, failing later (stripe.md §3.2, §8.1)."""

from sandbox.stripe import shapes
from sandbox.stripe.world import books, rates, report_rows
from sandbox.stripe.world.ledger import Leg
from sandbox.stripe.world.model import Sale, Share
from sandbox.stripe.world.shop import DAY, NotPossible, Shop


def refund(
    shop: Shop,
    charge_id: str,
    amount: int | None = None,
    reason: str | None = "requested_by_customer",
    pending: str | None = None,
    metadata: dict[str, str] | None = None,
) -> shapes.Object:
    """Give back `amount` presentment minor units (None: all that is left).

    `pending` is a pending_reason: then no money moves until `complete`. Raises NotPossible above what is left, and for
    a charge that failed or is disputed.
    """
    sale, charge = _refundable(shop, charge_id)
    left = charge["amount_captured"] - charge["amount_refunded"]
    amount = left if amount is None else int(amount)
    if not 0 < amount <= left:
        raise NotPossible(f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})")
    return make(shop, sale, books.take_share(sale, amount), reason, pending, metadata, reported=True)


def _refundable(shop: Shop, charge_id: str) -> tuple[Sale, shapes.Object]:
    charge = shop.get("charge", charge_id)
    sale = shop.by_charge.get(charge_id)
    if sale is None or charge["status"] != "succeeded":
        raise NotPossible(f"Charge {charge_id} has no payment that could be refunded.")
    if sale.disputed:
        raise NotPossible(f"Charge {charge_id} has been charged back; cannot issue a refund.")
    if charge["amount_refunded"] >= charge["amount_captured"]:
        raise NotPossible(f"Charge {charge_id} has already been refunded.")
    return sale, charge


def make(
    shop: Shop,
    sale: Sale,
    share: Share,
    reason: str | None,
    pending: str | None,
    metadata: dict[str, str] | None,
    *,
    reported: bool,
) -> shapes.Object:
    """The Refund object of a share; `reported` false when a credit note brings it into the tax report."""
    card = sale.method == "card"
    id = shop.ids.new("re" if card else "pyr")
    kind = "card" if card else sale.method
    made = shapes.refund(
        id=id,
        amount=share.amount,
        charge=sale.charge_id,
        created=shop.now,
        currency=sale.currency,
        customer=sale.customer_id,
        destination_details={kind: {"reference": None, "reference_status": "pending", "type": "refund"}, "type": kind},
        metadata=dict(metadata or {}),
        payment_intent=sale.payment_intent_id,
        payment_method=shop.get("charge", str(sale.charge_id))["payment_method"],
        pending_reason=pending,
        reason=reason,
        status="pending" if pending else "succeeded",
    )
    sale.refunds[id] = share
    books.give_back(sale, share)
    legs = books.returned_legs(sale, share)
    shop.store.put(made)
    if pending:
        shop.reversals[id] = tuple(legs)
    else:
        _move(shop, sale, made, legs)
    shop.emit("refund.created", made)
    _count(shop, sale, share.amount)
    if reported and not pending:
        report_rows.returned(shop, sale, share, id, "refund", shop.now)
    return shop.get("refund", id)


def _count(shop: Shop, sale: Sale, amount: int) -> None:
    charge = shop.get("charge", str(sale.charge_id))
    refunded = charge["amount_refunded"] + amount
    event = ("charge.refunded",) if amount > 0 else ()
    shop.change(
        "charge",
        charge["id"],
        *event,
        "charge.updated",
        amount_refunded=refunded,
        refunded=refunded == charge["amount"],
    )


def _move(shop: Shop, sale: Sale, refund: shapes.Object, legs: list[Leg]) -> None:
    """The money leaves at today's rate; what it differs from the sale's is exchange gain or loss."""
    rate = None
    amount = refund["amount"]
    if sale.rate is not None:
        rate = rates.rate(shop.now // DAY, sale.currency, shop.currency)
        amount = rates.convert(amount, sale.currency, shop.currency, rate)
    card = sale.method == "card"
    made = shop.book(
        type="refund" if card else "payment_refund",
        category="refund",
        amount=-amount,
        source=refund["id"],
        available_on=sale.available_on,
        exchange_rate=float(rate) if rate is not None else None,
        description=f"REFUND FOR CHARGE ({sale.charge_id})",
    )
    shop.store.change("refund", refund["id"], balance_transaction=made["id"])
    whole = (*legs, Leg("clearing", -amount), Leg("fx", amount - sum(leg.amount for leg in legs)))
    shop.reversals[refund["id"]] = whole
    shop.post("refund", refund["id"], *whole)


def complete(shop: Shop, refund_id: str) -> shapes.Object:
    """A pending refund goes through: only now its money leaves."""
    refund = _in(shop, refund_id, "pending")
    sale = shop.by_charge[refund["charge"]]
    _move(shop, sale, refund, list(shop.reversals[refund_id]))
    report_rows.returned(shop, sale, sale.refunds[refund_id], refund_id, "refund", shop.now)
    return shop.change(
        "refund", refund_id, "refund.updated", "charge.refund.updated", status="succeeded", pending_reason=None
    )


def fail(shop: Shop, refund_id: str, reason: str = "expired_or_canceled_card") -> shapes.Object:
    """A succeeded refund comes back (up to ~30 days later): the exact reverse of its entry.

    The refund's `failure_balance_transaction` links them. A pending one just fails.
    """
    refund = shop.get("refund", refund_id)
    if refund["status"] not in ("succeeded", "pending"):
        raise NotPossible(f"The refund {refund_id} has status {refund['status']} and cannot fail.")
    sale = shop.by_charge[refund["charge"]]
    share = sale.refunds.pop(refund_id)
    failure = None
    if refund["balance_transaction"]:
        original = shop.get("balance_transaction", refund["balance_transaction"])
        made = shop.book(
            type="refund_failure",
            category="refund_failure",
            amount=-original["amount"],
            source=refund_id,
            exchange_rate=original["exchange_rate"],
            description=f"REFUND FAILURE FOR CHARGE ({sale.charge_id})",
        )
        failure = made["id"]
        shop.post("refund_failed", refund_id, *books.negated(shop.reversals[refund_id]))
        report_rows.returned(shop, sale, share, refund_id, "refund", shop.now, sign=+1)
    books.give_back(sale, share, sign=-1)
    _count(shop, sale, -refund["amount"])
    return shop.change(
        "refund",
        refund_id,
        "refund.updated",
        "refund.failed",
        "charge.refund.updated",
        status="failed",
        failure_balance_transaction=failure,
        failure_reason=reason,
        pending_reason=None,
    )


def confirm_reference(shop: Shop, refund_id: str) -> None:
    """The bank's reference of a card refund becomes known some days later."""
    refund = shop.get("refund", refund_id)
    kind = refund["destination_details"]["type"]
    details = {
        **refund["destination_details"][kind],
        "reference": f"24011{refund_id[-8:]}",
        "reference_status": "available",
    }
    shop.change("refund", refund_id, "refund.updated", destination_details={kind: details, "type": kind})


def _in(shop: Shop, refund_id: str, status: str) -> shapes.Object:
    refund = shop.get("refund", refund_id)
    if refund["status"] != status:
        raise NotPossible(f"The refund {refund_id} has status {refund['status']}, not {status}.")
    return refund
