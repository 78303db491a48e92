"""The POST endpoints: check like Stripe, then let the world act."""

from collections.abc import Callable
from typing import Any

from sandbox.stripe.server import checkout_tables, errors
from sandbox.stripe.server import write_tables as tables
from sandbox.stripe.server.call import Call, Handler, shown
from sandbox.stripe.server.checkout_rules import RULES, no_payment_method_types
from sandbox.stripe.server.parameters import Kind, Values
from sandbox.stripe.store import Object


def _act(call: Call, action: str, **arguments: Any) -> Object:
    """The world's action; what it finds impossible is a 400 with its words, which are Stripe's."""
    try:
        made = call.sandbox.world.act(call.store.name, action, **arguments)
    except ValueError as fault:
        code = "resource_missing" if str(fault).startswith("No such ") else None
        raise errors.ApiError(400, str(fault), code=code) from None
    assert isinstance(made, dict)
    return made


def create_session(call: Call) -> bytes:
    no_payment_method_types(call)
    values = call.checked(checkout_tables.SESSION_CREATE)
    values.setdefault("mode", "payment")
    for rule in RULES:
        rule(call, values)
    paths = values.pop("expand", None)
    return shown(call.store, _act(call, "create_session", **values), paths)


def expire_session(call: Call) -> bytes:
    values = call.checked(checkout_tables.SESSION_EXPIRE)
    _named(call, "checkout.session")
    return shown(call.store, _act(call, "expire", session_id=call.ids[0]), values.get("expand"))


def create_refund(call: Call) -> bytes:
    """By charge or payment intent; never more than is left of the charge."""
    values = call.checked(tables.REFUND_CREATE)
    charge = _refunded_charge(call, values)
    left = charge["amount"] - charge["amount_refunded"]
    if charge["refunded"] or not left:
        message = f"Charge {charge['id']} has already been refunded."
        raise errors.ApiError(400, message, code="charge_already_refunded")
    if values.get("amount", 0) > left:
        message = f"Refund amount ({values['amount']}) is greater than unrefunded amount on charge ({left})"
        raise errors.invalid("amount", message)
    made = _act(
        call,
        "refund",
        charge_id=charge["id"],
        amount=values.get("amount"),
        reason=values.get("reason"),
        metadata=values.get("metadata", {}),
    )
    return shown(call.store, made, values.get("expand"))


def _refunded_charge(call: Call, values: Values) -> Object:
    if ("charge" in values) == ("payment_intent" in values):
        if "charge" in values:
            raise errors.exclusive("charge", "payment_intent")
        message = "One of the following params should be provided for this request: payment_intent or charge."
        raise errors.ApiError(400, message)
    kind = "charge" if "charge" in values else "payment_intent"
    found = call.store.get(kind, values[kind])
    if found is None:
        raise errors.missing_object(kind, values[kind], kind, status=400)
    if kind == "charge":
        return found
    charge = call.store.get("charge", found["latest_charge"] or "")
    if charge is None or charge["status"] != "succeeded":
        message = f"This PaymentIntent ({found['id']}) does not have a successful charge to refund."
        raise errors.ApiError(400, message)
    return charge


def create_credit_note(call: Call) -> bytes:
    """For a paid invoice: exactly one way of giving the money back (stripe.md §6.3)."""
    values = call.checked(tables.CREDIT_NOTE_CREATE, required=("invoice",))
    if call.store.get("invoice", values["invoice"]) is None:
        raise errors.missing_object("invoice", values["invoice"], "invoice", status=400)
    if "lines" in values:
        raise errors.invalid("lines", "The stand-in credits by `amount`, not by lines.")
    ways = {
        "refund": values.get("refund_amount"),
        "customer_balance": values.get("credit_amount"),
        "out_of_band": values.get("out_of_band_amount"),
    }
    given = {way: amount for way, amount in ways.items() if amount}
    linked = values.get("refunds", [])
    if len(given) + len(linked) != 1:
        message = (
            "The sum of credit_amount, refund_amount, out_of_band_amount and refunds must equal the credit note total; "
            "the stand-in takes exactly one of them."
        )
        raise errors.ApiError(400, message)
    way, amount = next(iter(given.items())) if given else ("refund", values.get("amount"))
    made = _act(
        call,
        "credit_note",
        invoice_id=values["invoice"],
        amount=amount,
        to=way,
        refund_id=linked[0].get("refund") if linked else None,
        reason=values.get("reason"),
        memo=values.get("memo"),
        metadata=values.get("metadata", {}),
    )
    return shown(call.store, made, values.get("expand"))


def void_credit_note(call: Call) -> bytes:
    values = call.bare()
    _named(call, "credit_note")
    return shown(call.store, _act(call, "void_credit_note", note_id=call.ids[0]), values.get("expand"))


def create_product(call: Call) -> bytes:
    values = call.checked(tables.PRODUCT_CREATE, required=("name",))
    if "id" in values and call.store.get("product", values["id"]) is not None:
        message = f"Product already exists with id: {values['id']}"
        raise errors.ApiError(400, message, code="resource_already_exists", param="id")
    _refuse_unused(values, "default_price_data", "package_dimensions")
    paths = values.pop("expand", None)
    return shown(call.store, _act(call, "create_product", **values), paths)


