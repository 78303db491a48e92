"""The world behind the Stripe stand-in: money never vanishes, there is some of everything, time only goes on."""

import gc
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import process_time

import pytest
from sandbox_worlds import NOW, START, accounts, buy, clearing, ids, quiet_world, three_months

from redisu_pipeline.common.money import exponent
from sandbox.stripe.world import US, World


@pytest.fixture(scope="module")
def world() -> World:
    return three_months()


@pytest.fixture
def quiet() -> World:
    return quiet_world()


def test_the_balance_is_the_sum_of_its_transactions_and_what_the_ledger_says_at_every_instant() -> None:
    world = World(3, start=START, now=datetime(2026, 8, 20, tzinfo=UTC), checkouts_per_month=90)
    for step in range(1, 60):
        world.advance(datetime(2026, 8, 20, tzinfo=UTC) + timedelta(hours=11 * step))
        for name, store in accounts(world):
            net = sum(row["net"] for row in store.all("balance_transaction"))
            shown = store.balance()
            assert sum(side["amount"] for key in ("available", "pending") for side in shown[key]) == net
            assert clearing(world, name) == net


def test_net_is_amount_less_fee_and_the_fee_is_the_sum_of_its_details(world: World) -> None:
    for _, store in accounts(world):
        for row in store.all("balance_transaction"):
            assert row["net"] == row["amount"] - row["fee"]
            assert row["fee"] == sum(detail["amount"] for detail in row["fee_details"])
            due = row["available_on"] > store.now
            assert row["status"] == ("pending" if due else "available")


def test_what_an_automatic_payout_holds_adds_up_to_nothing_with_its_own_row(world: World) -> None:
    for _, store in accounts(world):
        for payout in store.all("payout"):
            rows = store.paid_by(payout["id"])
            assert sum(row["net"] for row in rows) == 0
            assert payout["balance_transaction"] in {row["id"] for row in rows}
            assert all(row["available_on"] <= payout["created"] for row in rows)


def test_a_balance_transaction_leaves_in_one_payout_only(world: World) -> None:
    for _, store in accounts(world):
        held = Counter(row["id"] for payout in store.all("payout") for row in store.paid_by(payout["id"]))
        assert set(held.values()) == {1}
        assert all(store.payout_of[id] for id in held)


def test_converted_amounts_agree_with_the_printed_rate_within_one_minor_unit(world: World) -> None:
    store = world.stores["us"]
    converted = 0
    for row in store.all("balance_transaction"):
        if row["exchange_rate"] is None:
            continue
        kind = {"ch": "charge", "py": "charge", "re": "refund", "du": "dispute"}[row["source"].split("_")[0]]
        source = store.get(kind, row["source"])
        assert source is not None
        shift = Decimal(10) ** (exponent(row["currency"]) - exponent(source["currency"]))
        exact = Decimal(source["amount"]) * Decimal(str(row["exchange_rate"])) * shift
        assert abs(abs(row["amount"]) - exact) <= 1
        converted += 1
    assert converted > 10


def test_the_default_world_has_some_of_everything(world: World) -> None:
    us, il = world.stores["us"], world.stores["il"]
    both = {
        kind: Counter(o["status"] for o in us.all(kind) + il.all(kind)) for kind in ("invoice", "dispute", "payout")
    }
    assert both["invoice"].keys() == {"paid", "draft", "open", "void", "uncollectible"}
    assert {"won", "lost", "warning_closed"} <= both["dispute"].keys()
    assert {"paid", "failed", "pending"} <= both["payout"].keys()
    assert {"succeeded", "failed"} == {refund["status"] for refund in us.all("refund")}
    assert {c["currency"] for c in us.all("charge")} == {"usd", "eur", "jpy", "kwd"}
    assert {c["status"] for c in us.all("charge")} >= {"succeeded", "failed"}
    assert all("open" in {s["status"] for s in store.all("checkout.session")} for store in (us, il))
    assert {s["payment_status"] for s in us.all("checkout.session")} == {"paid", "unpaid", "no_payment_required"}
    categories = {row["reporting_category"] for row in us.all("balance_transaction")}
    assert categories >= {"charge", "refund", "refund_failure", "dispute", "dispute_reversal", "charge_failure"}
    assert categories >= {"fee", "tax", "payout", "payout_reversal"}
    assert "other_adjustment" not in categories  # it would block the books
    notes = us.all("credit_note") + il.all("credit_note")
    assert {note["status"] for note in notes} == {"issued", "void"}
    assert any(note["refunds"] for note in notes) and any(note["out_of_band_amount"] for note in notes)
    assert any(note["customer_balance_transaction"] for note in notes)
    reasons = {t["taxability_reason"] for i in us.all("invoice") for t in i["total_taxes"]}
    assert reasons >= {"standard_rated", "not_collecting", "reverse_charge", "not_supported", "customer_exempt"}
    levels = {rate["jurisdiction_level"] for rate in us.all("tax_rate")}
    assert levels == {"state", "county", "city", "district", "country"}
    assert [rate["jurisdiction_level"] for rate in il.all("tax_rate")] == [None]
    assert any(s["customer"] is None for s in us.all("checkout.session") if s["status"] == "complete")


def test_invoices_longer_than_a_nested_page_and_names_beyond_ascii_are_there(world: World) -> None:
    for _, store in accounts(world):
        assert max(len(invoice["lines"]["data"]) for invoice in store.all("invoice")) > 10
        assert any(not (customer["name"] or "").isascii() for customer in store.all("customer"))


def test_objects_stand_on_both_edges_of_a_month_and_several_in_one_second(world: World) -> None:
    edge = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp())
    for _, store in accounts(world):
        charges = Counter(charge["created"] for charge in store.all("charge"))
        invoices = {invoice["created"] for invoice in store.all("invoice")}
        assert charges[edge - 1] == 2 and charges[edge] == 1
        assert {edge - 1, edge} <= invoices
        assert max(charges.values()) >= 3


