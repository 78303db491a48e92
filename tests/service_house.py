"""The whole service in this process, in front of the stand-ins of Stripe and FlockJay: for tests of CORE behaviour."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from quiet_shop import QuietShop
from stripe import WebhookSignature

from redisu_pipeline.common import clock
from redisu_pipeline.common.settings import Settings
from sandbox import run
from sandbox.client import FlockJayControl
from webhook_service import orders, support
from webhook_service.app import application
from webhook_service.entitlements import State
from webhook_service.orders import OpenSession, Order
from webhook_service.services import Services, open_services


@dataclass
class House:
    """One shop, its services, and verbs of buyers and of the bank. Nothing runs by itself until `running`."""

    shop: QuietShop
    services: Services
    settings: Settings
    prices: dict[str, str] = field(default_factory=dict)
    count: int = 0

    @property
    def flockjay(self) -> FlockJayControl:
        return FlockJayControl(self.shop.flockjay_url)

    def act(self, action: str, account: str = "us", **arguments: Any) -> Any:
        # Over HTTP: only the stand-in's own loop can deliver webhooks.
        return self.shop.control.act(account, action, **arguments)

    def price(self, account: str) -> str:
        if account not in self.prices:
            metadata = {"course": "redis-101", "flockjay_course_id": "fj_crs_101"}
            product = self.act("create_product", account, name="Redis 101", metadata=metadata)
            currency = "usd" if account == "us" else "ils"
            made = self.act("create_price", account, product=product["id"], currency=currency, unit_amount=19900)
            self.prices[account] = made["id"]
        return self.prices[account]

    def click(self, learner: str = "learner-1", account: str = "us", country: str = "US") -> Order:
        """What the payment page does: an order with an open session."""
        order = orders.open_order(
            self.services.database,
            learner=learner,
            email=f"{learner}@example.com",
            course=self.settings.courses["redis-101"],
            account=self.settings.accounts[account],
            country=country,
            now=self.services.now(),
        )
        if order.can_be_paid(self.services.now()):
            return order
        session = self.session(order)
        expires = datetime.fromtimestamp(session["expires_at"], tz=self.services.now().tzinfo)
        return orders.record_session(
            self.services.database, order, OpenSession(session["id"], session["url"], expires), self.services.now()
        )

    def session(self, order: Order) -> dict[str, Any]:
        metadata = {
            "order_id": order.order_id,
            "course": order.course,
            "flockjay_course_id": order.course_id,
            "learner": order.learner,
        }
        made: dict[str, Any] = self.act(
            "create_session",
            order.account,
            mode="payment",
            line_items=[{"price": self.price(order.account), "quantity": 1}],
            metadata=metadata,
            payment_intent_data={"metadata": metadata},
            invoice_creation={"enabled": True, "invoice_data": {"metadata": metadata}},
            success_url="https://example.com/done",
        )
        return made

    def pay(self, order: Order, **how: Any) -> dict[str, Any]:
        paid: dict[str, Any] = self.act("pay", order.account, session=order.session_id, **how)
        return paid

    def buy(self, learner: str = "learner-1", **how: Any) -> Order:
        order = self.click(learner)
        self.pay(order, **how)
        return order

    def charge(self, order: Order) -> str:
        session = self.shop.sandbox.world.stores[order.account].get("checkout.session", str(order.session_id))
        assert session is not None
        intent = self.shop.sandbox.world.stores[order.account].get("payment_intent", session["payment_intent"])
        assert intent is not None
        return str(intent["latest_charge"])

    def hear(self, account: str = "us", *types: str) -> int:
        """Keep the account's events as if they had been delivered; returns how many were new."""
        from webhook_service.inbox import keep
        from webhook_service.stripe_events import decode_event, received

        now = self.services.now()
        bodies = [
            json.dumps(event).encode()
            for event in self.shop.objects(account, "event")
            if not types or event["type"] in types
        ]
        arrived = [received(decode_event(body), body, account, "webhook", now) for body in bodies]
        return len(self.services.database.write(lambda connection: keep(connection, arrived)))

    def work(self) -> None:
        support.drain(self.services)

    def state(self, order: Order) -> State:
        with self.services.database.read() as connection:
            found = orders.find_order(connection, order.order_id)
        assert found is not None
        return found.state

    def has_access(self, learner: str = "learner-1") -> bool:
        return "fj_crs_101" in self.flockjay.access().get(learner, {})


def house(shop: QuietShop, url: str = "", **changed: str) -> House:
    settings = shop.settings(**({"sqlite:///redisu.db": url} if url else {}), **changed)
    return House(shop, open_services(settings, shop.environ), settings)


@contextmanager
def running(made: House) -> Iterator[httpx.Client]:
    """Serve the house as `redisu serve` does, workers and sweeps included; the stand-in delivers its webhooks there."""
    listener = run.listening(0)
    config = uvicorn.Config(application(made.services), http="httptools", ws="none", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        until(lambda: server.started)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for account in made.settings.accounts:
            made.shop.control.webhooks(account, f"{url}/webhooks/stripe/{account}")
        with httpx.Client(base_url=url, timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is true; AssertionError when it does not become so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def event(**changed: Any) -> dict[str, Any]:
    """A snapshot event as Stripe sends it."""
    made = {
        "id": "evt_1",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(clock.now().timestamp()),
        "type": "checkout.session.completed",
        "livemode": True,
        "pending_webhooks": 1,
        "request": None,
        "data": {"object": {"id": "cs_live_1", "object": "checkout.session"}},
    }
    return {**made, **changed}


def signed(body: bytes, secret: str, stamp: int | None = None) -> Mapping[str, str]:
    """The headers of a delivery."""
    now = int(clock.now().timestamp()) if stamp is None else stamp
    header = WebhookSignature.generate_signature_header(body.decode("latin-1"), secret, now)
    return {"Stripe-Signature": header, "Content-Type": "application/json; charset=utf-8"}


def database_url(folder: Path) -> str:
    return f"sqlite:///{folder}/redisu.db"
