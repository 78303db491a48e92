"""Bad weather of the Stripe stand-in on demand: limits, errors, broken connections; idempotency; the request log."""

import threading
import time
from collections.abc import Iterator
from http.client import HTTPException, IncompleteRead

import msgspec
import pytest
import stripe
from sandbox_hand_made import HandMade, Served, fresh, serving

from sandbox.client import Refused

PRODUCT = "name=Redis+101&metadata[course]=redis-101"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as one:
        yield one


@pytest.fixture
def hand_made(served: Served) -> HandMade:
    return fresh(served)


def test_a_rate_limited_request_names_the_reason_and_no_retry_after(hand_made: HandMade) -> None:
    hand_made.control.faults(script=["rate_limit", "lock_timeout"])
    answer, _ = hand_made.send("GET", "/v1/invoices")
    assert (answer.status, answer.headers["Stripe-Rate-Limited-Reason"]) == (429, "global-rate")
    assert answer.headers["Retry-After"] is None
    answer, body = hand_made.send("GET", "/v1/invoices")
    assert (answer.status, answer.headers["Stripe-Rate-Limited-Reason"]) == (429, None)
    assert msgspec.json.decode(body)["error"]["code"] == "lock_timeout"
    assert hand_made.send("GET", "/v1/invoices")[0].status == 200


def test_the_account_limit_and_the_endpoint_limit_are_told_apart(hand_made: HandMade) -> None:
    hand_made.control.faults(endpoint_rate=3)
    answers = [hand_made.send("GET", f"/v1/invoices/in_{n}")[0] for n in range(5)]
    assert [one.status for one in answers[:3]] == [200, 200, 200]  # all retrieves of a resource share one bucket
    assert answers[4].headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert hand_made.send("GET", "/v1/charges")[0].status == 200
    hand_made.control.faults()
    hand_made.control.faults(account_rate=1)
    assert hand_made.send("GET", "/v1/refunds")[0].status == 200
    answer, _ = hand_made.send("GET", "/v1/disputes")
    assert answer.headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    assert hand_made.send("GET", "/v1/disputes", Authorization="Bearer rk_test_sandbox_test")[0].status == 200


def test_a_server_error_is_stripes_api_error(hand_made: HandMade) -> None:
    hand_made.control.faults(script=["server_error"])
    error = hand_made.error("/v1/invoices")
    assert (error["status"], error["type"]) == (500, "api_error")


def test_a_reset_ends_the_connection_before_any_answer(hand_made: HandMade) -> None:
    hand_made.control.faults(script=["reset"])
    with pytest.raises(ConnectionResetError):
        hand_made.send("GET", "/v1/invoices")
    assert hand_made.send("GET", "/v1/invoices")[0].status == 200


def test_a_truncated_body_is_shorter_than_it_promised(hand_made: HandMade) -> None:
    hand_made.control.faults(script=["truncate"])
    with pytest.raises(IncompleteRead):
        hand_made.send("GET", "/v1/invoices")


def test_a_cut_body_has_the_right_length_and_broken_json(hand_made: HandMade) -> None:
    hand_made.control.faults(script=["cut"])
    answer, body = hand_made.send("GET", "/v1/invoices")
    assert answer.status == 200
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(body)


def test_chance_with_a_seed_is_the_same_every_time(hand_made: HandMade) -> None:
    def outcomes() -> list[int]:
        hand_made.control.faults(rate_limit=0.3, server_error=0.2, reset=0.1, seed=7)
        found = []
        for _ in range(40):
            try:
                found.append(hand_made.send("GET", "/v1/invoices?limit=1")[0].status)
            except (OSError, HTTPException):
                found.append(0)
        return found

    first = outcomes()
    assert set(first) == {200, 429, 500, 0}
    assert outcomes() == first


def test_faults_can_be_kept_to_some_addresses_and_an_unknown_one_is_refused(hand_made: HandMade) -> None:
    hand_made.control.faults(server_error=1.0, path="/v1/charges")
    assert hand_made.send("GET", "/v1/invoices")[0].status == 200
    assert hand_made.send("GET", "/v1/charges")[0].status == 500
    with pytest.raises(Refused, match="unknown fault: storms"):
        hand_made.control.faults(storms=1)
    hand_made.control.faults()
    assert hand_made.send("GET", "/v1/charges")[0].status == 200


