"""The default world: an American account under Stripe Tax and an Israeli one with a manual VAT rate."""

from decimal import Decimal

from sandbox.stripe.world.catalog import COURSES
from sandbox.stripe.world.model import AccountSpec

US = AccountSpec(
    name="us",
    country="US",
    currency="usd",
    markets=(
        ("us_taxed", 22),
        ("us_untaxed", 8),
        ("us_exempt", 1),
        ("eu", 5),
        ("eu_business", 2),
        ("gb", 1),
        ("jp", 2),
        ("kw", 1),
        ("il_abroad", 1),
    ),
    registrations=frozenset(("US-NY", "US-TX", "US-WA", "US-IL", "US-PA", "US-TN", "DE", "FR", "PL", "IE", "JP")),
    courses=COURSES,
)
IL = AccountSpec(
    name="il",
    country="IL",
    currency="ils",
    markets=(("il", 1),),
    tax="manual",
    manual_rate=Decimal(18),
    fee_fixed=120,
    fee_tax_percent=Decimal(18),
    dispute_fee=5500,
    courses=COURSES,
)
DEFAULT = (US, IL)
