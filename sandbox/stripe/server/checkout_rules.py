"""What Stripe refuses on a Checkout Session although every single parameter is well formed (stripe.md §2)."""

import re
from collections.abc import Callable
from typing import Any

from sandbox.stripe.server import errors
from sandbox.stripe.server.call import Call
from sandbox.stripe.server.errors import ApiError
from sandbox.stripe.server.parameters import Values

MINUTE = 60
DAY = 24 * 3600
HOSTED = "hosted_page"
Rule = Callable[[Call, Values], None]


def no_payment_method_types(call: Call) -> None:
    """Before anything else: endive no longer takes the parameter at all (stripe.md §1.3)."""
    if "payment_method_types" in call.values:
        message = (
            "The payment_method_types parameter is no longer supported on this API version. Use dynamic payment "
            "methods, narrowed by allowed_payment_method_types or excluded_payment_method_types."
        )
        code = "payment_method_types_no_longer_supported"
        raise ApiError(400, message, code=code, param="payment_method_types")


def payment_mode(_call: Call, values: Values) -> None:
    if values["mode"] != "payment":
        raise errors.invalid("mode", f"The stand-in sells only in payment mode, not {values['mode']}.")
    if not values.get("line_items"):
        raise errors.missing_parameter("line_items")


def addresses(_call: Call, values: Values) -> None:
    """Hosted pages return to success_url, embedded ones to return_url."""
    mode = values.get("ui_mode", HOSTED)
    if mode == HOSTED:
        if "success_url" not in values:
            raise errors.missing_parameter("success_url")
        if "return_url" in values:
            raise errors.invalid("return_url", f"`return_url` cannot be used with `ui_mode: {mode}`.")
    elif mode in ("embedded_page", "elements"):
        for name in ("success_url", "cancel_url"):
            if name in values:
                raise errors.invalid(name, f"`{name}` cannot be used with `ui_mode: {mode}`. Use `return_url`.")
        if "return_url" not in values and values.get("redirect_on_completion") != "never":
            raise errors.missing_parameter("return_url")
    for name in ("success_url", "cancel_url", "return_url"):
        if name in values and not re.match(r"https?://[^/\s]+", values[name]):
            raise ApiError(400, "Not a valid URL", code="url_invalid", param=name)


def elements(_call: Call, values: Values) -> None:
    if values.get("ui_mode") == "elements":
        for name in ("branding_settings", "after_expiration"):
            if name in values:
                raise errors.invalid(name, f"`{name}` cannot be used with `ui_mode: elements`.")


def buyer(call: Call, values: Values) -> None:
    """One buyer, and an existing one must be usable for tax."""
    given = [name for name in ("customer", "customer_account", "customer_email") if name in values]
    if len(given) > 1:
        raise errors.exclusive(*given)
    if "customer" not in values:
        if "customer_update" in values:
            raise errors.invalid("customer_update", "`customer_update` can only be used with `customer`.")
        email = values.get("customer_email")
        if email is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
            raise ApiError(400, f"Invalid email address: {email}", code="email_invalid", param="customer_email")
        return
    if "customer_creation" in values:
        raise errors.exclusive("customer", "customer_creation")
    customer = call.store.get("customer", values["customer"])
    if customer is None:
        raise errors.missing_object("customer", values["customer"], "customer", status=400)
    update = values.get("customer_update", {})
    if _on(values, "tax_id_collection") and update.get("name") != "auto":
        message = (
            "Tax ID collection requires updating business name on the customer. To enable tax ID collection for an "
            "existing customer, please set `customer_update[name]` to `auto`."
        )
        raise errors.invalid("customer_update[name]", message)
    if _on(values, "automatic_tax") and not customer["address"] and update.get("address") != "auto":
        message = (
            "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid address to "
            "the Customer or set either `customer_update[address]` to 'auto' or `customer_update[shipping]` to 'auto' "
            "to save the address entered in Checkout to the Customer."
        )
        raise ApiError(400, message, code="customer_tax_location_invalid", param="customer_update[address]")


