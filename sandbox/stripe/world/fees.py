"""Movements of the balance without a sale: monthly product fees, top-ups, reserves, adjustments (stripe.md §8.1).

`adjust` books what no rule can explain: it blocks a month's journals until finance maps it, so it is on demand only.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sandbox.stripe import shapes
from sandbox.stripe.world.ledger import Leg
from sandbox.stripe.world.rates import half_up
from sandbox.stripe.world.shop import Shop

# Fees on the month's volume: (description, basis points of revenue collected, least amount)
PRODUCTS = (
    ("Billing - Usage Fee", 40, 500),
    ("Automatic tax", 50, 300),
    ("Post payment invoices", 20, 200),
    ("Radar", 3, 100),
)
TAX_ON_PRODUCT_FEES = {"US": Decimal("8.875"), "IL": Decimal(18)}


def monthly(shop: Shop) -> list[shapes.Object]:
    """Last month's product fees, on the 1st, and the tax on them: the cost is in `amount`, `fee` is 0."""
    volume, shop.volume = shop.volume, 0
    last = datetime.fromtimestamp(shop.now, UTC).replace(day=1) - timedelta(days=1)
    period = f"{last:%Y-%m}-01 - {last:%Y-%m-%d}"
    made = []
    for name, points, least in PRODUCTS:
        if name == "Automatic tax" and shop.spec.tax != "automatic":
            continue
        made.append(product_fee(shop, max(least, volume * points // 10000), f"{name} ({period})"))
    percent = TAX_ON_PRODUCT_FEES.get(shop.spec.country, Decimal(20))
    charged = -sum(row["amount"] for row in made)
    made.append(tax_fee(shop, half_up(charged * percent / 100), f"Tax on Stripe fees ({period})"))
    return made


def product_fee(shop: Shop, amount: int, description: str) -> shapes.Object:
    made = shop.book(type="stripe_fee", category="fee", amount=-amount, source=None, description=description)
    shop.post("product_fee", made["id"], Leg("fee_product", amount), Leg("clearing", -amount))
    return made


def tax_fee(shop: Shop, amount: int, description: str) -> shapes.Object:
    made = shop.book(type="tax_fee", category="tax", amount=-amount, source=None, description=description)
    shop.post("tax_fee", made["id"], Leg("input_vat", amount), Leg("clearing", -amount))
    return made


def topup(shop: Shop, amount: int, description: str = "Top-up") -> shapes.Object:
    """Money from the bank into the balance: Dr clearing, Cr bank."""
    id = shop.ids.new("tu")
    row = shop.book(type="topup", category="topup", amount=amount, source=id, description=description)
    made = shapes.topup(
        id=id,
        amount=amount,
        balance_transaction=row["id"],
        created=shop.now,
        currency=shop.currency,
        description=description,
        expected_availability_date=shop.now,
        livemode=shop.spec.livemode,
    )
    shop.post("topup", id, Leg("clearing", amount), Leg("bank", -amount))
    return shop.create(made, "topup.created", "topup.succeeded")


def hold(shop: Shop, amount: int) -> list[shapes.Object]:
    """A reserve is placed: out of payments, into risk_reserved (a debit and a credit row)."""
    return _reserve(shop, "reserve_hold", amount)


def release(shop: Shop, amount: int) -> list[shapes.Object]:
    return _reserve(shop, "reserve_release", -amount)


def _reserve(shop: Shop, type: str, amount: int) -> list[shapes.Object]:
    rows = [
        shop.book(
            type=type,
            category="risk_reserved_funds",
            amount=sign * amount,
            source=None,
            description="Reserve",
            balance_type=balance_type,
        )
        for sign, balance_type in ((-1, "payments"), (1, "risk_reserved"))
    ]
    shop.post(type, rows[0]["id"], Leg("reserve", amount), Leg("clearing", -amount))
    return rows


def adjust(shop: Shop, amount: int, description: str = "Adjustment") -> shapes.Object:
    """A correction by Stripe, of either sign: category other_adjustment."""
    made = shop.book(
        type="adjustment", category="other_adjustment", amount=amount, source=None, description=description
    )
    shop.post("adjustment", made["id"], Leg("clearing", amount), Leg("adjustments", -amount))
    return made