def create_price(call: Call) -> bytes:
    """One-time prices with a whole unit_amount; `lookup_key` is unique, or taken over with transfer_lookup_key."""
    values = call.checked(tables.PRICE_CREATE, required=("currency",))
    _refuse_unused(values, "currency_options", "custom_unit_amount", "recurring", "tiers", "product_data")
    if "product" not in values:
        raise errors.missing_parameter("product")
    if call.store.get("product", values["product"]) is None:
        raise errors.missing_object("product", values["product"], "product", status=400)
    if "unit_amount" not in values:
        raise errors.missing_parameter("unit_amount")
    _free_lookup_key(call, values)
    paths = values.pop("expand", None)
    values.pop("transfer_lookup_key", None)
    values["currency"] = values["currency"].lower()
    return shown(call.store, _act(call, "create_price", **values), paths)


def _free_lookup_key(call: Call, values: Values) -> None:
    key = values.get("lookup_key")
    holders = call.store.where("price", "lookup_key", key) if key else []
    for holder in holders:
        if holder["id"] in call.ids:
            continue
        if not values.get("transfer_lookup_key"):
            message = f"A price (`{holder['id']}`) already uses that lookup key."
            raise errors.invalid("lookup_key", message)
        previous = call.store.change("price", holder["id"], lookup_key=None)
        call.store.emit("price.updated", holder, previous)


def create_tax_rate(call: Call) -> bytes:
    values = call.checked(tables.TAX_RATE_CREATE, required=("display_name", "inclusive", "percentage"))
    paths = values.pop("expand", None)
    return shown(call.store, _act(call, "create_tax_rate", **values), paths)


def updater(kind: str, table: dict[str, Kind], event: str | None = None) -> Handler:
    """An update that only sets fields: metadata keys are merged, an empty value unsets. Sessions emit no event."""

    def handle(call: Call) -> bytes:
        values = call.checked(table)
        obj = _named(call, kind)
        paths = values.pop("expand", None)
        if kind == "price":
            _refuse_unused(values, "currency_options")
            _free_lookup_key(call, values)
            values.pop("transfer_lookup_key", None)
            _fixed_tax_behavior(obj, values)
        fields = {name: None if value == "" else value for name, value in values.items()}
        if "metadata" in values:
            fields["metadata"] = merged(obj["metadata"], values["metadata"])
        if "updated" in obj:
            fields["updated"] = call.store.now
        previous = call.store.change(kind, obj["id"], **fields)
        if previous and event:
            call.store.emit(event, obj, previous)
        return shown(call.store, obj, paths)

    return handle


def _fixed_tax_behavior(price: Object, values: Values) -> None:
    """Once exclusive or inclusive, it stays (stripe.md §2.2)."""
    wanted = values.get("tax_behavior", price["tax_behavior"])
    if price["tax_behavior"] != "unspecified" and wanted != price["tax_behavior"]:
        message = "The tax behavior of a price cannot be changed once it is specified as `exclusive` or `inclusive`."
        raise errors.invalid("tax_behavior", message)


def merged(old: dict[str, str], new: dict[str, str]) -> dict[str, str]:
    """Metadata after an update; an empty hash clears it."""
    return {name: value for name, value in {**old, **new}.items() if value} if new else {}


def _named(call: Call, kind: str) -> Object:
    obj = call.store.get(kind, call.ids[0])
    if obj is None:
        raise errors.missing_object(kind, call.ids[0])
    return obj


def _refuse_unused(values: Values, *names: str) -> None:
    for name in names:
        if name in values:
            raise errors.invalid(name, f"The stand-in does not support `{name}`.")


WRITES: dict[str, tuple[Callable[[Call], bytes], str]] = {
    "/v1/checkout/sessions": (create_session, "rak_checkout_session_write"),
    "/v1/checkout/sessions/{}": (
        updater("checkout.session", checkout_tables.SESSION_UPDATE),
        "rak_checkout_session_write",
    ),
    "/v1/checkout/sessions/{}/expire": (expire_session, "rak_checkout_session_write"),
    "/v1/refunds": (create_refund, "rak_charge_write"),
    "/v1/credit_notes": (create_credit_note, "rak_credit_note_write"),
    "/v1/credit_notes/{}/void": (void_credit_note, "rak_credit_note_write"),
    "/v1/products": (create_product, "rak_product_write"),
    "/v1/products/{}": (updater("product", tables.PRODUCT_UPDATE, "product.updated"), "rak_product_write"),
    "/v1/prices": (create_price, "rak_plan_write"),
    "/v1/prices/{}": (updater("price", tables.PRICE_UPDATE, "price.updated"), "rak_plan_write"),
    "/v1/tax_rates": (create_tax_rate, "rak_tax_rate_write"),
    "/v1/tax_rates/{}": (updater("tax_rate", tables.TAX_RATE_UPDATE, "tax_rate.updated"), "rak_tax_rate_write"),
}
