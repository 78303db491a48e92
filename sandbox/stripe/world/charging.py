"""Payment intents and charges, and their balance transactions with fees."""

from decimal import Decimal

from sandbox.stripe import shapes
from sandbox.stripe.world import rates
from sandbox.stripe.world.checkout import Cart
from sandbox.stripe.world.customers import make_customer, place
from sandbox.stripe.world.ledger import Leg
from sandbox.stripe.world.model import Sale
from sandbox.stripe.world.shop import DAY, Shop

MESSAGES = {"insufficient_funds": "Your card has insufficient funds.", "generic_decline": "Your card was declined."}


def intend(shop: Shop, sale: Sale, cart: Cart) -> None:
    """Make (or take up again) the payment intent, and the customer it belongs to."""
    session = shop.get("checkout.session", sale.session_id)
    if sale.payment_intent_id is None:
        id = shop.ids.new("pi")
        made = shapes.payment_intent(
            id=id,
            amount=sale.total,
            created=shop.now,
            currency=sale.currency,
            client_secret=f"{id}_secret",
            description=cart.description,
            livemode=shop.spec.livemode,
            metadata=dict(cart.payment_metadata),
            payment_method_types=list(session["payment_method_types"]),
        )
        shop.create(made, "payment_intent.created")
        sale.payment_intent_id = id


def _confirm(shop: Shop, sale: Sale, charge: shapes.Object, *events: str, status: str) -> None:
    """Write the charge (its customer first) and the payment intent's new state."""
    shop.by_charge[charge["id"]] = sale
    sale.charge_id = charge["id"]
    succeeded = status == "succeeded"
    shop.create(charge, *events)
    shop.change(
        "payment_intent",
        str(sale.payment_intent_id),
        f"payment_intent.{status}",
        amount=sale.total,
        amount_received=sale.total if succeeded else 0,
        customer=sale.customer_id,
        latest_charge=charge["id"],
        last_payment_error=None,
        payment_method=charge["payment_method"],
        status=status,
    )


def _charge(shop: Shop, sale: Sale, prefix: str, **fields: object) -> shapes.Object:
    buyer, id = sale.buyer, shop.ids.new(prefix)
    intent = shop.get("payment_intent", str(sale.payment_intent_id))
    if sale.method == "card":
        details = shapes.card_details(
            amount=sale.total, brand="visa", country=buyer.country, last4=f"{len(shop.by_charge) % 10000:04d}"
        )
    else:
        details = shapes.bank_details(sale.method, buyer.country)
    return shapes.charge(
        **{
            "id": id,
            "amount": sale.total,
            "amount_captured": sale.total,
            "billing_details": {
                "address": place(buyer),
                "email": buyer.email,
                "name": buyer.name,
                "phone": None,
                "tax_id": buyer.tax_id[1] if buyer.tax_id else None,
            },
            "created": shop.now,
            "currency": sale.currency,
            "customer": sale.customer_id,
            "description": intent["description"],
            "livemode": shop.spec.livemode,
            "metadata": dict(intent["metadata"]),
            "outcome": shapes.outcome(accepted=True, code=None),
            "payment_intent": sale.payment_intent_id,
            "payment_method": shop.ids.new("pm"),
            "payment_method_details": details,
            "receipt_url": f"https://pay.stripe.com/receipts/payment/{id}",
            **fields,
        }
    )


def _customer(shop: Shop, sale: Sale) -> None:
    if sale.customer_id is None:
        session = shop.get("checkout.session", sale.session_id)
        sale.customer_id = make_customer(shop, session, sale.buyer)


def succeed(shop: Shop, sale: Sale) -> None:
    """A card payment goes through; `book` writes its balance transaction a moment later."""
    _customer(shop, sale)
    _confirm(shop, sale, _charge(shop, sale, "ch"), "charge.succeeded", status="succeeded")


def start(shop: Shop, sale: Sale) -> None:
    """A delayed method: the charge is pending, its money stands in the pending balance (docs: type `payment`)."""
    _customer(shop, sale)
    charge = _charge(shop, sale, "py", status="pending", paid=False, outcome=None)
    _confirm(shop, sale, charge, "charge.pending", status="processing")
    book(shop, sale)


def settle(shop: Shop, sale: Sale) -> None:
    id = str(sale.charge_id)
    shop.change("charge", id, "charge.succeeded", status="succeeded", paid=True)
    shop.change(
        "payment_intent",
        str(sale.payment_intent_id),
        "payment_intent.succeeded",
        status="succeeded",
        amount_received=sale.total,
    )