def test_a_gift_has_an_invoice_of_zero_and_neither_intent_nor_charge(world: World) -> None:
    for _, store in accounts(world):
        gifts = [s for s in store.all("checkout.session") if s["payment_status"] == "no_payment_required"]
        assert gifts
        for session in gifts:
            invoice = store.get("invoice", session["invoice"])
            assert session["payment_intent"] is None and session["amount_total"] == 0
            assert invoice is not None and (invoice["total"], invoice["status"]) == (0, "paid")
            assert not any(p["invoice"] == invoice["id"] for p in store.all("invoice_payment"))


def test_kuwaiti_amounts_end_in_zero(world: World) -> None:
    store = world.stores["us"]
    for kind in ("charge", "refund", "invoice"):
        assert all(
            obj["amount" if kind != "invoice" else "total"] % 10 == 0
            for obj in store.all(kind)
            if obj["currency"] == "kwd"
        )


def test_a_deleted_customer_is_gone_from_the_list_but_not_from_its_charges(world: World) -> None:
    gone = 0
    for _, store in accounts(world):
        for charge in store.all("charge"):
            if charge["customer"] and store.get("customer", charge["customer"]) is None:
                assert store.deleted("customer", charge["customer"])
                gone += 1
    assert gone


def test_the_same_arguments_make_the_same_world(world: World) -> None:
    other = World(1, start=START, now=NOW, checkouts_per_month=60)
    for name, store in accounts(world):
        twin = other.stores[name]
        assert store.kinds() == twin.kinds()
        assert all(store.all(kind) == twin.all(kind) for kind in store.kinds())


def test_another_seed_makes_another_world(world: World) -> None:
    other = World(2, start=START, now=NOW, checkouts_per_month=60)
    assert not set(ids(other.stores["us"], "charge")) & set(ids(world.stores["us"], "charge"))


def test_a_world_advanced_to_a_day_is_the_world_built_to_it(world: World) -> None:
    early = World(1, start=START, now=datetime(2026, 9, 11, 3, 7, 9, tzinfo=UTC), checkouts_per_month=60)
    for day in (1, 2, 9, 53):
        early.advance(datetime(2026, 9, 11, 4, tzinfo=UTC) + timedelta(days=day - 1))
    early.advance(NOW)
    for name, store in accounts(world):
        for kind in set(store.kinds()) - {"event"}:
            assert early.stores[name].all(kind) == store.all(kind), kind
        assert [e["type"] for e in early.stores[name].all("event")] == [e["type"] for e in store.all("event")]
        assert early.truth(name, "2026-10") == world.truth(name, "2026-10")


def test_time_does_not_go_back(quiet: World) -> None:
    with pytest.raises(ValueError, match="cannot go back"):
        quiet.advance(datetime(2026, 10, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="no time zone"):
        quiet.advance(datetime(2026, 10, 9))  # noqa: DTZ001


def test_events_reach_back_thirty_days_and_say_what_changed(world: World) -> None:
    for _, store in accounts(world):
        events = store.all("event")
        assert store.now - 30 * 86400 <= events[0]["created"] < store.now - 29 * 86400
        for event in events:
            assert event["data"]["object"]["object"]
            assert event["type"].endswith("updated") == ("previous_attributes" in event["data"])


def test_every_change_of_an_object_in_a_month_has_its_event() -> None:
    """An extractor that follows events must find every object that differs (balance transactions have none)."""
    world = World(5, start=START, now=datetime(2026, 9, 20, tzinfo=UTC), checkouts_per_month=60)
    silent = {"balance_transaction", "event", "tax_id", "discount", "customer_balance_transaction", "tax_code"}
    before = {
        (name, kind, obj["id"]): str(obj)
        for name, store in accounts(world)
        for kind in set(store.kinds()) - silent
        for obj in store.all(kind)
        if "id" in obj
    }
    world.advance(datetime(2026, 10, 10, tzinfo=UTC))
    changed = 0
    for name, store in accounts(world):
        told = {event["data"]["object"].get("id") for event in store.all("event")}
        for (account, kind, id), was in before.items():
            obj = store.get(kind, id) if account == name else None
            if obj is not None and str(obj) != was:
                assert id in told, (kind, id)
                changed += 1
    assert changed > 20


def test_an_event_keeps_the_object_as_it_was(quiet: World) -> None:
    session = buy(quiet)
    store = quiet.stores["us"]
    first = next(e for e in store.all("event") if e["type"] == "charge.succeeded")
    assert first["data"]["object"]["balance_transaction"] is None
    update = next(e for e in store.all("event") if e["type"] == "charge.updated")
    assert update["data"]["previous_attributes"] == {"balance_transaction": None}
    assert store.get("checkout.session", session["id"])["payment_status"] == "paid"  # type: ignore[index]


def test_a_small_world_is_built_in_well_under_two_seconds() -> None:
    gc.collect()
    began = process_time()
    World(1, start=START, now=datetime(2026, 11, 1, tzinfo=UTC), checkouts_per_month=60)
    assert process_time() - began < 3  # seconds of this process; 0.5 on an idle machine


@pytest.mark.long
def test_twelve_thousand_checkouts_are_built_in_seconds() -> None:
    began = process_time()
    world = World(1, [US], start=START, now=datetime(2026, 11, 1, tzinfo=UTC), checkouts_per_month=4000)
    assert len(world.stores["us"].all("checkout.session")) >= 12_000
    assert process_time() - began < 30  # 7 on an idle machine
    del world
    gc.collect()  # here, not in the middle of some later test
