"""The Stripe stand-in's lists, cursors, filters, expansion and refusals, over HTTP with stripe-python and bare."""

import base64
import re
from collections.abc import Iterator

import pytest
import stripe
from sandbox_hand_made import DAY, HandMade, Served, fresh, invoice, serving, transaction

from sandbox.stripe.store import API_VERSION


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as one:
        yield one


@pytest.fixture
def hand_made(served: Served) -> HandMade:
    return fresh(served)


def ids(page: dict) -> list[str]:
    return [one["id"] for one in page["data"]]


def test_a_list_is_newest_first_with_exactly_four_fields(hand_made: HandMade) -> None:
    page = hand_made.get("/v1/invoices?limit=3")
    assert page.keys() == {"object", "data", "has_more", "url"}
    assert (page["object"], page["has_more"], page["url"]) == ("list", True, "/v1/invoices")
    assert ids(page) == ["in_11", "in_10", "in_9"]
    assert len(hand_made.get("/v1/invoices")["data"]) == 10  # Stripe's default limit


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 11, 12, 100])
def test_auto_paging_meets_every_object_once_whatever_the_page_size(hand_made: HandMade, limit: int) -> None:
    found = [one.id for one in hand_made.client().v1.invoices.list({"limit": limit}).auto_paging_iter()]
    assert found == [f"in_{n}" for n in range(11, -1, -1)]


def test_objects_of_one_second_are_split_by_a_page_without_loss(hand_made: HandMade) -> None:
    first = hand_made.get("/v1/invoices?limit=6")
    rest = hand_made.get(f"/v1/invoices?limit=6&starting_after={ids(first)[-1]}")
    assert ids(first) + ids(rest) == [f"in_{n}" for n in range(11, -1, -1)]
    assert first["data"][-1]["created"] == rest["data"][0]["created"]
    assert rest["has_more"] is False


def test_ending_before_goes_towards_the_newer_and_stays_newest_first(hand_made: HandMade) -> None:
    page = hand_made.get("/v1/invoices?limit=2&ending_before=in_8")
    assert ids(page) == ["in_10", "in_9"]
    assert page["has_more"] is True
    page = hand_made.get("/v1/invoices?limit=2&ending_before=in_9")
    assert ids(page) == ["in_11", "in_10"]
    assert page["has_more"] is False


def test_created_is_an_exact_second_or_a_range(hand_made: HandMade) -> None:
    at = {one["id"]: one["created"] for one in hand_made.store.all("invoice")}
    assert ids(hand_made.get(f"/v1/invoices?created={at['in_5']}")) == ["in_6", "in_5", "in_4"]
    window = f"created[gte]={at['in_4']}&created[lt]={at['in_8']}"
    assert ids(hand_made.get(f"/v1/invoices?{window}")) == ["in_7", "in_6", "in_5", "in_4"]
    window = f"created[gt]={at['in_4']}&created[lte]={at['in_8']}"
    assert ids(hand_made.get(f"/v1/invoices?{window}")) == ["in_8", "in_7"]
    assert ids(hand_made.get("/v1/invoices?created[lt]=5")) == []


def test_filters_combine_and_has_more_counts_only_what_matches(hand_made: HandMade) -> None:
    page = hand_made.get("/v1/invoices?customer=cus_a&status=paid&limit=4")
    assert ids(page) == ["in_11", "in_9", "in_7", "in_3"]
    assert page["has_more"] is True
    page = hand_made.get("/v1/invoices?customer=cus_a&status=paid&limit=4&starting_after=in_3")
    assert ids(page) == ["in_1"]
    assert page["has_more"] is False


def test_a_page_cap_shortens_pages_and_says_has_more(hand_made: HandMade) -> None:
    hand_made.control.page_cap(2)
    page = hand_made.get("/v1/invoices?limit=100")
    assert len(page["data"]) == 2
    assert page["has_more"] is True
    assert len(list(hand_made.client().v1.invoices.list({"limit": 100}).auto_paging_iter())) == 12


