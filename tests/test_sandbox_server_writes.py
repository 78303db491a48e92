"""What the Stripe stand-in takes and refuses on POST."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from sandbox_hand_made import HandMade, Served, fresh, serving

from sandbox.stripe.server.parameters import parse
from sandbox.stripe.store import Object

SESSION = (
    "mode=payment&line_items[0][price]=price_1&line_items[0][quantity]=1"
    "&success_url=https%3A%2F%2Fredis.io%2Fdone%3Fs%3D%7BCHECKOUT_SESSION_ID%7D"
)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as one:
        yield one


@pytest.fixture
def hand_made(served: Served) -> HandMade:
    made = fresh(served)
    store = made.store
    store.put({"id": "prod_1", "object": "product", "created": 1, "metadata": {"a": "1"}, "active": True, "updated": 1})
    store.put(price("price_1", "usd"))
    store.put(price("price_2", "eur"))
    store.put(price("price_3", "usd", active=False))
    store.put({"id": "txr_1", "object": "tax_rate", "created": 1, "active": True, "metadata": {}})
    charge = {"object": "charge", "created": 1, "amount": 1000, "refunded": False, "status": "succeeded"}
    store.put({"id": "ch_1", "amount_refunded": 400, **charge})
    store.put({"id": "pi_1", "object": "payment_intent", "created": 1, "latest_charge": "ch_1"})
    return made


def price(id: str, currency: str, **fields: Any) -> Object:
    shown = {"id": id, "object": "price", "created": 1, "currency": currency, "type": "one_time", "active": True}
    return shown | {"product": "prod_1", "lookup_key": None, "tax_behavior": "exclusive", "metadata": {}, **fields}


def test_brackets_become_hashes_and_arrays() -> None:
    text = "a[0][b]=1&a[0][c]=x%20y&a[1][b]=2&e[]=p&e[]=q&m[k]=v&t%5B0%5D=z"
    assert parse(text) == {"a": [{"b": "1", "c": "x y"}, {"b": "2"}], "e": ["p", "q"], "m": {"k": "v"}, "t": ["z"]}


def test_a_session_reaches_the_world_with_typed_values(hand_made: HandMade) -> None:
    params = {
        "mode": "payment",
        "line_items": [{"price": "price_1", "quantity": 2}],
        "automatic_tax": {"enabled": True},
        "customer_email": "ada@example.com",
        "invoice_creation": {"enabled": True, "invoice_data": {"metadata": {"order_id": "o-1"}}},
        "success_url": "https://redis.io/done?s={CHECKOUT_SESSION_ID}",
        "metadata": {"order_id": "o-1"},
    }
    hand_made.client().v1.checkout.sessions.create(params)  # type: ignore[arg-type]
    assert hand_made.world.acted == [("us", "create_session", params)]


REFUSED = {
    "payment_method_types": ("&payment_method_types[0]=card", "payment_method_types_no_longer_supported"),
    "unknown": ("&line_items[0][colour]=red", "Received unknown parameter: line_items[0][colour]"),
    "no quantity": ("&line_items[1][price]=price_1", "Missing required param: line_items[1][quantity]"),
    "no such price": ("&line_items[1][price]=price_x&line_items[1][quantity]=1", "No such price: 'price_x'"),
    "inactive price": ("&line_items[1][price]=price_3&line_items[1][quantity]=1", "price specified is inactive"),
    "two currencies": ("&line_items[1][price]=price_2&line_items[1][quantity]=1", "must have the same currency"),
    "both taxes": ("&line_items[0][tax_rates][0]=txr_1&automatic_tax[enabled]=true", "cannot use `tax_rates`"),
    "no such rate": ("&line_items[0][tax_rates][0]=txr_x", "No such tax rate: 'txr_x'"),
    "embedded": ("&ui_mode=embedded_page", "`success_url` cannot be used with `ui_mode: embedded_page`"),
    "an old ui_mode": ("&ui_mode=hosted", "must be one of elements, embedded_page, form, or hosted_page"),
    "return_url": ("&return_url=https://redis.io", "`return_url` cannot be used with `ui_mode: hosted_page`"),
    "a boolean": ("&automatic_tax[enabled]=yes", "Invalid boolean: yes"),
    "two buyers": ("&customer=cus_a&customer_email=a@b.co", "one of these parameters: customer, customer_email"),
    "no such customer": ("&customer=cus_x", "No such customer: 'cus_x'"),
    "no address for tax": ("&customer=cus_a&automatic_tax[enabled]=true", "requires a valid address on the Customer"),
    "tax id of a customer": ("&customer=cus_a&tax_id_collection[enabled]=true", "`customer_update[name]` to `auto`"),
    "update of nobody": ("&customer_update[name]=auto", "can only be used with `customer`"),
    "Hebrew": ("&locale=he", "Invalid locale: must be one of auto"),
    "too soon": ("&expires_at=1", "between 30 minutes and 24 hours"),
    "both discounts": ("&allow_promotion_codes=true&discounts[0][coupon]=c", "only specify one"),
    "descriptor": ("&payment_intent_data[statement_descriptor]=REDIS", "parameter is not supported"),
    "long reference": (f"&client_reference_id={'x' * 201}", "must be at most 200 characters"),
    "long metadata": (f"&metadata[{'k' * 41}]=v", "at most 40 characters"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_session_is_refused_in_stripes_words(hand_made: HandMade, case: str) -> None:
    more, words = REFUSED[case]
    error = hand_made.error("/v1/checkout/sessions", "POST", SESSION + more)
    assert error["status"] == 400
    assert words in f"{error.get('code')} {error['message']}"
    assert hand_made.world.acted == []


def test_a_refund_is_never_more_than_is_left_and_may_name_the_payment(hand_made: HandMade) -> None:
    error = hand_made.error("/v1/refunds", "POST", "charge=ch_1&amount=601")
    assert error["message"] == "Refund amount (601) is greater than unrefunded amount on charge (600)"
    assert "payment_intent or charge" in hand_made.error("/v1/refunds", "POST", "amount=1")["message"]
    hand_made.client().v1.refunds.create({"payment_intent": "pi_1", "amount": 600, "reason": "duplicate"})
    assert hand_made.world.acted[0][2]["charge_id"] == "ch_1"
    hand_made.store.change("charge", "ch_1", amount_refunded=1000, refunded=True)
    assert hand_made.error("/v1/refunds", "POST", "charge=ch_1")["code"] == "charge_already_refunded"


def test_an_update_merges_metadata_says_so_in_an_event_and_unsets_with_nothing(hand_made: HandMade) -> None:
    hand_made.client().v1.products.update("prod_1", {"metadata": {"b": "2"}})
    event = hand_made.get("/v1/events")["data"][0]
    assert event["type"] == "product.updated"
    assert event["data"]["object"]["metadata"] == {"a": "1", "b": "2"}
    assert event["data"]["previous_attributes"]["metadata"] == {"a": "1"}
    assert event["request"]["id"].startswith("req_")
    hand_made.send("POST", "/v1/products/prod_1", "metadata[a]=")
    assert hand_made.get("/v1/products/prod_1")["metadata"] == {"b": "2"}


def test_a_lookup_key_has_one_price_and_moves_only_when_told(hand_made: HandMade) -> None:
    hand_made.client().v1.prices.update("price_1", {"lookup_key": "redis-101"})
    wanted = "product=prod_1&currency=usd&unit_amount=100&lookup_key=redis-101"
    assert "`price_1`) already uses that lookup key" in hand_made.error("/v1/prices", "POST", wanted)["message"]
    assert hand_made.send("POST", "/v1/prices", wanted + "&transfer_lookup_key=true")[0].status == 200
    found = hand_made.get("/v1/prices?lookup_keys[0]=redis-101")["data"]
    assert [one["id"] for one in found] != ["price_1"]


def test_a_settled_tax_behavior_stays(hand_made: HandMade) -> None:
    error = hand_made.error("/v1/prices/price_1", "POST", "tax_behavior=inclusive")
    assert "cannot be changed" in error["message"]


def test_json_is_not_a_form(hand_made: HandMade) -> None:
    error = hand_made.error("/v1/products", "POST", '{"name": "x"}', Content_Type="application/json")
    assert "content type" in error["message"]


def test_what_the_world_finds_impossible_is_a_400_with_its_words(hand_made: HandMade) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise ValueError("Charge ch_1 has been charged back; cannot issue a refund.")

    hand_made.world.act = refuse  # type: ignore[method-assign]
    error = hand_made.error("/v1/refunds", "POST", "charge=ch_1")
    assert (error["status"], error["message"][:26]) == (400, "Charge ch_1 has been charg")


def test_money_is_written_without_floats(hand_made: HandMade) -> None:
    body = msgspec.json.encode(hand_made.client().v1.prices.retrieve("price_1").to_dict())
    assert b"." not in body
