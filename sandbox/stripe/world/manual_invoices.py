"""Invoices that finance writes by hand to companies: draft, open, void, uncollectible, paid by wire.

They carry no tax, and but for `pay_off_stripe` they have no effect on the books.
"""

from sandbox.stripe import shapes
from sandbox.stripe.world import invoicing
from sandbox.stripe.world.catalog import course_of
from sandbox.stripe.world.customers import make_customer
from sandbox.stripe.world.ledger import Leg
from sandbox.stripe.world.model import Buyer
from sandbox.stripe.world.shop import DAY, NotPossible, Shop


def draft(shop: Shop, buyer: Buyer, price_id: str, quantity: int = 1) -> shapes.Object:
    """A draft to a company, to be sent and paid within 30 days; no tax on it."""
    id = shop.ids.new("in")
    price = shop.get("price", price_id)
    product = shop.get("product", price["product"])
    amount = quantity * price["unit_amount"]
    line = shapes.invoice_line(
        id=shop.ids.new("il"),
        amount=amount,
        subtotal=amount,
        currency=price["currency"],
        description=product["name"],
        invoice=id,
        livemode=shop.spec.livemode,
        parent=_by_hand(shop),
        period={"start": shop.now, "end": shop.now},
        pricing={
            "price_details": {"price": price_id, "product": product["id"]},
            "type": "price_details",
            "unit_amount_decimal": str(price["unit_amount"]),
        },
        quantity=quantity,
        quantity_decimal=str(quantity),
    )
    made = shapes.invoice(
        **invoicing.head(
            shop, id, buyer, make_customer(shop, {"customer": None, "customer_creation": "always"}, buyer)
        ),
        amount_due=amount,
        amount_remaining=amount,
        collection_method="send_invoice",
        currency=price["currency"],
        due_date=shop.now + 30 * DAY,
        lines=shapes.nested([line], f"/v1/invoices/{id}/lines"),
        subtotal=amount,
        subtotal_excluding_tax=amount,
        total=amount,
        total_excluding_tax=amount,
    )
    made.update(hosted_invoice_url=None, invoice_pdf=None)
    return shop.create(made, "invoice.created")


def _by_hand(shop: Shop) -> shapes.Object:
    details = {"invoice_item": shop.ids.new("ii"), "proration": False, "proration_details": None, "subscription": None}
    return {"invoice_item_details": details, "subscription_item_details": None, "type": "invoice_item_details"}


def finalize(shop: Shop, id: str) -> shapes.Object:
    invoice = _in(shop, id, "draft")
    page = f"https://invoice.stripe.com/i/{shop.store.account_id}/{id}"
    return shop.change(
        "invoice",
        id,
        "invoice.finalized",
        "invoice.updated",
        effective_at=shop.now,
        hosted_invoice_url=page,
        invoice_pdf=f"{page}/pdf",
        number=invoicing.next_number(shop, invoice["customer"]),
        status="open",
        status_transitions=invoicing.transitions(finalized_at=shop.now),
    )


def void(shop: Shop, id: str) -> shapes.Object:
    invoice = _in(shop, id, "open", "uncollectible")
    times = {**invoice["status_transitions"], "voided_at": shop.now}
    return shop.change("invoice", id, "invoice.voided", "invoice.updated", status="void", status_transitions=times)


def mark_uncollectible(shop: Shop, id: str) -> shapes.Object:
    invoice = _in(shop, id, "open")
    times = {**invoice["status_transitions"], "marked_uncollectible_at": shop.now}
    return shop.change(
        "invoice",
        id,
        "invoice.marked_uncollectible",
        "invoice.updated",
        status="uncollectible",
        status_details={"uncollectible": {"reason": "payment_not_received"}},
        status_transitions=times,
    )


def pay_off_stripe(shop: Shop, id: str) -> shapes.Object:
    """An open invoice marked as paid by wire. Dr offline receivable, Cr revenue (event 20; only on demand)."""
    invoice = _in(shop, id, "open")
    if invoice["currency"] != shop.currency:
        raise NotPossible("The world marks only invoices in the account's own currency as paid outside Stripe.")
    total = invoice["total"]
    times = {**invoice["status_transitions"], "paid_at": shop.now}
    made = shop.change(
        "invoice",
        id,
        "invoice.paid",
        "invoice.updated",
        amount_paid=total,
        amount_paid_off_stripe=total,
        amount_remaining=0,
        status="paid",
        status_transitions=times,
    )
    product = shop.get("product", invoice["lines"]["data"][0]["pricing"]["price_details"]["product"])
    shop.post(
        "paid_off_stripe",
        id,
        Leg("offline_receivable", total),
        Leg("revenue", -total, course=course_of(product)),
    )
    return made


def _in(shop: Shop, id: str, *statuses: str) -> shapes.Object:
    invoice = shop.get("invoice", id)
    if invoice["status"] not in statuses:
        raise NotPossible(f"The invoice {id} has status {invoice['status']}; it must be {' or '.join(statuses)}.")
    return invoice
