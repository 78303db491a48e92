"""The world's objects are what stripe-python's classes say, linked and added up like Stripe's."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from importlib import import_module
from typing import Any, Literal, cast, get_args, get_origin

import pytest
from sandbox_worlds import accounts, three_months
from stripe._object_classes import OBJECT_CLASSES

from sandbox.stripe import shapes
from sandbox.stripe.world import World

BUILDERS = {
    "account": shapes.account,
    "balance_transaction": shapes.balance_transaction,
    "charge": shapes.charge,
    "checkout.session": shapes.session,
    "coupon": shapes.coupon,
    "credit_note": shapes.credit_note,
    "credit_note_line_item": shapes.credit_note_line,
    "customer": shapes.customer,
    "customer_balance_transaction": shapes.customer_balance_transaction,
    "discount": shapes.discount,
    "dispute": shapes.dispute,
    "invoice": shapes.invoice,
    "invoice_payment": shapes.invoice_payment,
    "item": shapes.item,
    "line_item": shapes.invoice_line,
    "payment_intent": shapes.payment_intent,
    "payout": shapes.payout,
    "price": shapes.price,
    "product": shapes.product,
    "refund": shapes.refund,
    "tax.registration": shapes.registration,
    "tax.settings": shapes.tax_settings,
    "tax_code": shapes.tax_code,
    "tax_id": shapes.tax_id,
    "tax_rate": shapes.tax_rate,
}


@pytest.fixture(scope="module")
def world() -> World:
    return three_months()


def faults(obj: dict[str, Any], sdk: type, path: str) -> Iterator[str]:
    """Where an object is not what the SDK's class says: unknown or missing fields, null, values outside the enum."""
    fields = {name: kind for name, kind in sdk.__annotations__.items() if not name.startswith("_")}
    fields.pop("OBJECT_NAME", None)
    for name, kind in fields.items():
        if name not in obj and "." in path and not optional(kind):
            yield f"{path}.{name} is missing"
    for name, value in obj.items():
        here = f"{path}.{name}"
        if name not in fields:
            yield f"{here} is unknown"
            continue
        if value is None and not optional(fields[name]):
            yield f"{here} is null"
        enum, values = literals(fields[name]), value if isinstance(value, list) else [value]
        yield from (f"{here} is {v}" for v in values if enum and isinstance(v, str) and v not in enum)
        inner = getattr(sdk, "_inner_class_types", {}).get(name)
        if isinstance(value, dict) and value.get("object") == "list":
            inner, values = None, value["data"]
        for v in values:
            if isinstance(v, dict) and (inner or v.get("object")):
                yield from faults(v, inner or sdk_class(v), here)


def sdk_class(obj: dict[str, Any]) -> type:
    module, name = OBJECT_CLASSES[obj["object"]]
    return cast(type, getattr(import_module(module), name))


def optional(kind: Any) -> bool:
    return type(None) in get_args(kind)


def literals(kind: Any) -> set[object]:
    if get_origin(kind) is Literal:
        return set(get_args(kind))
    return set().union(*(literals(each) for each in get_args(kind)))


def test_every_sale_links_session_intent_charge_transaction_invoice_and_payment(world: World) -> None:
    for _, store in accounts(world):
        paid = [s for s in store.all("checkout.session") if s["payment_status"] == "paid"]
        payments = {p["invoice"]: p for p in store.all("invoice_payment")}
        assert len(paid) > 100
        for session in paid:
            intent = store.get("payment_intent", session["payment_intent"])
            assert intent is not None and intent["status"] == "succeeded"
            charge = store.get("charge", intent["latest_charge"])
            assert charge is not None and charge["metadata"] == session["metadata"]
            row = store.get("balance_transaction", charge["balance_transaction"])
            assert row is not None and row["source"] == charge["id"]
            invoice = store.get("invoice", session["invoice"])
            assert invoice is not None and invoice["status"] == "paid"
            assert invoice["metadata"]["order_id"] == session["client_reference_id"]
            assert invoice["total"] == session["amount_total"] == charge["amount"] == intent["amount_received"]
            assert payments[invoice["id"]]["payment"]["payment_intent"] == intent["id"]
            assert invoice["customer"] == session["customer"] == charge["customer"]


