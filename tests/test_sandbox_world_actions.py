"""Things made to happen by hand: refunds, disputes, credit notes, payouts, and what they leave in the books."""

from datetime import UTC, date, datetime

import pytest
from sandbox_worlds import buy, quiet_world

from sandbox.stripe.world import IL, US, NotPossible, World


@pytest.fixture
def quiet() -> World:
    return quiet_world()


def test_partial_refunds_land_exactly_on_the_original_tax(quiet: World) -> None:
    buy(quiet, buyer={"country": "US", "state": "NY", "postal_code": "10001"})
    charge = quiet.stores["us"].all("charge")[-1]
    for amount in (3333, 3333, 1, None):
        quiet.act("us", "refund", charge_id=charge["id"], amount=amount)
    truth = quiet.truth("us", "2026-10")["currencies"]["usd"]
    assert all(row["collected"] == row["refunded"] for row in truth["tax"])
    assert sum(truth["refunds"].values()) == sum(truth["revenue"].values())
    assert sum(row["tax_amount"] for row in quiet.tax_rows("us")) == 0
    assert quiet.stores["us"].get("charge", charge["id"])["refunded"] is True  # type: ignore[index]
    with pytest.raises(NotPossible, match="already been refunded"):
        quiet.act("us", "refund", charge_id=charge["id"])


def test_a_refund_of_a_converted_sale_books_the_rates_difference_as_exchange(quiet: World) -> None:
    buy(quiet, currency="eur", buyer={"country": "DE"})
    quiet.advance(datetime(2026, 10, 20, tzinfo=UTC))
    store = quiet.stores["us"]
    charge = store.all("charge")[-1]
    for amount in (5001, None):
        quiet.act("us", "refund", charge_id=charge["id"], amount=amount)
    rows = store.all("balance_transaction")
    truth = quiet.truth("us", "2026-10")["currencies"]["usd"]
    gap = sum(row["amount"] for row in rows if row["reporting_category"] in ("charge", "refund"))
    assert truth["fx"] == -gap != 0
    assert sum(truth["refunds"].values()) == sum(truth["revenue"].values())
    assert [row["presentment_refunded"] for row in truth["tax"]] == [
        row["presentment_collected"] for row in truth["tax"]
    ]


def test_a_failed_refund_brings_everything_back(quiet: World) -> None:
    buy(quiet, "il")
    store = quiet.stores["il"]
    before = store.balance()["pending"][0]["amount"]
    refund = quiet.act("il", "refund", charge_id=store.all("charge")[-1]["id"], amount=12345)
    failed = quiet.act("il", "fail_refund", refund_id=refund["id"])
    row = store.get("balance_transaction", failed["failure_balance_transaction"])
    assert failed["status"] == "failed" and row is not None and row["amount"] == 12345
    assert before == sum(side["amount"] for key in ("available", "pending") for side in store.balance()[key])
    assert store.all("charge")[-1]["amount_refunded"] == 0
    truth = quiet.truth("il", "2026-10")["currencies"]["ils"]
    assert sum(truth["refunds"].values()) == 0


def test_a_pending_refund_moves_money_only_when_it_goes_through(quiet: World) -> None:
    buy(quiet)
    store = quiet.stores["us"]
    refund = quiet.act("us", "refund", charge_id=store.all("charge")[-1]["id"], pending="insufficient_funds")
    assert refund["status"] == "pending" and refund["balance_transaction"] is None
    assert not any(row["type"] == "refund" for row in quiet.tax_rows("us"))
    done = quiet.act("us", "complete_refund", refund_id=refund["id"])
    assert done["status"] == "succeeded" and done["balance_transaction"] and done["pending_reason"] is None


def test_a_linked_credit_note_does_not_lower_the_tax_twice(quiet: World) -> None:
    session = buy(quiet, buyer={"country": "US", "state": "NY", "postal_code": "10001"})
    store = quiet.stores["us"]
    invoice = store.get("checkout.session", session["id"])["invoice"]  # type: ignore[index]
    refund = quiet.act("us", "refund", charge_id=store.all("charge")[-1]["id"], amount=5000)
    reported = sum(row["tax_amount"] for row in quiet.tax_rows("us"))
    note = quiet.act("us", "credit_note", invoice_id=invoice, refund_id=refund["id"])
    assert (note["amount"], note["refunds"][0]["refund"]) == (5000, refund["id"])
    assert sum(row["tax_amount"] for row in quiet.tax_rows("us")) == reported
    with pytest.raises(NotPossible, match="already belongs"):
        quiet.act("us", "credit_note", invoice_id=invoice, refund_id=refund["id"])
    with pytest.raises(NotPossible, match="cannot be voided"):
        quiet.act("us", "void_credit_note", note_id=note["id"])


