"""The invoices that Checkout makes after a payment (those written by hand: manual_invoices.py)."""

from typing import Any

from sandbox.stripe import shapes
from sandbox.stripe.world import books, report_rows, tax
from sandbox.stripe.world.customers import place
from sandbox.stripe.world.ledger import Leg
from sandbox.stripe.world.model import Buyer, Sale, SaleLine
from sandbox.stripe.world.shop import Shop


def issue(shop: Shop, sale: Sale, data: dict[str, Any]) -> shapes.Object:
    """The paid invoice of a Checkout sale. Dr in flight, Cr revenue by course and tax by jurisdiction."""
    id, now = shop.ids.new("in"), shop.now
    sale.invoice_id, sale.invoice_at = id, now
    discount = _discount(shop, sale)
    lines = _lines(shop, sale, discount)
    made = _invoice(shop, sale, data, discount, lines)
    shop.by_invoice[id] = sale
    shop.create(made, "invoice.created", "invoice.finalized")
    if sale.total:
        _pay(shop, sale)
    shop.emit("invoice.paid", made)
    shop.emit("invoice.payment_succeeded", made)
    shop.change("checkout.session", sale.session_id, invoice=id)
    if sale.settled:
        shop.post("invoice", id, Leg("in_flight", sale.settled), *books.sale_legs(sale))
    report_rows.sold(shop, sale, now)
    return made


def without_invoice(shop: Shop, sale: Sale) -> None:
    """A session made without invoice creation: the revenue all the same."""
    sale.invoice_at = shop.now
    if sale.settled:
        shop.post("sale", sale.session_id, Leg("in_flight", sale.settled), *books.sale_legs(sale))


def _discount(shop: Shop, sale: Sale) -> str | None:
    if sale.coupon is None:
        return None
    made = shapes.discount(
        id=shop.ids.new("di"),
        checkout_session=sale.session_id,
        customer=sale.customer_id,
        invoice=sale.invoice_id,
        source={"coupon": sale.coupon, "type": "coupon"},
        start=shop.now,
    )
    return str(shop.store.put(made)["id"])


def _lines(shop: Shop, sale: Sale, discount: str | None) -> list[shapes.Object]:
    made = []
    for line in sale.lines:
        line.line_id = shop.ids.new("il")
        made.append(
            shapes.invoice_line(
                id=line.line_id,
                amount=line.subtotal,
                subtotal=line.subtotal,
                currency=sale.currency,
                description=line.description,
                discount_amounts=[{"amount": line.discount, "discount": discount}] if discount else [],
                discounts=[discount] if discount else [],
                invoice=sale.invoice_id,
                livemode=shop.spec.livemode,
                metadata=line.metadata,
                period={"start": shop.now, "end": shop.now},
                pricing=_pricing(line),
                quantity=line.quantity,
                quantity_decimal=str(line.quantity),
                taxes=tax.entries(line.taxes),
            )
        )
    return made


def _pricing(line: SaleLine) -> shapes.Object:
    return {
        "price_details": {"price": line.price_id, "product": line.product_id},
        "type": "price_details",
        "unit_amount_decimal": str(line.unit_amount),
    }


def _invoice(
    shop: Shop, sale: Sale, data: dict[str, Any], discount: str | None, lines: list[shapes.Object]
) -> shapes.Object:
    id, now, total = str(sale.invoice_id), shop.now, sale.total
    sale.invoice_number = next_number(shop, sale.customer_id)
    discounted = sum(line.discount for line in sale.lines)
    return shapes.invoice(
        **head(shop, id, sale.buyer, sale.customer_id),
        amount_due=total,
        amount_paid=total,
        attempt_count=1 if total else 0,
        attempted=True,
        automatic_tax=_automatic_tax(sale),
        currency=sale.currency,
        custom_fields=data.get("custom_fields"),
        description=data.get("description"),
        discounts=[discount] if discount else [],
        effective_at=now,
        ending_balance=0,
        footer=data.get("footer"),
        lines=shapes.nested(lines, f"/v1/invoices/{id}/lines"),
        metadata=dict(data.get("metadata") or {}),
        number=sale.invoice_number,
        status="paid",
        status_transitions=transitions(finalized_at=now, paid_at=now),
        subtotal=sum(line.subtotal for line in sale.lines),
        subtotal_excluding_tax=sum(line.net + line.discount for line in sale.lines),
        total=total,
        total_discount_amounts=[{"amount": discounted, "discount": discount}] if discount else [],
        total_excluding_tax=sum(line.net for line in sale.lines),
        total_taxes=tax.entries(tax.total_taxes(sale.lines)),
        webhooks_delivered_at=now,
    )


def head(shop: Shop, id: str, buyer: Buyer, customer: str | None) -> shapes.Object:
    page = f"https://invoice.stripe.com/i/{shop.store.account_id}/{id}"
    return {
        "id": id,
        "account_country": shop.spec.country,
        "account_name": "Redis University",
        "created": shop.now,
        "customer": customer,
        "customer_address": place(buyer),
        "customer_email": buyer.email,
        "customer_name": buyer.name,
        "customer_tax_exempt": buyer.tax_exempt,
        "customer_tax_ids": [{"type": buyer.tax_id[0], "value": buyer.tax_id[1]}] if buyer.tax_id else [],
        "hosted_invoice_url": page,
        "invoice_pdf": f"{page}/pdf",
        "livemode": shop.spec.livemode,
        "period_end": shop.now,
        "period_start": shop.now,
    }


def _automatic_tax(sale: Sale) -> shapes.Object:
    enabled = sale.automatic_tax
    return {
        "disabled_reason": None,
        "enabled": enabled,
        "liability": {"type": "self"} if enabled else None,
        "provider": "stripe" if enabled else None,
        "status": "complete" if enabled else None,
    }


def transitions(**times: int) -> shapes.Object:
    return {**dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")), **times}


def next_number(shop: Shop, customer: str | None) -> str:
    found = shop.store.get("customer", customer) if customer else None
    if found is None:
        shop.orders += 1
        return f"{shop.spec.name.upper()}G{shop.orders:06d}-0001"
    sequence = found["next_invoice_sequence"]
    shop.change("customer", found["id"], "customer.updated", next_invoice_sequence=sequence + 1)
    return f"{found['invoice_prefix']}-{sequence:04d}"


def _pay(shop: Shop, sale: Sale) -> None:
    made = shapes.invoice_payment(
        id=shop.ids.new("inpay"),
        amount_paid=sale.total,
        amount_requested=sale.total,
        created=shop.now,
        currency=sale.currency,
        invoice=sale.invoice_id,
        livemode=shop.spec.livemode,
        payment={
            "charge": None,
            "payment_intent": sale.payment_intent_id,
            "payment_record": None,
            "type": "payment_intent",
        },
        status="paid",
        status_transitions={"canceled_at": None, "paid_at": shop.now},
    )
    shop.create(made, "invoice_payment.paid")