def test_lines_taxes_and_totals_of_an_invoice_add_up(world: World) -> None:
    for _, store in accounts(world):
        for invoice in store.all("invoice"):
            lines = invoice["lines"]["data"]
            taxes = Counter[str]()
            for line in lines:
                for each in line["taxes"]:
                    taxes[each["tax_rate_details"]["tax_rate"]] += each["amount"]
            shown = {t["tax_rate_details"]["tax_rate"]: t["amount"] for t in invoice["total_taxes"]}
            outside = sum(t["amount"] for t in invoice["total_taxes"] if t["tax_behavior"] == "exclusive")
            discount = sum(d["amount"] for d in invoice["total_discount_amounts"])
            assert {rate: taxes[rate] for rate in shown} == shown
            assert sum(line["amount"] for line in lines) == invoice["subtotal"]
            assert invoice["total"] == invoice["subtotal"] - discount + outside
            assert invoice["total"] == invoice["total_excluding_tax"] + sum(shown.values())
            assert invoice["amount_due"] == invoice["amount_paid"] + invoice["amount_remaining"]


def test_tax_is_rounded_for_each_line_and_jurisdiction(world: World) -> None:
    store = world.stores["us"]
    rates = {rate["id"]: rate for rate in store.all("tax_rate")}
    for invoice in store.all("invoice"):
        for line in invoice["lines"]["data"]:
            for each in line["taxes"]:
                percent = Decimal(str(rates[each["tax_rate_details"]["tax_rate"]]["effective_percentage"]))
                assert abs(each["amount"] - each["taxable_amount"] * percent / 100) <= 1
                assert (each["taxability_reason"] == "standard_rated") == bool(percent)


def test_a_credit_note_adds_up_like_its_invoice(world: World) -> None:
    for _, store in accounts(world):
        for note in store.all("credit_note"):
            inclusive = sum(t["amount"] for t in note["total_taxes"] if t["tax_behavior"] == "inclusive")
            tax = sum(t["amount"] for t in note["total_taxes"])
            assert note["total"] == note["amount"] == note["total_excluding_tax"] + tax
            assert note["subtotal"] == note["total_excluding_tax"] + inclusive
            assert note["subtotal"] == sum(line["amount"] for line in note["lines"]["data"])
            assert note["amount"] == sum(r["amount_refunded"] for r in note["refunds"]) or not note["refunds"]


def test_refunds_of_a_charge_never_exceed_it_and_its_counter_agrees(world: World) -> None:
    for _, store in accounts(world):
        sums = Counter[str]()
        for refund in store.all("refund"):
            if refund["status"] in ("succeeded", "pending"):
                sums[refund["charge"]] += refund["amount"]
        for charge in store.all("charge"):
            assert charge["amount_refunded"] == sums[charge["id"]] <= charge["amount_captured"]
            assert charge["refunded"] == (0 < charge["amount"] == sums[charge["id"]])


def test_every_object_is_what_the_sdk_says_to_its_depth(world: World) -> None:
    found = Counter[str]()
    for _, store in accounts(world):
        for kind in set(store.kinds()) - {"event"}:
            for obj in store.all(kind):
                found.update(faults(obj, sdk_class(obj), kind))
    assert not found


def test_every_object_has_exactly_the_fields_of_its_shape(world: World) -> None:
    for _, store in accounts(world):
        items = [item for items in store.line_items.values() for item in items]
        nested = [line for kind in ("invoice", "credit_note") for o in store.all(kind) for line in o["lines"]["data"]]
        for kind in store.kinds():
            if kind != "event":
                for obj in [*store.all(kind), *items, *nested]:
                    assert obj.keys() == BUILDERS[obj["object"]]().keys()
                items = nested = []
