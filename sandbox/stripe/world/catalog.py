"""Opening an account: its Account, tax settings, registrations, products, prices, tax rates, coupons."""

from decimal import Decimal
from typing import Any

from sandbox.stripe import shapes
from sandbox.stripe.world import jurisdictions
from sandbox.stripe.world.model import Course
from sandbox.stripe.world.shop import Shop

TRAINING = "txcd_20060058"
TAX_CODES = (
    ("txcd_00000000", "Nontaxable", "Any nontaxable good or service."),
    ("txcd_10000000", "General - Electronically Supplied Services", "A digital service, in general."),
    (TRAINING, "Training Services - Self Study Web Based", "Training over the web, without a live instructor."),
    ("txcd_20060045", "Training Services - Live Virtual", "Training led live over the web."),
    ("txcd_20060158", "On-demand online course - streamed", "A course of streamed audio and video."),
)
GIFT, DISCOUNT = "GIFT100", "SPRING20"  # coupons of the world: free, and 20 % off

COURSES = (
    Course("redis-101", "Redis 101: Fundamentals", "fj_crs_101", TRAINING, {"usd": 19900, "ils": 69900, "eur": 18900}),
    Course(
        "redis-search",
        "Search & Vectors — מבוא לחיפוש",
        "fj_crs_search",
        TRAINING,
        {"usd": 24900, "ils": 89900, "eur": 23900, "jpy": 36800, "kwd": 76500},
    ),
    Course(
        "redis-ops",
        "Redis Operations & Łączność",
        "fj_crs_ops",
        TRAINING,
        {"usd": 34999, "ils": 124900, "eur": 32999, "jpy": 51999, "kwd": 107490},
    ),
    Course("cert-dev", "Certified Developer Exam 🎓", "fj_crs_cert", "txcd_20060045", {"usd": 14995, "ils": 52990}),
)


def open_account(shop: Shop) -> None:
    """Everything an account has before its first sale."""
    spec, store = shop.spec, shop.store
    store.put(
        shapes.account(
            id=store.account_id, country=spec.country, default_currency=spec.currency, created=shop.now - 400 * 86400
        )
    )
    office = shapes.address(spec.country, "CA" if spec.country == "US" else None, None, None, None)
    store.put(shapes.tax_settings(head_office={"address": office}, livemode=spec.livemode))
    for id, name, description in TAX_CODES:
        store.put(shapes.tax_code(id=id, name=name, description=description))
    for place in sorted(spec.registrations):
        _register(shop, place)
    for id, percent in ((GIFT, 100.0), (DISCOUNT, 20.0)):
        store.put(shapes.coupon(id=id, name=id.title(), percent_off=percent, created=shop.now, livemode=spec.livemode))
    for course in spec.courses:
        _offer(shop, course)
    if spec.tax == "manual":
        made = create_tax_rate(
            shop,
            display_name="VAT",
            percentage=str(spec.manual_rate),
            country=spec.country,
            tax_type="vat",
            inclusive=False,
        )
        shop.manual_rate = made["id"]


def _register(shop: Shop, place: str) -> None:
    country, _, state = place.partition("-")
    options = {"state": state, "type": "state_sales_tax"} if state else {"type": "standard"}
    shop.store.put(
        shapes.registration(
            id=shop.ids.new("taxreg"),
            country=country,
            country_options={country.lower(): options},
            active_from=shop.now,
            created=shop.now,
            livemode=shop.spec.livemode,
        )
    )


def _offer(shop: Shop, course: Course) -> None:
    product = create_product(
        shop,
        name=course.name,
        tax_code=course.tax_code,
        metadata={"course": course.slug, "flockjay_course_id": course.flockjay_course_id},
    )
    for currency, amount in course.prices.items():
        own = currency == shop.currency
        if not own and shop.spec.tax == "manual":
            continue
        price = create_price(
            shop,
            product=product["id"],
            currency=currency,
            unit_amount=amount,
            tax_behavior="inclusive" if currency in course.inclusive else "exclusive",
            lookup_key=course.slug if own else None,
            metadata={"course": course.slug},
        )
        if own:
            shop.change("product", product["id"], "product.updated", default_price=price["id"], updated=shop.now)


def create_product(shop: Shop, **fields: Any) -> shapes.Object:
    """A product; its course is its `metadata.course`, else its id."""
    id = fields.pop("id", None) or shop.ids.new("prod")
    code = fields.get("tax_code")
    fields.setdefault("tax_details", {"performance_location": None, "tax_code": code} if code else None)
    made = shapes.product(id=id, created=shop.now, updated=shop.now, livemode=shop.spec.livemode, **fields)
    return shop.create(made, "product.created")


def course_of(product: shapes.Object) -> str:
    return str(product["metadata"].get("course") or product["id"])


def update(shop: Shop, kind: str, id: str, **fields: Any) -> shapes.Object:
    """Change a product, price or tax rate, with its event."""
    if kind == "product":
        fields["updated"] = shop.now
    return shop.change(kind, id, f"{kind}.updated", **fields)


def create_price(shop: Shop, **fields: Any) -> shapes.Object:
    """A one-time price; `unit_amount` in minor units."""
    amount = int(fields.pop("unit_amount"))
    fields.setdefault("tax_behavior", "unspecified")
    made = shapes.price(
        id=shop.ids.new("price"),
        created=shop.now,
        livemode=shop.spec.livemode,
        unit_amount=amount,
        unit_amount_decimal=str(amount),
        **fields,
    )
    return shop.create(made, "price.created")


def create_tax_rate(shop: Shop, **fields: Any) -> shapes.Object:
    """A manual tax rate: `jurisdiction_level` stays null."""
    percentage = Decimal(str(fields.pop("percentage")))
    made = shapes.tax_rate(
        id=shop.ids.new("txr"),
        created=shop.now,
        livemode=shop.spec.livemode,
        percentage=float(percentage),
        rate_type="percentage",
        **fields,
    )
    levy = jurisdictions.manual(percentage, made["country"] or shop.spec.country)
    shop.levies[made["id"]] = levy._replace(
        display_name=made["display_name"], inclusive=bool(made["inclusive"]), tax_type=made["tax_type"] or "vat"
    )
    return shop.create(made, "tax_rate.created")
