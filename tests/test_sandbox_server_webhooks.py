"""Webhook delivery of the Stripe stand-in: signed, retried, and on demand twice, late, out of order or lost."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import stripe
from sandbox_hand_made import HandMade, Served, fresh, serving


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as one:
        yield one


@pytest.fixture
def hand_made(served: Served) -> HandMade:
    made = fresh(served)
    made.store.put({"id": "prod_1", "object": "product", "created": 1, "metadata": {}, "active": True})
    return made


class Receiver(ThreadingHTTPServer):
    """Keeps what was posted; answers the statuses it is told, then 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.posted: list[tuple[bytes, str]] = []
        self.answers: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/webhooks/stripe/us?x=1"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append((body, self.headers["Stripe-Signature"]))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def change(made: HandMade, times: int = 1) -> None:
    for n in range(times):
        made.send("POST", "/v1/products/prod_1", f"metadata[n]={made.sandbox.requests_made}-{n}")


def test_an_event_arrives_signed_and_is_the_one_that_the_list_shows(hand_made: HandMade, receiver: Receiver) -> None:
    made = hand_made.control.webhooks("us", receiver.url)
    assert made["object"] == "webhook_endpoint"
    assert hand_made.get("/v1/webhook_endpoints")["data"][0]["enabled_events"] == ["*"]
    change(hand_made)
    hand_made.control.flush_webhooks()
    ((body, signature),) = receiver.posted
    event = stripe.Webhook.construct_event(body, signature, hand_made.store.webhook_secret)
    listed = hand_made.get("/v1/events")["data"][0]
    assert (event.id, listed["pending_webhooks"]) == (listed["id"], 1)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, signature, "whsec_other")


def test_only_wanted_types_are_sent_and_only_to_their_account(hand_made: HandMade, receiver: Receiver) -> None:
    hand_made.control.webhooks("us", receiver.url, types=["checkout.session.completed", "refund.*"])
    hand_made.control.webhooks("test", receiver.url)
    change(hand_made)
    hand_made.control.flush_webhooks()
    assert receiver.posted == []
    assert hand_made.get("/v1/events")["data"][0]["pending_webhooks"] == 0


def test_a_refused_delivery_is_tried_again_signed_anew(hand_made: HandMade, receiver: Receiver) -> None:
    hand_made.control.webhooks("us", receiver.url)
    hand_made.control.webhook_manners(retries=[0.01, 0.01])
    receiver.answers = [503, 302]
    change(hand_made)
    (delivery,) = hand_made.control.flush_webhooks()["deliveries"]
    assert (delivery["state"], delivery["statuses"]) == ("delivered", [503, 302, 200])
    receiver.answers = [500, 500, 500]
    change(hand_made)
    assert hand_made.control.flush_webhooks()["deliveries"][1]["state"] == "failed"
    failed = hand_made.get("/v1/events?delivery_success=false")["data"]
    assert [one["type"] for one in failed] == ["product.updated"]
    assert len(hand_made.get("/v1/events?delivery_success=true")["data"]) == 1


def test_an_endpoint_that_does_not_answer_is_a_failure_without_status(hand_made: HandMade) -> None:
    hand_made.control.webhooks("us", "http://127.0.0.1:9/nobody")
    hand_made.control.webhook_manners(retries=[])
    change(hand_made)
    (delivery,) = hand_made.control.flush_webhooks()["deliveries"]
    assert (delivery["state"], delivery["statuses"]) == ("failed", [0])


def test_events_come_twice_out_of_order_or_never_on_demand(hand_made: HandMade, receiver: Receiver) -> None:
    hand_made.control.webhooks("us", receiver.url)
    hand_made.control.webhook_manners(shuffle=True, duplicate=1.0, seed=3)
    change(hand_made, 6)
    assert receiver.posted == []
    hand_made.control.flush_webhooks()
    assert len(receiver.posted) == 12
    order = [one["id"] for one in hand_made.get("/v1/events")["data"]][::-1]
    arrived = list(dict.fromkeys(json.loads(body)["id"] for body, _ in receiver.posted))
    assert sorted(arrived) == sorted(order)
    assert arrived != order
    hand_made.control.webhook_manners(shuffle=False, duplicate=0, lose=1.0)
    change(hand_made)
    assert hand_made.control.flush_webhooks()["deliveries"][-1]["state"] == "lost"
    assert len(receiver.posted) == 12


def test_a_lost_event_can_be_sent_again_by_hand(hand_made: HandMade, receiver: Receiver) -> None:
    hand_made.control.webhooks("us", receiver.url)
    hand_made.control.webhook_manners(lose=1.0)
    change(hand_made)
    hand_made.control.webhook_manners(lose=0)
    assert hand_made.control.resend("us", hand_made.get("/v1/events")["data"][0]["id"]) == {"endpoints": 1}
    hand_made.control.flush_webhooks()
    assert len(receiver.posted) == 1


def test_while_a_secret_is_rolled_there_is_one_signature_per_secret(hand_made: HandMade, receiver: Receiver) -> None:
    hand_made.control.webhooks("us", receiver.url, secrets=["whsec_new", "whsec_old"])
    change(hand_made)
    hand_made.control.flush_webhooks()
    ((body, signature),) = receiver.posted
    assert signature.count("v1=") == 2
    for secret in ("whsec_new", "whsec_old"):
        stripe.Webhook.construct_event(body, signature, secret)


def test_an_old_stamp_is_made_on_demand(hand_made: HandMade, receiver: Receiver) -> None:
    hand_made.control.webhooks("us", receiver.url)
    hand_made.control.webhook_manners(stamp_offset=-301)
    change(hand_made)
    hand_made.control.flush_webhooks()
    ((body, signature),) = receiver.posted
    with pytest.raises(stripe.SignatureVerificationError, match="tolerance"):
        stripe.Webhook.construct_event(body, signature, hand_made.store.webhook_secret)
