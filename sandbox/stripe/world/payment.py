"""Paying a session: by card, by a delayed method, declined, or nothing due.

Order of objects and events as Stripe's: customer, payment intent, charge (its balance transaction comes a moment
later, §3.3), session, then the invoice.
"""

from dataclasses import replace

from sandbox.stripe import shapes
from sandbox.stripe.world import charging, checkout, invoicing, jurisdictions, report_rows
from sandbox.stripe.world.checkout import Cart
from sandbox.stripe.world.customers import place
from sandbox.stripe.world.model import Buyer, Sale
from sandbox.stripe.world.shop import NotPossible, Shop

DELAYED = ("us_bank_account", "sepa_debit")


def pay(shop: Shop, session_id: str, buyer: Buyer, method: str = "card", invoice_after: int = 0) -> shapes.Object:
    """The buyer pays an open session; returns the session.

    `method` is card or a delayed one (the session then completes unpaid: `settle` or `fail` end it). With
    `invoice_after` seconds the invoice comes later, as it does at Stripe; 0 makes it at once.
    """
    session, cart = _open(shop, session_id)
    buyer = _known(shop, session, buyer)
    sale = _sale(shop, session, cart, buyer)
    shop.sales[session_id] = sale
    sale.method = method
    if sale.total:
        charging.intend(shop, sale, cart)
        if method in DELAYED:
            charging.start(shop, sale)
        else:
            charging.succeed(shop, sale)
    _complete(shop, session, cart, sale)
    if sale.total and method not in DELAYED:
        charging.book(shop, sale)
    if method not in DELAYED:
        _count(shop, sale, cart, invoice_after)
    return shop.get("checkout.session", session_id)


def decline(shop: Shop, session_id: str, buyer: Buyer, code: str = "insufficient_funds") -> shapes.Object:
    """A card is refused: a failed charge, the session stays open. Returns the charge."""
    session, cart = _open(shop, session_id)
    sale = _sale(shop, session, cart, _known(shop, session, buyer))
    if not sale.total:
        raise NotPossible("Nothing is due: there is no card to decline.")
    sale.customer_id = session["customer"]
    charging.intend(shop, sale, cart)
    cart.declined = sale.payment_intent_id
    charge = charging.decline(shop, sale, code)
    shop.store.change("checkout.session", session_id, payment_intent=sale.payment_intent_id)
    return charge


def settle(shop: Shop, session_id: str, invoice_after: int = 0) -> shapes.Object:
    """A delayed payment has come: the session is paid, the invoice is made."""
    sale = _waiting(shop, session_id)
    cart = shop.carts.pop(session_id)
    charging.settle(shop, sale)
    session = shop.change(
        "checkout.session", session_id, "checkout.session.async_payment_succeeded", payment_status="paid"
    )
    _count(shop, sale, cart, invoice_after)
    return session


def fail(shop: Shop, session_id: str) -> shapes.Object:
    """A delayed payment has failed: what was booked is booked back, the session stays unpaid."""
    sale = _waiting(shop, session_id)
    shop.carts.pop(session_id)
    charging.fail(shop, sale)
    return shop.change("checkout.session", session_id, "checkout.session.async_payment_failed")


def _open(shop: Shop, session_id: str) -> tuple[shapes.Object, Cart]:
    session = shop.get("checkout.session", session_id)
    if session["status"] != "open" or session_id not in shop.carts:
        raise NotPossible(f"This Checkout Session has a status of {session['status']} and cannot be paid.")
    return session, shop.carts[session_id]


def _waiting(shop: Shop, session_id: str) -> Sale:
    session = shop.get("checkout.session", session_id)
    if session["status"] != "complete" or session["payment_status"] != "unpaid" or session_id not in shop.carts:
        raise NotPossible("This Checkout Session does not wait for a payment.")
    return shop.sales[session_id]


def _known(shop: Shop, session: shapes.Object, buyer: Buyer) -> Buyer:
    """An existing customer's exemption counts, and the e-mail that the session was made with."""
    customer = shop.store.get("customer", session["customer"]) if session["customer"] else None
    if customer is not None:
        return replace(buyer, email=customer["email"] or buyer.email, tax_exempt=customer["tax_exempt"])
    return replace(buyer, email=session["customer_email"]) if session["customer_email"] else buyer


def _sale(shop: Shop, session: shapes.Object, cart: Cart, buyer: Buyer) -> Sale:
    if cart.automatic_tax:
        levies = jurisdictions.levies(buyer, shop.spec.registrations, inclusive=True)
        checkout.assess(shop, cart, levies)
    return Sale(
        session_id=session["id"],
        currency=session["currency"],
        settlement=shop.currency,
        lines=cart.lines,
        buyer=buyer,
        metadata=dict((cart.invoice or {}).get("metadata") or session["metadata"] or {}),
        automatic_tax=cart.automatic_tax,
        payment_intent_id=cart.declined,
        coupon=cart.coupon,
    )


def _complete(shop: Shop, session: shapes.Object, cart: Cart, sale: Sale) -> None:
    """The session's page is done: paid, unpaid (delayed method) or nothing due."""
    status = "paid" if sale.method not in DELAYED else "unpaid"
    if not sale.total:
        status = "no_payment_required"
    buyer = sale.buyer
    checkout.show_items(shop, sale.session_id, cart, sale.currency)
    consent = session["consent_collection"]
    shop.change(
        "checkout.session",
        sale.session_id,
        "checkout.session.completed",
        status="complete",
        payment_status=status,
        url=None,
        payment_intent=sale.payment_intent_id,
        customer=sale.customer_id,
        automatic_tax={**session["automatic_tax"], "status": "complete" if cart.automatic_tax else None},
        collected_information={"business_name": None, "individual_name": None, "shipping_details": None},
        consent={"promotions": None, "terms_of_service": "accepted"} if consent else None,
        customer_details={
            "address": place(buyer),
            "business_name": None,
            "email": buyer.email,
            "individual_name": None,
            "name": buyer.name,
            "phone": None,
            "tax_exempt": buyer.tax_exempt,
            "tax_ids": [{"type": buyer.tax_id[0], "value": buyer.tax_id[1]}] if buyer.tax_id else [],
        },
        **checkout.amounts(cart.lines),
    )


def _count(shop: Shop, sale: Sale, cart: Cart, after: int) -> None:
    """The sale is final: make its invoice, now or `after` seconds."""
    shop.carts.pop(sale.session_id, None)
    if cart.invoice is None:
        invoicing.without_invoice(shop, sale)
        report_rows.sold(shop, sale, shop.now)
    elif after:
        shop.later(after, lambda: invoicing.issue(shop, sale, cart.invoice or {}))
    else:
        invoicing.issue(shop, sale, cart.invoice)
