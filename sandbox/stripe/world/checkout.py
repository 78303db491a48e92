"""Checkout Sessions: creating and expiring them (paying is in payment.py). Parameters as stripe.md §2.2."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from redisu_pipeline.common.money import allocate
from sandbox.stripe import shapes
from sandbox.stripe.world import catalog, tax
from sandbox.stripe.world.model import LineTax, SaleLine
from sandbox.stripe.world.rates import half_up
from sandbox.stripe.world.shop import NotPossible, Shop

DAY = 86400
# Session fields that only repeat what the creator asked for.
_ECHOED = """
    adaptive_pricing after_expiration allow_promotion_codes allowed_payment_method_types billing_address_collection
    branding_settings cancel_url client_reference_id consent_collection customer customer_creation customer_email
    excluded_payment_method_types integration_identifier locale managed_payments metadata mode name_collection
    origin_context payment_method_options phone_number_collection redirect_on_completion return_url
    submit_type success_url tax_id_collection ui_mode wallet_options
""".split()


@dataclass(slots=True)
class Cart:
    """What the session sells and how it was asked to; kept until it is paid or expires."""

    lines: list[SaleLine]
    automatic_tax: bool
    coupon: str | None
    invoice: dict[str, Any] | None  # invoice_creation.invoice_data, None without an invoice
    payment_metadata: dict[str, str]
    description: str | None
    manual: list[list[str]]  # tax rate ids by line
    declined: str | None = None  # payment intent of a declined attempt
    tax_rates: dict[str, shapes.Object] = field(default_factory=dict)


def create_session(shop: Shop, params: dict[str, Any]) -> shapes.Object:
    """Create an open session from validated parameters. Raises NotPossible for an unknown price, coupon or tax rate."""
    lines, manual, currency = _lines(shop, params.get("line_items") or [])
    coupon = _coupon(shop, params)
    _discount(shop, lines, coupon)
    automatic = _on((params.get("automatic_tax") or {}).get("enabled"))
    creation = params.get("invoice_creation") or {}
    intent = params.get("payment_intent_data") or {}
    cart = Cart(
        lines,
        automatic,
        coupon,
        (creation.get("invoice_data") or {}) if _on(creation.get("enabled")) else None,
        dict(intent.get("metadata") or {}),
        intent.get("description"),
        manual,
    )
    if not automatic:
        assess(shop, cart, [])
    made = _session(shop, params, cart, currency)
    shop.carts[made["id"]] = cart
    show_items(shop, made["id"], cart, currency)
    shop.store.put(made)
    seconds = made["expires_at"] - shop.now
    shop.later(seconds, lambda: expire_if_open(shop, made["id"]))
    return made


def _lines(shop: Shop, wanted: list[dict[str, Any]]) -> tuple[list[SaleLine], list[list[str]], str]:
    if not wanted:
        raise NotPossible("Missing required param: line_items.")
    lines, manual, currencies = [], [], set()
    for each in wanted:
        price = shop.get("price", each["price"]) if each.get("price") else _inline_price(shop, each["price_data"])
        product = shop.get("product", price["product"])
        quantity = int(each.get("quantity") or 1)
        currencies.add(price["currency"])
        line = SaleLine(
            item_id=shop.ids.new("li"),
            price_id=price["id"],
            product_id=product["id"],
            course=catalog.course_of(product),
            description=product["name"],
            tax_code=product["tax_code"] or catalog.TRAINING,
            quantity=quantity,
            unit_amount=price["unit_amount"],
            subtotal=quantity * price["unit_amount"],
            discount=0,
            taxes=[],
            metadata=dict(each.get("metadata") or {}),
        )
        lines.append(line)
        manual.append(list(each.get("tax_rates") or ()))
    if len(currencies) > 1:
        raise NotPossible("The line items of a session must all have the same currency.")
    return lines, manual, currencies.pop()


def _inline_price(shop: Shop, data: dict[str, Any]) -> shapes.Object:
    product = data.get("product")
    if not product:
        given = data["product_data"]
        fields = {
            name: given[name] for name in ("name", "description", "metadata", "tax_code", "images") if name in given
        }
        product = catalog.create_product(shop, **fields)["id"]
    fields = {name: data[name] for name in ("currency", "unit_amount", "tax_behavior") if name in data}
    return catalog.create_price(shop, product=product, active=False, **fields)


def _coupon(shop: Shop, params: dict[str, Any]) -> str | None:
    for each in params.get("discounts") or ():
        if each.get("coupon"):
            return str(shop.get("coupon", each["coupon"])["id"])
    return None


def _discount(shop: Shop, lines: list[SaleLine], coupon: str | None) -> None:
    if coupon is None:
        return
    terms = shop.get("coupon", coupon)
    if terms["percent_off"] is not None:
        for line in lines:
            line.discount = half_up(line.subtotal * Decimal(str(terms["percent_off"])) / 100)
        return
    parts = allocate(min(terms["amount_off"], sum(x.subtotal for x in lines)), [x.subtotal for x in lines])
    for line, part in zip(lines, parts, strict=True):
        line.discount = part


def assess(shop: Shop, cart: Cart, automatic: list[Any]) -> None:
    """Set the taxes of every line: `automatic` levies, or the manual rates of the line items."""
    behaviors = {line.price_id: shop.get("price", line.price_id)["tax_behavior"] for line in cart.lines}
    for line, rates in zip(cart.lines, cart.manual, strict=True):
        base = line.subtotal - line.discount
        if cart.automatic_tax:
            inside = behaviors[line.price_id] == "inclusive"
            levies = [levy._replace(inclusive=levy.inclusive and inside) for levy in automatic]
            line.taxes = tax.line_taxes(shop, base, levies)
        else:
            line.taxes = [
                LineTax(levy, id, *tax.amounts(base, levy))
                for id, levy in ((id, _manual_levy(shop, id)) for id in rates)
            ]


def _manual_levy(shop: Shop, id: str) -> Any:
    shop.get("tax_rate", id)
    if id not in shop.levies:
        raise NotPossible(f"The tax rate {id} was made by Stripe Tax and cannot be set by hand.")
    return shop.levies[id]


def _session(shop: Shop, params: dict[str, Any], cart: Cart, currency: str) -> shapes.Object:
    id = shop.ids.new("cs_live" if shop.spec.livemode else "cs_test")
    hosted = params.get("ui_mode", "hosted_page") == "hosted_page"
    made = shapes.session(
        id=id,
        created=shop.now,
        expires_at=int(params.get("expires_at") or shop.now + DAY),
        livemode=shop.spec.livemode,
        currency=currency,
        url=f"{shop.store.checkout_base}/c/pay/{id}" if hosted else None,
        client_secret=None if hosted else f"{id}_secret_{shop.store.name}",
        **{name: params[name] for name in _ECHOED if params.get(name) is not None},
        **amounts(cart.lines),
    )
    if cart.automatic_tax:
        made["automatic_tax"] = {
            "enabled": True,
            "liability": {"type": "self"},
            "provider": "stripe",
            "status": "requires_location_inputs",
        }
    if cart.coupon:
        made["discounts"] = [{"coupon": cart.coupon, "promotion_code": None}]
    made["custom_text"] = {**made["custom_text"], **(params.get("custom_text") or {})}
    made["custom_fields"] = [_custom_field(each) for each in params.get("custom_fields") or ()]
    made["tax_id_collection"] = {"enabled": False, "required": "never", **made["tax_id_collection"]}
    if made["consent_collection"]:
        nothing = dict.fromkeys(("payment_method_reuse_agreement", "promotions", "terms_of_service"))
        made["consent_collection"] = {**nothing, **made["consent_collection"]}
    if made["customer_email"]:
        names = ("address", "business_name", "individual_name", "name", "phone", "tax_ids")
        made["customer_details"] = {**dict.fromkeys(names), "email": made["customer_email"], "tax_exempt": "none"}
    made["invoice_creation"] = _invoice_creation(cart)
    methods = (
        ["card"] if "us_bank_account" in (made["excluded_payment_method_types"] or ()) else ["card", "us_bank_account"]
    )
    made["payment_method_types"] = methods if currency == "usd" else ["card"]
    return made


def _custom_field(asked: dict[str, Any]) -> shapes.Object:
    """A field of the page, not answered yet."""
    blank: shapes.Object = {"dropdown": None, "numeric": None, "text": None, "optional": False, **asked}
    kind = asked["type"]
    bounds = {} if kind == "dropdown" else {"maximum_length": None, "minimum_length": None}
    return {**blank, kind: {"default_value": None, "value": None, **bounds, **(asked.get(kind) or {})}}


def _invoice_creation(cart: Cart) -> shapes.Object:
    data = cart.invoice or {}
    names = ("account_tax_ids", "custom_fields", "description", "footer", "rendering_options")
    shown: dict[str, Any] = {name: data.get(name) for name in names}
    return {
        "enabled": cart.invoice is not None,
        "invoice_data": {**shown, "issuer": {"type": "self"}, "metadata": dict(data.get("metadata") or {})},
    }


def amounts(lines: list[SaleLine]) -> shapes.Object:
    """The session's totals of its lines."""
    return {
        "amount_subtotal": sum(line.subtotal for line in lines),
        "amount_total": sum(line.total for line in lines),
        "total_details": {
            "amount_discount": sum(line.discount for line in lines),
            "amount_shipping": 0,
            "amount_tax": sum(line.exclusive_tax + line.inclusive_tax for line in lines),
        },
    }