def test_stripe_python_survives_what_stripe_does(hand_made: HandMade) -> None:
    hand_made.control.faults(script=["server_error", "reset", "ok"])
    client = stripe.StripeClient(
        hand_made.store.key, base_addresses={"api": hand_made.url}, max_network_retries=3
    )  # fmt: skip
    assert len(client.v1.invoices.list({"limit": 2}).data) == 2


def test_the_log_counts_requests_by_endpoint_and_status_and_the_most_at_once(hand_made: HandMade) -> None:
    hand_made.control.faults(latency=1.0)
    threads = [threading.Thread(target=hand_made.send, args=("GET", f"/v1/invoices/in_{n}")) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hand_made.control.faults()
    hand_made.error("/v1/invoices?limit=1000")
    log = hand_made.control.requests("us")
    assert log["endpoints"]["GET /v1/invoices/{}"] == {"count": 4, "statuses": {"200": 4}}
    assert log["endpoints"]["GET /v1/invoices"]["statuses"] == {"400": 1}
    assert log["most_at_once"]["us"] == 4
    assert log["total"] == 5
    assert log["last"][-1] == "us GET /v1/invoices?limit=1000 400"
    hand_made.control.reset_requests()
    assert hand_made.control.requests()["total"] == 0


def test_a_post_with_the_same_key_is_done_once_and_answered_twice(hand_made: HandMade) -> None:
    first, body = hand_made.send("POST", "/v1/products", PRODUCT, Idempotency_Key="k1")
    again, same = hand_made.send("POST", "/v1/products", PRODUCT, Idempotency_Key="k1")
    assert body == same
    assert (first.headers["Idempotent-Replayed"], again.headers["Idempotent-Replayed"]) == (None, "true")
    assert len(hand_made.world.acted) == 1
    error = hand_made.error("/v1/products", "POST", "name=Other", Idempotency_Key="k1")
    assert (error["status"], error["type"]) == (400, "idempotency_error")


def test_a_lost_answer_is_found_again_with_the_same_key(hand_made: HandMade) -> None:
    hand_made.control.faults(script=["reset"])
    with pytest.raises(ConnectionResetError):
        hand_made.send("POST", "/v1/products", PRODUCT, Idempotency_Key="k2")
    answer, _ = hand_made.send("POST", "/v1/products", PRODUCT, Idempotency_Key="k2")
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert len(hand_made.world.acted) == 1


def test_a_refused_post_may_be_mended_under_its_key(hand_made: HandMade) -> None:
    assert hand_made.error("/v1/products", "POST", "nam=x", Idempotency_Key="k3")["code"] == "parameter_unknown"
    assert hand_made.send("POST", "/v1/products", PRODUCT, Idempotency_Key="k3")[0].status == 200


def test_a_key_in_use_is_a_conflict(hand_made: HandMade) -> None:
    hand_made.control.faults(latency=1.5)
    slow = threading.Thread(
        target=hand_made.send, args=("POST", "/v1/products", PRODUCT), kwargs={"Idempotency_Key": "k4"}
    )
    slow.start()
    deadline = time.monotonic() + 60
    while not hand_made.sandbox.replays.busy and time.monotonic() < deadline:
        time.sleep(0.005)
    error = hand_made.error("/v1/products", "POST", PRODUCT, Idempotency_Key="k4")
    slow.join()
    assert (error["status"], error["code"]) == (409, "idempotency_key_in_use")


def test_a_key_is_forgotten_after_a_day_of_the_worlds_time(hand_made: HandMade) -> None:
    from datetime import timedelta

    hand_made.send("POST", "/v1/products", PRODUCT, Idempotency_Key="k5")
    hand_made.control.set_now(hand_made.control.now() + timedelta(hours=25))
    answer, _ = hand_made.send("POST", "/v1/products", PRODUCT, Idempotency_Key="k5")
    assert answer.headers["Idempotent-Replayed"] is None
    assert len(hand_made.world.acted) == 2