def tax(call: Call, values: Values) -> None:
    """Automatic tax or manual rates, never both."""
    for position, item in enumerate(values["line_items"]):
        rates = item.get("tax_rates", [])
        name = f"line_items[{position}][tax_rates]"
        if rates and _on(values, "automatic_tax"):
            message = "You cannot use `tax_rates` on line items when `automatic_tax[enabled]` is true."
            raise errors.invalid(name, message)
        for id in rates:
            rate = call.store.get("tax_rate", id)
            if rate is None:
                raise errors.missing_object("tax rate", id, name, status=400)
            if not rate["active"]:
                raise errors.invalid(name, f"The tax rate {id} is inactive and cannot be used.")


def prices(call: Call, values: Values) -> None:
    """Each line names a price or describes one; all in one currency."""
    currencies = set()
    for position, item in enumerate(values["line_items"]):
        name = f"line_items[{position}]"
        if "price" in item and "price_data" in item:
            raise errors.exclusive(f"{name}[price]", f"{name}[price_data]")
        if "price" in item:
            currencies.add(_stored_price(call, item["price"], f"{name}[price]")["currency"])
        elif "price_data" in item:
            _price_data(call, item["price_data"], f"{name}[price_data]")
            currencies.add(item["price_data"]["currency"].lower())
        else:
            raise errors.missing_parameter(f"{name}[price]")
        if "quantity" not in item:
            raise errors.missing_parameter(f"{name}[quantity]")
    if len(currencies) > 1:
        message = "All line items in a Checkout Session must have the same currency."
        raise errors.invalid("line_items", message)


def _stored_price(call: Call, id: str, name: str) -> dict[str, Any]:
    price = call.store.get("price", id)
    if price is None:
        raise errors.missing_object("price", id, name, status=400)
    if not price["active"]:
        raise errors.invalid(name, "The price specified is inactive. This field only accepts active prices.")
    if price["type"] == "recurring":
        message = (
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use "
            "only one-time prices."
        )
        raise errors.invalid(name, message)
    return price


def _price_data(call: Call, data: Values, name: str) -> None:
    if ("product" in data) == ("product_data" in data):
        raise errors.exclusive(f"{name}[product]", f"{name}[product_data]")
    if "product" in data and call.store.get("product", data["product"]) is None:
        raise errors.missing_object("product", data["product"], f"{name}[product]", status=400)
    if ("unit_amount" in data) == ("unit_amount_decimal" in data):
        raise errors.exclusive(f"{name}[unit_amount]", f"{name}[unit_amount_decimal]")
    if not re.fullmatch(r"[A-Za-z]{3}", data["currency"]):
        raise ApiError(400, f"Invalid currency: {data['currency']}", param=f"{name}[currency]")


def discounts(_call: Call, values: Values) -> None:
    if "discounts" in values and "allow_promotion_codes" in values:
        raise errors.exclusive("allow_promotion_codes", "discounts")


def lifetime(call: Call, values: Values) -> None:
    """30 minutes to 24 hours from now."""
    if "expires_at" in values:
        left = values["expires_at"] - call.store.now
        if not 30 * MINUTE <= left <= DAY:
            message = (
                "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation."
            )
            raise errors.invalid("expires_at", message)


def wording(_call: Call, values: Values) -> None:
    """Small print that only shows together."""
    if "statement_descriptor" in values.get("payment_intent_data", {}):
        message = (
            "For card charges, the statement_descriptor parameter is not supported. Use statement_descriptor_suffix."
        )
        raise errors.invalid("payment_intent_data[statement_descriptor]", message)
    for position, one in enumerate(values.get("custom_fields", ())):
        if not one["key"].isalnum():
            message = "Custom field keys must be alphanumeric."
            raise errors.invalid(f"custom_fields[{position}][key]", message)
        if one["type"] == "dropdown" and "dropdown" not in one:
            raise errors.missing_parameter(f"custom_fields[{position}][dropdown]")
    consent = values.get("consent_collection", {}).get("terms_of_service")
    if values.get("custom_text", {}).get("terms_of_service_acceptance") and consent != "required":
        message = (
            "`custom_text[terms_of_service_acceptance]` needs `consent_collection[terms_of_service]` to be required."
        )
        raise errors.invalid("custom_text[terms_of_service_acceptance]", message)


RULES: tuple[Rule, ...] = (payment_mode, addresses, elements, buyer, prices, tax, discounts, lifetime, wording)


def _on(values: Values, name: str) -> bool:
    return bool(values.get(name, {}).get("enabled"))