def decline(shop: Shop, sale: Sale, code: str) -> shapes.Object:
    """A failed charge: no balance transaction, no money."""
    message = MESSAGES.get(code, MESSAGES["generic_decline"])
    charge = _charge(
        shop,
        sale,
        "ch",
        amount_captured=0,
        captured=False,
        failure_code="card_declined",
        failure_message=message,
        outcome=shapes.outcome(accepted=False, code=code),
        paid=False,
        receipt_url=None,
        status="failed",
    )
    shop.create(charge, "charge.failed")
    error = {
        "charge": charge["id"],
        "code": "card_declined",
        "decline_code": code,
        "message": message,
        "type": "card_error",
    }
    shop.change(
        "payment_intent",
        str(sale.payment_intent_id),
        "payment_intent.payment_failed",
        latest_charge=charge["id"],
        last_payment_error=error,
    )
    return charge


def book(shop: Shop, sale: Sale) -> None:
    """The charge's balance transaction. Dr clearing, Cr in flight (until the invoice); the fee from clearing."""
    if sale.currency == shop.currency:
        sale.settled = sale.total
    else:
        sale.rate = rates.rate(shop.now // DAY, sale.currency, shop.currency)
        sale.settled = rates.convert(sale.total, sale.currency, shop.currency, sale.rate)
    fees = _fees(shop, sale)
    days = shop.spec.settlement_days if sale.method == "card" else 5
    sale.available_on = (shop.now // DAY + days) * DAY
    card = sale.method == "card"
    made = shop.book(
        type="charge" if card else "payment",
        category="charge",
        amount=sale.settled,
        source=sale.charge_id,
        fees=fees,
        available_on=sale.available_on,
        exchange_rate=float(sale.rate) if sale.rate is not None else None,
        description=shop.get("charge", str(sale.charge_id))["description"],
    )
    sale.fee = made["fee"]
    shop.volume += sale.settled
    shop.change("charge", str(sale.charge_id), "charge.updated", balance_transaction=made["id"])
    shop.post(
        "charge",
        made["id"],
        Leg("clearing", made["net"]),
        Leg("in_flight", -sale.settled),
        *fee_legs(fees, "fee_processing"),
    )


def fee_legs(fees: list[shapes.Object], role: str) -> list[Leg]:
    """Debit each part of a fee: Stripe's own to `role`, the tax on it to input VAT."""
    return [Leg("input_vat" if each["type"] == "tax" else role, each["amount"]) for each in fees]


def _fees(shop: Shop, sale: Sale) -> list[shapes.Object]:
    spec = shop.spec
    if sale.method != "card":
        amount = min(rates.half_up(Decimal(sale.settled) * 8 / 1000), 500)
    else:
        percent = spec.fee_percent
        percent += Decimal("1.5") if sale.buyer.country != spec.country else 0
        percent += 1 if sale.rate is not None else 0
        amount = rates.half_up(sale.settled * percent / 100) + spec.fee_fixed
    return with_tax(shop, amount, "Stripe processing fees")


def with_tax(shop: Shop, amount: int, description: str) -> list[shapes.Object]:
    """A Stripe fee, and the VAT on it where Stripe charges one."""
    fees = [shapes.fee_detail(amount=amount, currency=shop.currency, type="stripe_fee", description=description)]
    if shop.spec.fee_tax_percent:
        vat = rates.half_up(amount * shop.spec.fee_tax_percent / 100)
        fees.append(shapes.fee_detail(amount=vat, currency=shop.currency, type="tax", description="VAT"))
    return fees


def fail(shop: Shop, sale: Sale) -> None:
    """A delayed payment fails after it was booked: it is booked back with its fee (category charge_failure)."""
    charge = shop.get("charge", str(sale.charge_id))
    original = shop.get("balance_transaction", charge["balance_transaction"])
    fees = [{**each, "amount": -each["amount"]} for each in original["fee_details"]]
    made = shop.book(
        type="payment_failure_refund",
        category="charge_failure",
        amount=-sale.settled,
        source=charge["id"],
        fees=fees,
        available_on=sale.available_on,
        exchange_rate=original["exchange_rate"],
        description=f"Payment failure for {charge['id']}",
    )
    shop.change(
        "charge",
        charge["id"],
        "charge.failed",
        status="failed",
        captured=False,
        amount_captured=0,
        failure_balance_transaction=made["id"],
        failure_code="insufficient_funds",
        failure_message="The account has insufficient funds.",
    )
    error = {"charge": charge["id"], "code": "payment_intent_payment_attempt_failed", "message": "The payment failed."}
    shop.change(
        "payment_intent",
        str(sale.payment_intent_id),
        "payment_intent.payment_failed",
        status="requires_payment_method",
        last_payment_error={**error, "type": "invalid_request_error"},
    )
    shop.post(
        "charge_failed",
        made["id"],
        Leg("clearing", made["net"]),
        Leg("in_flight", sale.settled),
        *fee_legs(fees, "fee_processing"),
    )
