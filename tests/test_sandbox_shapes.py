"""The stand-in's objects have exactly the fields of stripe-python 16.1's classes."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import stripe

from sandbox.stripe import shapes

# Fields that Stripe returns only on `expand` (or only for a deleted object, or only at creation), so never stored.
EXPAND_ONLY = {
    "invoice": {"confirmation_secret", "payments", "deleted"},
    "charge": {"refunds"},
    "checkout.session": {"line_items"},
    "customer": {"cash_balance", "invoice_credit_balance", "sources", "subscriptions", "tax", "tax_ids", "deleted"},
    "price": {"currency_options", "tiers", "deleted"},
    "coupon": {"applies_to", "currency_options", "deleted"},
    "webhook_endpoint": {"secret", "deleted"},
}
SHAPES: list[tuple[Callable[..., shapes.Object], type]] = [
    (shapes.account, stripe.Account),
    (shapes.balance_transaction, stripe.BalanceTransaction),
    (shapes.charge, stripe.Charge),
    (shapes.coupon, stripe.Coupon),
    (shapes.credit_note, stripe.CreditNote),
    (shapes.credit_note_line, stripe.CreditNoteLineItem),
    (shapes.customer, stripe.Customer),
    (shapes.customer_balance_transaction, stripe.CustomerBalanceTransaction),
    (shapes.discount, stripe.Discount),
    (shapes.dispute, stripe.Dispute),
    (shapes.invoice, stripe.Invoice),
    (shapes.invoice_line, stripe.InvoiceLineItem),
    (shapes.invoice_payment, stripe.InvoicePayment),
    (shapes.item, stripe.LineItem),
    (shapes.payment_intent, stripe.PaymentIntent),
    (shapes.payout, stripe.Payout),
    (shapes.price, stripe.Price),
    (shapes.product, stripe.Product),
    (shapes.refund, stripe.Refund),
    (shapes.registration, stripe.tax.Registration),
    (shapes.session, stripe.checkout.Session),
    (shapes.tax_code, stripe.TaxCode),
    (shapes.tax_id, stripe.TaxId),
    (shapes.tax_rate, stripe.TaxRate),
    (shapes.tax_settings, stripe.tax.Settings),
    (shapes.topup, stripe.Topup),
    (shapes.webhook_endpoint, stripe.WebhookEndpoint),
]
BY_NAME = pytest.mark.parametrize(("build", "sdk"), SHAPES, ids=[build.__name__ for build, _ in SHAPES])


def sdk_fields(sdk: type) -> set[str]:
    return {name for name in sdk.__annotations__ if not name.startswith("_") and name != "OBJECT_NAME"}


@BY_NAME
def test_a_shape_has_exactly_the_fields_of_the_sdk_class(build: Callable[..., shapes.Object], sdk: type) -> None:
    made = build()
    assert set(made) == sdk_fields(sdk) - EXPAND_ONLY.get(made["object"], {"deleted"})


@BY_NAME
def test_two_objects_share_no_nested_value(build: Callable[..., shapes.Object], sdk: type) -> None:
    one, other = build(), build()
    for name, value in one.items():
        if isinstance(value, dict | list):
            assert value is not other[name], f"{sdk.__name__}.{name}"


@BY_NAME
def test_nested_objects_use_only_fields_the_sdk_knows(build: Callable[..., shapes.Object], sdk: type) -> None:
    for name, value in build().items():
        inner = getattr(sdk, "_inner_class_types", {}).get(name)
        if inner is not None and isinstance(value, dict):
            assert set(value) <= sdk_fields(inner), f"{sdk.__name__}.{name}"


@BY_NAME
def test_a_field_that_stripe_does_not_have_is_refused(build: Callable[..., shapes.Object], sdk: type) -> None:
    with pytest.raises(TypeError, match="has no field colour"):
        build(colour="red")


def official() -> dict[str, shapes.Object]:
    places = [Path(os.environ.get("STRIPE_FIXTURES", "")), *(p / "shared/stripe" for p in Path(__file__).parents)]
    for place in places:
        file = place if place.is_file() else place / "fixtures3.json"
        if file.is_file():
            return dict(json.loads(file.read_text())["resources"])
    return {}


@BY_NAME
def test_every_field_of_the_official_fixture_is_there(build: Callable[..., shapes.Object], sdk: type) -> None:
    made = build()
    fixture = official().get(made["object"])
    if fixture is None:
        pytest.skip("stripe/openapi's fixtures3.json is not on this machine (or has no such resource)")
    if made["object"] == "line_item":  # the fixture of that name is a Checkout item in older spellings
        fixture = official()["invoice"]["lines"]["data"][0]
    gone = {"invoice": {"subscription"}}.get(made["object"], set())  # the fixtures are a month older than the pin
    assert set(fixture) - EXPAND_ONLY.get(made["object"], set()) - gone <= set(made)