def test_a_credit_to_the_customers_balance_can_be_voided(quiet: World) -> None:
    session = buy(quiet, "il")
    store = quiet.stores["il"]
    invoice = store.get("checkout.session", session["id"])["invoice"]  # type: ignore[index]
    note = quiet.act("il", "credit_note", invoice_id=invoice, amount=1180, to="customer_balance")
    assert store.get("customer", note["customer"])["balance"] == -1180  # type: ignore[index]
    assert store.get("invoice", invoice)["post_payment_credit_notes_amount"] == 1180  # type: ignore[index]
    assert quiet.truth("il", "2026-10")["currencies"]["ils"]["customer_credit"] == 1180
    assert quiet.act("il", "void_credit_note", note_id=note["id"])["status"] == "void"
    assert store.get("customer", note["customer"])["balance"] == 0  # type: ignore[index]
    assert quiet.truth("il", "2026-10")["currencies"]["ils"]["customer_credit"] == 0


def test_a_dispute_takes_amount_and_fee_and_a_win_returns_only_the_amount(quiet: World) -> None:
    buy(quiet)
    store = quiet.stores["us"]
    charge = store.all("charge")[-1]
    dispute = quiet.act("us", "dispute", charge_id=charge["id"])
    opened = dispute["balance_transactions"][0]
    assert (opened["amount"], opened["fee"]) == (-charge["amount"], 1500)
    with pytest.raises(NotPossible, match="charged back"):
        quiet.act("us", "refund", charge_id=charge["id"])
    won = quiet.act("us", "win", id=dispute["id"])
    assert [row["reporting_category"] for row in won["balance_transactions"]] == ["dispute", "dispute_reversal"]
    assert won["balance_transactions"][1]["net"] == charge["amount"]
    assert quiet.truth("us", "2026-10")["currencies"]["usd"]["fees"]["dispute"] == 1500


def test_an_inquiry_moves_no_money_until_it_escalates(quiet: World) -> None:
    buy(quiet)
    charge = quiet.stores["us"].all("charge")[-1]
    inquiry = quiet.act("us", "inquiry", charge_id=charge["id"])
    assert (inquiry["status"], inquiry["balance_transactions"]) == ("warning_needs_response", [])
    escalated = quiet.act("us", "escalate", id=inquiry["id"])
    assert (escalated["status"], len(escalated["balance_transactions"])) == ("needs_response", 1)
    assert quiet.act("us", "lose", id=inquiry["id"])["status"] == "lost"


def test_a_delayed_payment_completes_unpaid_and_then_succeeds_or_fails(quiet: World) -> None:
    store = quiet.stores["us"]
    good, bad = (buy(quiet, method="us_bank_account")["id"] for _ in range(2))
    assert store.get("checkout.session", good)["payment_status"] == "unpaid"  # type: ignore[index]
    booked = [row["net"] for row in store.all("balance_transaction")]
    assert quiet.act("us", "settle", session_id=good)["payment_status"] == "paid"
    assert quiet.act("us", "fail_payment", session_id=bad)["payment_status"] == "unpaid"
    failure = store.all("balance_transaction")[-1]
    assert (failure["reporting_category"], failure["net"]) == ("charge_failure", -booked[1])
    assert len(store.all("invoice")) == 1
    kinds = [event["type"] for event in store.all("event")]
    assert {"checkout.session.async_payment_succeeded", "checkout.session.async_payment_failed"} <= set(kinds)


def test_a_declined_card_leaves_the_session_open_to_be_paid_with_the_same_intent(quiet: World) -> None:
    session = buy(quiet, pay=False)
    declined = quiet.act("us", "decline", session=session["id"])
    assert (declined["status"], declined["balance_transaction"]) == ("failed", None)
    quiet.act("us", "pay", session=session["id"])
    store = quiet.stores["us"]
    assert len(store.all("payment_intent")) == 1 and len(store.all("charge")) == 2
    with pytest.raises(NotPossible, match="cannot be paid"):
        quiet.act("us", "pay", session=session["id"])


def test_an_open_session_expires_after_a_day_by_itself(quiet: World) -> None:
    session = buy(quiet, pay=False)
    quiet.advance(datetime(2026, 10, 8, 13, tzinfo=UTC))
    store = quiet.stores["us"]
    assert store.get("checkout.session", session["id"])["status"] == "expired"  # type: ignore[index]
    with pytest.raises(NotPossible, match="can be expired"):
        quiet.act("us", "expire", session_id=session["id"])