def test_a_parent_shows_ten_of_a_nested_list_and_its_url_gives_all(hand_made: HandMade) -> None:
    lines = hand_made.get("/v1/invoices/in_3")["lines"]
    assert len(lines["data"]) == 10
    assert lines["has_more"] is True
    whole = hand_made.client().v1.invoices.line_items.list("in_3", {"limit": 5}).auto_paging_iter()
    assert [one.id for one in whole] == [f"il_in_3_{n}" for n in range(12)]
    assert hand_made.get("/v1/invoices/in_2")["lines"]["has_more"] is False
    assert len(hand_made.get("/v1/invoices?limit=9")["data"][8]["lines"]["data"]) == 10


REFUSED = {
    "unknown": ("foo=1", "parameter_unknown", "foo", "Received unknown parameter: foo"),
    "two unknown": ("foo=1&bar[x]=2", "parameter_unknown", "foo", "Received unknown parameters: foo, bar"),
    "unknown below": ("created[after]=1", "parameter_unknown", "created[after]", "unknown parameter: created[after]"),
    "limit 0": ("limit=0", "parameter_invalid_integer", "limit", "greater than or equal to 1"),
    "limit 101": ("limit=101", "parameter_invalid_integer", "limit", "less than or equal to 100"),
    "limit a word": ("limit=ten", "parameter_invalid_integer", "limit", "Invalid integer: ten"),
    "time a word": ("created[gte]=2026-01-01", "parameter_invalid_integer", "created[gte]", "Invalid integer"),
    "empty": ("customer=", "parameter_invalid_empty", "customer", "empty string for 'customer'"),
    "enum": ("status=payed", None, "status", "must be one of draft, open, paid, uncollectible, or void"),
    "no such customer": ("customer=cus_zz", "resource_missing", "customer", "No such customer: 'cus_zz'"),
    "no such cursor": ("starting_after=in_zz", "resource_missing", "starting_after", "No such invoice: 'in_zz'"),
    "both cursors": ("starting_after=in_1&ending_before=in_2", "parameters_exclusive", "ending_before", "only specify"),
    "not a list": ("expand=data.customer", None, "expand", "Invalid array"),
    "cannot expand": ("expand[]=data.foo", None, None, "This property cannot be expanded (data.foo)."),
    "bare on a list": ("expand[]=customer", None, None, "You may want to try expanding 'data.customer' instead."),
    "too deep": ("expand[0]=data.a.b.c.d", "property_expansion_max_depth", "expand[0]", "more than 4 levels"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_bad_parameter_is_refused_in_stripes_words(hand_made: HandMade, case: str) -> None:
    query, code, param, words = REFUSED[case]
    error = hand_made.error(f"/v1/invoices?{query}")
    assert (error["status"], error["type"]) == (400, "invalid_request_error")
    assert (error.get("code"), error.get("param")) == (code, param)
    assert words in error["message"]
    assert error["request_log_url"].startswith("https://dashboard.stripe.com/logs/req_")
    assert ("doc_url" in error) == (code is not None)


def test_event_types_are_at_most_twenty_and_never_with_type(hand_made: HandMade) -> None:
    many = "&".join(f"types[{n}]=charge.updated" for n in range(21))
    assert hand_made.error(f"/v1/events?{many}")["param"] == "types"
    assert hand_made.error("/v1/events?type=charge.*&types[]=refund.created")["code"] == "parameters_exclusive"


def test_events_are_filtered_by_type_and_pattern_and_vanish_after_thirty_days(hand_made: HandMade) -> None:
    store = hand_made.store
    now = store.now
    for age, kind in ((31, "charge.updated"), (29, "charge.updated"), (1, "charge.refunded"), (0, "refund.created")):
        store.now = now - age * DAY
        store.emit(kind, store.all("invoice")[0])
    store.now = now
    types = [one["type"] for one in hand_made.get("/v1/events")["data"]]
    assert types == ["refund.created", "charge.refunded", "charge.updated"]
    assert len(hand_made.get("/v1/events?type=charge.*")["data"]) == 2
    assert len(hand_made.get("/v1/events?types[0]=refund.created&types[1]=charge.refunded")["data"]) == 2
    old = store.all("event")[0]["id"]
    assert hand_made.error(f"/v1/events/{old}")["status"] == 404


def test_an_event_is_frozen_while_its_object_moves_on(hand_made: HandMade) -> None:
    store = hand_made.store
    previous = store.change("invoice", "in_3", status="void")
    store.emit("invoice.voided", store.all("invoice")[3], previous)
    store.change("invoice", "in_3", status="paid")
    event = hand_made.get("/v1/events")["data"][0]
    assert event["data"]["object"]["status"] == "void"
    assert event["data"]["previous_attributes"] == {"status": "paid"}
    assert len(event["data"]["object"]["lines"]["data"]) == 10
    assert hand_made.get("/v1/invoices/in_3")["status"] == "paid"


def test_a_changed_object_is_served_as_it_is_now(hand_made: HandMade) -> None:
    assert hand_made.get("/v1/invoices/in_5")["status"] == "open"
    hand_made.store.change("invoice", "in_5", status="paid")
    assert hand_made.get("/v1/invoices/in_5")["status"] == "paid"
    assert hand_made.get("/v1/invoices?status=open")["data"] == []


def test_a_deleted_customer_leaves_a_tombstone_and_a_deleted_invoice_does_not(hand_made: HandMade) -> None:
    hand_made.store.remove("customer", "cus_a")
    hand_made.store.remove("invoice", "in_5")
    assert hand_made.get("/v1/customers/cus_a") == {"id": "cus_a", "object": "customer", "deleted": True}
    assert hand_made.get("/v1/customers")["data"] == []
    assert hand_made.error("/v1/invoices/in_5")["code"] == "resource_missing"
    assert len(hand_made.get("/v1/invoices?customer=cus_a&limit=100")["data"]) == 5
    assert hand_made.get("/v1/invoices/in_1?expand[]=customer")["customer"]["deleted"] is True


def test_expand_puts_objects_in_the_place_of_ids_and_shows_hidden_fields(hand_made: HandMade) -> None:
    store = hand_made.store
    store.put(
        {
            "id": "inpay_1",
            "object": "invoice_payment",
            "created": 1,
            "invoice": "in_11",
            "payment": {"payment_intent": "pi_1"},
        }
    )
    store.put({"id": "pi_1", "object": "payment_intent", "created": 1, "latest_charge": "ch_1", "customer": "cus_a"})
    store.put({"id": "ch_1", "object": "charge", "created": 1})
    page = hand_made.get("/v1/invoices?limit=1&expand[]=data.customer&expand[]=data.payments")["data"][0]
    assert page["customer"]["email"] == "a@example.com"
    assert [one["id"] for one in page["payments"]["data"]] == ["inpay_1"]
    deep = hand_made.get("/v1/invoices/in_11?expand[]=payments.data.payment.payment_intent")["payments"]["data"][0]
    assert deep["payment"]["payment_intent"]["latest_charge"] == "ch_1"
    assert "payments" not in hand_made.get("/v1/invoices/in_11")
    error = hand_made.error("/v1/invoices/in_11?expand[]=payments.data.payment.foo")
    assert "cannot be expanded (payments.data.payment.foo)" in error["message"]


def test_balance_transactions_of_a_payout_only_when_it_is_automatic(hand_made: HandMade) -> None:
    store = hand_made.store
    for id, net in (("txn_1", 700), ("txn_2", 300), ("txn_3", -1000), ("txn_4", 5)):
        store.put(transaction(id, store.now - 10, net))
    store.put({"id": "po_a", "object": "payout", "created": 1, "automatic": True})
    store.put({"id": "po_m", "object": "payout", "created": 1, "automatic": False})
    store.assign_payout(["txn_1", "txn_2", "txn_3"], "po_a")
    page = hand_made.get("/v1/balance_transactions?payout=po_a&limit=2")
    assert page["has_more"] is True
    assert sum(one["net"] for one in hand_made.client().v1.balance_transactions.list({"payout": "po_a"})) == 0
    assert "automatic transfers" in hand_made.error("/v1/balance_transactions?payout=po_m")["message"]
    assert hand_made.error("/v1/balance_transactions?payout=po_x")["code"] == "resource_missing"


def test_the_balance_follows_every_transaction_and_status(hand_made: HandMade) -> None:
    store = hand_made.store
    store.put(transaction("txn_1", 1, 500, status="pending"))
    store.put(transaction("txn_2", 1, 70, currency="eur"))
    store.change("balance_transaction", "txn_1", status="available")
    store.put(transaction("txn_3", 1, 9, status="pending"))
    balance = hand_made.get("/v1/balance")
    assert {one["currency"]: one["amount"] for one in balance["available"]} == {"usd": 500, "eur": 70}
    assert {one["currency"]: one["amount"] for one in balance["pending"]} == {"usd": 9, "eur": 0}


def test_registrations_that_ended_are_listed_only_when_asked_for(hand_made: HandMade) -> None:
    for id, status in (("taxreg_1", "active"), ("taxreg_2", "expired")):
        hand_made.store.put({"id": id, "object": "tax.registration", "created": 1, "status": status})
    assert ids(hand_made.get("/v1/tax/registrations")) == ["taxreg_1"]
    assert ids(hand_made.get("/v1/tax/registrations?status=all")) == ["taxreg_2", "taxreg_1"]
    assert hand_made.error("/v1/tax/registrations?created=1")["code"] == "parameter_unknown"


def test_keys_addresses_and_versions_are_refused_as_stripe_does(hand_made: HandMade) -> None:
    error = hand_made.error("/v1/invoices", Authorization="Bearer rk_live_wrong_key_1234")
    assert error["status"] == 401
    assert re.fullmatch(r"Invalid API Key provided: rk_live_\*+1234", error["message"])
    assert hand_made.error("/v1/invoices", Authorization="")["status"] == 401
    assert "Unrecognized request URL (GET: /v1/invoices/)" in hand_made.error("/v1/invoices/")["message"]
    assert hand_made.error("/v1/tax/transactions")["status"] == 404  # no such list at Stripe
    assert hand_made.error("/v1/invoices/in_zz")["message"] == "No such invoice: 'in_zz'"
    assert hand_made.error("/v1/invoices", Stripe_Version="2024-06-20")["status"] == 400
    answer, _ = hand_made.send("GET", "/v1/invoices?limit=1", Stripe_Version=API_VERSION)
    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Stripe-Version"] == API_VERSION
    assert answer.headers["Content-Type"] == "application/json"


def test_basic_authorization_is_taken_as_well(hand_made: HandMade) -> None:
    basic = base64.b64encode(f"{hand_made.store.key}:".encode()).decode()
    assert hand_made.send("GET", "/v1/invoices", Authorization=f"Basic {basic}")[0].status == 200


def test_a_restricted_key_is_told_which_permission_it_lacks(hand_made: HandMade) -> None:
    hand_made.control.deny("us", "rak_charge_read")
    with pytest.raises(stripe.PermissionError, match="rak_charge_read"):
        hand_made.client().v1.charges.list()
    hand_made.client().v1.invoices.list()
    hand_made.control.deny("us")
    hand_made.client().v1.charges.list()


def test_one_key_never_sees_another_accounts_objects(hand_made: HandMade) -> None:
    other = hand_made.client("rk_test_sandbox_test")
    assert other.v1.invoices.list().data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such invoice"):
        other.v1.invoices.retrieve("in_1")


def test_an_object_may_be_put_into_the_past_and_is_listed_in_its_place(hand_made: HandMade) -> None:
    created = hand_made.store.all("invoice")[2]["created"]
    hand_made.store.put(invoice("in_late", created))
    page = hand_made.get(f"/v1/invoices?created={created}")
    assert ids(page) == ["in_late", "in_2"]