def show_items(shop: Shop, session_id: str, cart: Cart, currency: str) -> None:
    """Keep the session's line items where the server reads them."""
    shop.store.line_items[session_id] = [
        shapes.item(
            id=line.item_id,
            amount_discount=line.discount,
            amount_subtotal=line.subtotal,
            amount_tax=line.exclusive_tax + line.inclusive_tax,
            amount_total=line.total,
            currency=currency,
            description=line.description,
            metadata=line.metadata,
            price=shop.get("price", line.price_id),
            quantity=line.quantity,
            taxes=[
                {
                    "amount": each.amount,
                    "rate": shop.get("tax_rate", each.rate_id),
                    "taxability_reason": each.levy.reason,
                    "taxable_amount": each.taxable,
                }
                for each in line.taxes
            ],
        )
        for line in cart.lines
    ]


def expire(shop: Shop, session_id: str) -> shapes.Object:
    """Close an open session. Raises NotPossible for any other."""
    session = shop.get("checkout.session", session_id)
    status = session["status"]
    if status != "open":
        only = 'Only Checkout Sessions with a status in ["open"] can be expired.'
        raise NotPossible(f"{only} This Checkout Session has a status of {status}.")
    shop.carts.pop(session_id, None)
    return shop.change("checkout.session", session_id, "checkout.session.expired", status="expired", url=None)


def expire_if_open(shop: Shop, session_id: str) -> None:
    if shop.get("checkout.session", session_id)["status"] == "open":
        expire(shop, session_id)


def _on(value: object) -> bool:
    return value is True or value == "true"
