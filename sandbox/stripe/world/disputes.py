"""Disputes: opened with a withdrawal, inquiries without one, won (money back), lost (no row at all)."""

from sandbox.stripe import shapes
from sandbox.stripe.world import charging, rates
from sandbox.stripe.world.ledger import Leg
from sandbox.stripe.world.model import Sale
from sandbox.stripe.world.shop import DAY, NotPossible, Shop


def open_dispute(shop: Shop, charge_id: str, reason: str = "fraudulent") -> shapes.Object:
    """The bank takes back what is left of a charge, and Stripe its fee."""
    dispute = _create(shop, charge_id, reason, status="needs_response", case_type="chargeback")
    _withdraw(shop, shop.by_charge[charge_id], dispute)
    return shop.get("dispute", dispute["id"])


def open_inquiry(shop: Shop, charge_id: str, reason: str = "general") -> shapes.Object:
    """The bank only asks: no money moves until `escalate`."""
    return _create(shop, charge_id, reason, status="warning_needs_response", case_type="inquiry")


def _create(shop: Shop, charge_id: str, reason: str, *, status: str, case_type: str) -> shapes.Object:
    sale = shop.by_charge.get(charge_id)
    charge = shop.get("charge", charge_id)
    left = charge["amount"] - charge["amount_refunded"]
    if sale is None or charge["status"] != "succeeded" or sale.disputed or left <= 0:
        raise NotPossible(f"Charge {charge_id} cannot be disputed: not paid, refunded, or disputed already.")
    sale.disputed = True
    made = shapes.dispute(
        id=shop.ids.new("du"),
        amount=left,
        charge=charge_id,
        created=shop.now,
        currency=sale.currency,
        is_charge_refundable=case_type == "inquiry",
        livemode=shop.spec.livemode,
        payment_intent=sale.payment_intent_id,
        reason=reason,
        status=status,
    )
    made["evidence_details"]["due_by"] = (shop.now // DAY + 10) * DAY - 1
    made["payment_method_details"]["card"]["case_type"] = case_type
    shop.create(made, "charge.dispute.created")
    shop.change("charge", charge_id, "charge.updated", disputed=True)
    return made


def _withdraw(shop: Shop, sale: Sale, dispute: shapes.Object) -> None:
    """Dr disputed, Dr dispute fee, Cr clearing."""
    rate, amount = None, dispute["amount"]
    if sale.rate is not None:
        rate = rates.rate(shop.now // DAY, sale.currency, shop.currency)
        amount = rates.convert(amount, sale.currency, shop.currency, rate)
    fees = charging.with_tax(shop, shop.spec.dispute_fee, "Dispute fee")
    made = shop.book(
        type="adjustment",
        category="dispute",
        amount=-amount,
        source=dispute["id"],
        fees=fees,
        exchange_rate=float(rate) if rate is not None else None,
        description=f"Chargeback withdrawal for {sale.charge_id}",
    )
    _add(shop, dispute["id"], made, "charge.dispute.funds_withdrawn")
    shop.post(
        "dispute_opened",
        dispute["id"],
        Leg("disputed", amount),
        Leg("clearing", made["net"]),
        *charging.fee_legs(fees, "fee_dispute"),
    )


def _add(shop: Shop, id: str, transaction: shapes.Object, event: str) -> None:
    rows = shop.get("dispute", id)["balance_transactions"]
    # The rows inside a dispute are the objects themselves, as they were when it changed.
    shop.change("dispute", id, event, balance_transactions=[*rows, dict(transaction)])


def escalate(shop: Shop, id: str) -> shapes.Object:
    """An inquiry becomes a chargeback: now the money leaves."""
    dispute = _in(shop, id, "warning_needs_response", "warning_under_review")
    _withdraw(shop, shop.by_charge[dispute["charge"]], dispute)
    details = {"card": {**dispute["payment_method_details"]["card"], "case_type": "chargeback"}, "type": "card"}
    return shop.change("dispute", id, "charge.dispute.updated", status="needs_response", payment_method_details=details)


def respond(shop: Shop, id: str) -> shapes.Object:
    """Evidence is sent: under review."""
    dispute = _in(shop, id, "needs_response", "warning_needs_response")
    status = "under_review" if dispute["status"] == "needs_response" else "warning_under_review"
    sent = {"has_evidence": True, "submission_count": 1, "submission_method": "manual"}
    details = {**dispute["evidence_details"], **sent}
    return shop.change("dispute", id, "charge.dispute.updated", status=status, evidence_details=details)


def win(shop: Shop, id: str) -> shapes.Object:
    """The money comes back, the dispute fee stays: Dr clearing, Cr disputed."""
    dispute = _in(shop, id, "needs_response", "under_review")
    amount = -dispute["balance_transactions"][0]["amount"]
    made = shop.book(
        type="adjustment",
        category="dispute_reversal",
        amount=amount,
        source=id,
        exchange_rate=dispute["balance_transactions"][0]["exchange_rate"],
        description=f"Chargeback reversal for {dispute['charge']}",
    )
    _add(shop, id, made, "charge.dispute.funds_reinstated")
    shop.post("dispute_won", id, Leg("clearing", amount), Leg("disputed", -amount))
    shop.by_charge[dispute["charge"]].disputed = False
    return shop.change("dispute", id, "charge.dispute.closed", status="won")


def lose(shop: Shop, id: str) -> shapes.Object:
    """No balance transaction: the money left when it opened. Dr dispute loss, Cr disputed; tax stays."""
    dispute = _in(shop, id, "needs_response", "under_review")
    amount = -dispute["balance_transactions"][0]["amount"]
    shop.post("dispute_lost", id, Leg("dispute_loss", amount), Leg("disputed", -amount))
    return shop.change("dispute", id, "charge.dispute.closed", status="lost")


def close_inquiry(shop: Shop, id: str) -> shapes.Object:
    dispute = _in(shop, id, "warning_needs_response", "warning_under_review")
    shop.by_charge[dispute["charge"]].disputed = False
    return shop.change("dispute", id, "charge.dispute.closed", status="warning_closed")


def _in(shop: Shop, id: str, *statuses: str) -> shapes.Object:
    dispute = shop.get("dispute", id)
    if dispute["status"] not in statuses:
        raise NotPossible(f"The dispute {id} has status {dispute['status']}; it must be {' or '.join(statuses)}.")
    return dispute
