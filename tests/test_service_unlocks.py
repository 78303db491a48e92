"""From a paid session to an unlocked course, whatever happens in between: the service against the stand-ins."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from quiet_shop import QuietShop, Served, fresh, serving
from service_house import House, house, running, until
from sqlalchemy import select

from redisu_pipeline.common import clock
from redisu_pipeline.common.opsdb import schema as tables
from webhook_service import commands, orders, support
from webhook_service.entitlements import State
from webhook_service.orders import Order
from webhook_service.refresh import refresh
from webhook_service.stripe_events import Event, NotAnEvent, decode_event
from webhook_service.sweep_clock import Hurry
from webhook_service.sweeps import sweep
from webhook_service.worker import purge, sweep_all


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as made:
        yield made


@pytest.fixture
def home(served: Served, tmp_path: Path) -> Iterator[House]:
    made = house(fresh(served, tmp_path))
    yield made
    made.services.close()


def test_a_paid_course_is_unlocked_by_its_webhook_within_a_second(home: House) -> None:
    with running(home) as client:
        order = home.click()
        home.pay(order)
        until(home.has_access, 5)
        until(lambda: home.state(order) is State.UNLOCKED)
        ready = client.get("/readyz")
        assert ready.status_code == 200, ready.text
        assert 'redisu_events_total{account="us",type="checkout.session.completed"} 1.0' in client.get("/metrics").text
    (call,) = home.flockjay.calls()
    assert (call["method"], call["idempotency_key"]) == ("PUT", f"{order.order_id}:grant:1")


def test_a_sale_outside_the_checkout_pages_is_left_alone(home: House) -> None:
    price = home.price("us")
    made = home.act("create_session", mode="payment", line_items=[{"price": price}], success_url="https://example.com")
    home.act("pay", session=made["id"])
    home.hear()
    home.work()
    assert home.flockjay.calls() == []
    with home.services.database.read() as connection:
        assert support.entitlements(connection) == []


def test_a_full_refund_takes_the_course_and_one_that_fails_gives_it_back(home: House) -> None:
    order = bought(home)
    refund = home.act("refund", charge_id=home.charge(order))
    assert settled(home, order) == (State.REFUNDED, False)
    home.act("fail_refund", refund_id=refund["id"])
    assert settled(home, order) == (State.UNLOCKED, True)
    keys = [call["idempotency_key"] for call in home.flockjay.calls()]
    assert keys == [f"{order.order_id}:{action}" for action in ("grant:1", "revoke:2", "grant:3")]


@pytest.mark.parametrize(("policy", "state"), [("keep", State.UNLOCKED), ("revoke", State.REFUNDED)])
def test_a_partial_refund_does_what_the_settings_say(served: Served, tmp_path: Path, policy: str, state: State) -> None:
    home = house(fresh(served, tmp_path), **{"[service]": f'[service]\npartial_refund = "{policy}"'})
    order = bought(home)
    home.act("refund", charge_id=home.charge(order), amount=500)
    assert settled(home, order) == (state, state is State.UNLOCKED)
    home.services.close()


def test_a_dispute_suspends_winning_restores_and_losing_revokes(home: House) -> None:
    order = bought(home)
    dispute = home.act("dispute", charge_id=home.charge(order))
    assert settled(home, order) == (State.SUSPENDED, False)
    home.act("win", id=dispute["id"])
    assert settled(home, order) == (State.UNLOCKED, True)
    second = bought(home, "learner-2")
    lost = home.act("dispute", charge_id=home.charge(second))
    home.act("lose", id=lost["id"])
    assert settled(home, second, "learner-2") == (State.REVOKED, False)


def test_an_inquiry_moves_no_money_and_changes_nothing(home: House) -> None:
    order = bought(home)
    inquiry = home.act("inquiry", charge_id=home.charge(order))
    assert settled(home, order) == (State.UNLOCKED, True)
    home.act("escalate", id=inquiry["id"])
    assert settled(home, order) == (State.SUSPENDED, False)


def test_access_stays_while_another_paid_order_covers_it(home: House) -> None:
    first = bought(home)
    second = home.buy()
    assert first.order_id != second.order_id
    home.act("refund", charge_id=home.charge(first))
    assert settled(home, first) == (State.REFUNDED, True)
    assert home.state(second) is State.UNLOCKED
    assert len(home.flockjay.calls()) == 1
    home.act("refund", charge_id=home.charge(second))
    assert settled(home, second) == (State.REFUNDED, False)


def test_a_delayed_payment_unlocks_when_it_comes_and_not_when_it_fails(home: House) -> None:
    comes, fails = (home.buy(learner, method="us_bank_account") for learner in ("learner-1", "learner-2"))
    assert settled(home, comes) == (State.PROCESSING, False)
    home.act("settle", session_id=comes.session_id)
    home.act("fail_payment", session_id=fails.session_id)
    assert settled(home, comes) == (State.UNLOCKED, True)
    assert settled(home, fails, "learner-2") == (State.FAILED, False)


def test_an_expired_session_ends_its_order_and_the_next_click_opens_another(home: House) -> None:
    order = home.click()
    home.act("expire", session_id=order.session_id)
    assert settled(home, order) == (State.EXPIRED, False)
    assert home.click().order_id != order.order_id


def test_a_double_click_gets_the_same_order_and_session(home: House) -> None:
    first, second = home.click(), home.click()
    assert (first.order_id, first.session_id) == (second.order_id, second.session_id)


def test_an_old_attempts_session_that_expires_does_not_end_the_order(home: House) -> None:
    old = home.click(country="US")
    new = home.click(country="CA")  # another country: another session
    assert (new.order_id, new.attempt, new.session_id != old.session_id) == (old.order_id, 2, True)
    home.act("expire", session_id=old.session_id)
    assert settled(home, new) == (State.PENDING, False)
    home.pay(new)
    assert settled(home, new) == (State.UNLOCKED, True)


def test_a_buyer_of_another_country_than_routed_is_unlocked_and_listed_for_finance(home: House) -> None:
    order = home.buy(buyer={"country": "IL"})
    assert settled(home, order) == (State.UNLOCKED, True)
    with home.services.database.read() as connection:
        found = orders.find_order(connection, order.order_id)
    assert found is not None
    assert found.country_mismatch


def test_a_paid_session_that_this_database_never_saw_is_adopted_from_its_metadata(
    home: House, served: Served, tmp_path: Path
) -> None:
    order = home.buy()
    folder = tmp_path / "restored"
    folder.mkdir()
    again = house(QuietShop(home.shop.url, home.shop.flockjay_url, home.shop.sandbox, folder))
    sweep(again.services, "us")
    again.work()
    assert again.state(order) is State.UNLOCKED
    assert again.has_access()
    again.services.close()


def test_events_lost_entirely_are_made_good_by_one_sweep(home: House) -> None:
    order = home.buy()
    swept = sweep(home.services, "us")
    assert swept.error is None
    home.work()
    assert (home.state(order), home.has_access()) == (State.UNLOCKED, True)
    assert sweep(home.services, "us").sessions == 0
    home.act("refund", charge_id=home.charge(order))
    sweep(home.services, "us")
    home.work()
    assert home.state(order) is State.REFUNDED


def test_an_event_that_stripe_never_made_is_made_good_by_the_paid_sessions(home: House) -> None:
    order = home.buy()
    home.shop.sandbox.world.stores["us"].collection("event").order.clear()
    assert sweep(home.services, "us").sessions == 1
    home.work()
    assert home.state(order) is State.UNLOCKED


def test_a_paid_session_without_an_event_is_found_though_nobody_swept_for_days(home: House) -> None:
    sweep(home.services, "us")
    order = home.buy()
    home.shop.sandbox.world.stores["us"].collection("event").order.clear()
    later = replace(home.services, now=lambda: clock.now() + timedelta(days=3))
    assert sweep(later, "us").sessions == 1
    support.drain(later)
    assert home.state(order) is State.UNLOCKED
    assert sweep(replace(home.services, now=lambda: clock.now() + timedelta(days=6)), "us").sessions == 0


def test_a_clock_that_was_ahead_hides_nothing_that_happened_meanwhile(home: House) -> None:
    order = home.buy()
    assert sweep(replace(home.services, now=lambda: clock.now() + timedelta(hours=1)), "us").error is None
    home.work()
    home.act("refund", charge_id=home.charge(order))
    assert sweep(home.services, "us").events > 0
    home.work()
    assert home.state(order) is State.REFUNDED


def test_an_event_that_is_none_keeps_no_other_from_being_found(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    order = home.buy()

    def strict(body: bytes) -> Event:
        event = decode_event(body)
        if event.type != "checkout.session.completed":
            raise NotAnEvent("not a snapshot event")
        return event

    home.act("refund", charge_id=home.charge(home.buy("learner-2")))
    monkeypatch.setattr("webhook_service.sweeps.decode_event", strict)
    assert sweep(home.services, "us").events == 2
    home.work()
    assert home.state(order) is State.UNLOCKED


def test_a_sweep_makes_two_list_calls_an_account(home: House) -> None:
    home.shop.control.reset_requests()
    sweep(home.services, "us")
    asked = home.shop.control.requests("us")["endpoints"]
    assert {name: one["count"] for name, one in asked.items()} == {
        "GET /v1/events": 1,
        "GET /v1/checkout/sessions": 1,
    }


def test_a_key_that_may_not_read_its_account_is_asked_for_it_once(home: House) -> None:
    home.shop.control.deny("us", "rak_account_read")
    home.services.account_ids.pop("us", None)
    home.shop.control.reset_requests()
    for _ in range(3):
        sweep_all(home.services, Hurry())
    asked = home.shop.control.requests("us")["endpoints"]
    home.shop.control.deny("us")
    assert {name: one["count"] for name, one in asked.items()} == {
        "GET /v1/account": 1,
        "GET /v1/events": 3,
        "GET /v1/checkout/sessions": 3,
    }


def test_stripe_that_does_not_answer_is_asked_again_and_loses_nothing(home: House) -> None:
    order = home.buy()
    home.hear()
    home.shop.control.faults(server_error=1.0)
    home.work()
    assert home.state(order) is State.PENDING
    home.shop.control.faults()
    assert refresh(home.services, "us", str(order.session_id))
    home.work()
    assert home.state(order) is State.UNLOCKED


def test_a_status_of_tomorrow_is_a_dead_letter_that_says_so(home: House) -> None:
    order = bought(home)
    dispute = home.act("dispute", charge_id=home.charge(order))
    home.shop.sandbox.world.stores["us"].change("dispute", dispute["id"], status="arbitration")
    assert settled(home, order) == (State.UNLOCKED, True)
    progress = orders.state_of(home.services.database, str(order.session_id))
    assert progress is not None
    assert progress.needs_help
    assert "'arbitration'" in str(progress.order.problem)


def test_the_story_of_a_learner_has_one_correlation_id_from_the_click_to_flockjay(home: House) -> None:
    order = bought(home)
    with home.services.database.read() as connection:
        told = support.story(connection, support.orders_of(connection, "learner-1@example.com"))
    assert {moment.correlation_id for moment in told} == {order.correlation_id}
    whats = [moment.what for moment in told]
    steps = ["order opened", "event checkout.session.completed", "seen paid", "FlockJay grant", "unlocked"]
    assert [what for what in whats if what in steps] == steps


def test_erasing_a_learner_leaves_ids_and_amounts_and_no_personal_data(home: House) -> None:
    order = bought(home)
    bought(home, "learner-2")
    done, emails = commands.erase(home.settings, "learner-1")
    assert emails == ("learner-1@example.com",)
    assert done.fields["erased"]["orders"] == 1  # type: ignore[index]
    refresh(home.services, "us", str(order.session_id))  # a later reading must not bring them back
    with home.services.database.read() as connection:
        (one,) = connection.execute(select(tables.orders).where(tables.orders.c.learner == "learner-1")).mappings()
    assert (one["email"], one["name"], one["invoice_url"], one["session_url"]) == (None, None, None, None)
    assert (one["state"], one["amount_total"], one["session_id"]) == ("unlocked", 19900, order.session_id)
    home.services.close()
    database = Path(home.settings.database.url.removeprefix("sqlite:///"))
    whole = b"".join(file.read_bytes() for file in database.parent.glob(f"{database.name}*"))
    assert b"learner-1@example.com" not in whole
    assert b"learner-2@example.com" in whole


def test_bodies_of_events_go_after_their_days_and_the_rest_stays(home: House) -> None:
    bought(home)
    assert purge(home.services) == 0
    later = replace(home.services, now=lambda: clock.now() + timedelta(days=91))
    assert purge(later) > 0
    with home.services.database.read() as connection:
        assert connection.execute(select(tables.events.c.payload)).scalars().first() is None


def bought(home: House, learner: str = "learner-1") -> Order:
    order = home.buy(learner)
    assert settled(home, order, learner) == (State.UNLOCKED, True)
    return order


def settled(home: House, order: Order, learner: str = "learner-1") -> tuple[State, bool]:
    """Deliver every event and do all the work; where the order stands, and whether FlockJay lets the learner in."""
    home.hear()
    home.work()
    return home.state(order), home.has_access(learner)