def test_a_price_given_in_the_session_and_a_session_without_invoice_are_sold_too(quiet: World) -> None:
    product = {"name": "Workshop", "metadata": {"course": "workshop"}, "tax_code": "txcd_20060045"}
    data = {"currency": "usd", "unit_amount": 5000, "product_data": product, "tax_behavior": "exclusive"}
    session = buy(quiet, line_items=[{"price_data": data, "quantity": 2}], invoice_creation={"enabled": False})
    stored = quiet.stores["us"].get("checkout.session", session["id"])
    assert stored is not None and stored["invoice"] is None and stored["amount_subtotal"] == 10000
    assert quiet.truth("us", "2026-10")["currencies"]["usd"]["revenue"] == {"workshop": 10000}
    assert quiet.stores["us"].line_items[session["id"]][0]["price"]["unit_amount"] == 5000


def test_a_failed_payout_leaves_again_with_the_next_one() -> None:
    world = World(7, start=date(2026, 10, 1), now=datetime(2026, 10, 7, 12, tzinfo=UTC), checkouts_per_month=0)
    buy(world)
    store = world.stores["us"]
    world.advance(datetime(2026, 10, 9, 1, tzinfo=UTC))
    first = store.all("payout")[-1]
    failed = world.act("us", "fail_payout", id=first["id"])
    world.advance(datetime(2026, 10, 12, 1, tzinfo=UTC))
    second = store.all("payout")[-1]
    assert second["id"] != first["id"] and second["amount"] == first["amount"]
    assert failed["failure_balance_transaction"] in {row["id"] for row in store.paid_by(second["id"])}


def test_a_manual_payout_cannot_be_taken_apart_nor_exceed_what_is_available(quiet: World) -> None:
    quiet.act("us", "topup", amount=100_000)
    with pytest.raises(NotPossible, match="insufficient funds"):
        quiet.act("us", "pay_out", amount=100_001)
    payout = quiet.act("us", "pay_out", amount=40_000)
    store = quiet.stores["us"]
    assert (payout["automatic"], payout["reconciliation_status"]) == (False, "not_applicable")
    assert store.paid_by(payout["id"]) == []
    quiet.advance(datetime(2026, 10, 8, 1, tzinfo=UTC))
    assert store.all("payout")[-1]["amount"] == 60_000


def test_reserves_adjustments_and_offline_payments_happen_only_on_demand(quiet: World) -> None:
    quiet.act("us", "topup", amount=50_000)
    rows = quiet.act("us", "reserve_hold", amount=20_000)
    assert [(row["net"], row["balance_type"]) for row in rows] == [(-20_000, "payments"), (20_000, "risk_reserved")]
    quiet.act("us", "adjust", amount=-700, description="Goodwill")
    price = next(p for p in quiet.stores["us"].all("price") if p["currency"] == "usd")
    invoice = quiet.act("us", "draft_invoice", price=price["id"], quantity=3)
    with pytest.raises(NotPossible, match="status draft"):
        quiet.act("us", "void_invoice", id=invoice["id"])
    quiet.act("us", "finalize_invoice", id=invoice["id"])
    paid = quiet.act("us", "pay_off_stripe", id=invoice["id"])
    assert paid["amount_paid_off_stripe"] == paid["total"]
    truth = quiet.truth("us", "2026-10")["currencies"]["usd"]
    assert (truth["closing_balance"], truth["closing_reserve"], truth["adjustments"]) == (29_300, 20_000, 700)
    assert truth["offline_receivable"] == paid["total"]


def test_an_unknown_object_is_refused_in_stripes_words(quiet: World) -> None:
    with pytest.raises(NotPossible, match="No such charge: 'ch_none'"):
        quiet.act("us", "refund", charge_id="ch_none")
    with pytest.raises(NotPossible, match="No such price"):
        quiet.act("us", "create_session", line_items=[{"price": "price_none"}])
    with pytest.raises(NotPossible, match="no action 'rob'; there are adjust"):
        quiet.act("us", "rob")
    with pytest.raises(NotPossible, match=r"refund takes .*unexpected keyword argument 'all'"):
        quiet.act("us", "refund", charge_id="ch_none", all=1)


def test_a_sandbox_account_prints_its_report_by_session_and_has_test_ids() -> None:
    from dataclasses import replace

    spec = replace(US, livemode=False, tax_report_ids="checkout")
    world = World(
        1, [spec, IL], start=date(2026, 10, 1), now=datetime(2026, 10, 20, tzinfo=UTC), checkouts_per_month=20
    )
    sold = [row for row in world.tax_rows("us") if row["tax_amount"] >= 0 and row["type"] == "checkout"]
    assert sold and all(row["id"].startswith("cs_test_") for row in sold)
    assert world.stores["us"].key == "rk_test_sandbox_us"
    assert all(obj["livemode"] is False for obj in world.stores["us"].all("invoice"))
