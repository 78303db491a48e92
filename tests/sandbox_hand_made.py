"""A small hand-made Stripe account behind a real server, for tests of the server alone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import msgspec
import stripe

from redisu_pipeline.common import clock
from sandbox import run
from sandbox.client import Control
from sandbox.stripe.server.app import App
from sandbox.stripe.server.call import Sandbox
from sandbox.stripe.store import Object, Store

DAY = 86400
Served = tuple[str, App]


@dataclass
class HandMadeWorld:
    """What the server asks of a world, and nothing that happens by itself."""

    stores: dict[str, Store]
    now: int
    acted: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    rows: list[Object] = field(default_factory=list)

    def advance(self, to: datetime) -> None:
        self.now = int(to.timestamp())
        for store in self.stores.values():
            store.now = self.now

    def truth(self, account: str, month: str) -> Mapping[str, Any]:
        return {"account": account, "month": month}

    def tax_rows(self, account: str) -> list[Object]:
        return self.rows

    def act(self, account: str, action: str, **arguments: Any) -> Any:
        self.acted.append((account, action, arguments))
        store = self.stores[account]
        kind = {"create_session": "checkout.session", "refund": "refund"}.get(action, action.removeprefix("create_"))
        return store.put({"id": store.new_id("new"), "object": kind, "created": store.now, "metadata": {}, **arguments})


def invoice(id: str, created: int, lines: int = 1, **fields: Any) -> Object:
    made = [{"id": f"il_{id}_{n}", "object": "line_item", "amount": n, "invoice": id} for n in range(lines)]
    url = f"/v1/invoices/{id}/lines"
    return {
        "id": id,
        "object": "invoice",
        "created": created,
        "status": "paid",
        "customer": None,
        "lines": {"object": "list", "data": made, "has_more": False, "url": url},
        **fields,
    }


def transaction(id: str, created: int, net: int, **fields: Any) -> Object:
    given = {"fee": 0, "currency": "usd", "status": "available", "type": "charge", "reporting_category": "charge"}
    shown = {
        "id": id,
        "object": "balance_transaction",
        "created": created,
        "net": net,
        **given,
        "source": None,
        **fields,
    }
    return shown | {"amount": shown["net"] + shown["fee"]}


@dataclass
class HandMade:
    """The account `us` (and an empty one in test mode), its server, and ways to talk to it."""

    url: str
    sandbox: Sandbox
    store: Store
    world: HandMadeWorld

    @property
    def control(self) -> Control:
        return Control(self.url)

    def client(self, key: str | None = None) -> stripe.StripeClient:
        bases = {"api": self.url, "files": self.url}
        return stripe.StripeClient(key or self.store.key, base_addresses=bases)  # type: ignore[arg-type]

    def send(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[HTTPResponse, bytes]:
        """One bare request with the account's key (unless other headers say so)."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        given = {"Authorization": f"Bearer {self.store.key}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        if body is not None:
            given.setdefault("Content-Type", "application/x-www-form-urlencoded")
        try:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The JSON of a successful GET."""
        answer, body = self.send("GET", path)
        assert answer.status == 200, body
        return msgspec.json.decode(body)

    def error(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> dict[str, Any]:
        """Status and error body of a refused request."""
        answer, text = self.send(method, path, body, **headers)
        assert answer.status >= 400, text
        found: dict[str, Any] = msgspec.json.decode(text)["error"]
        return found | {"status": answer.status}


def account(name: str, now: int, *, livemode: bool = True) -> Store:
    return Store(
        name=name,
        account_id=f"acct_{name}",
        key=f"rk_{'live' if livemode else 'test'}_sandbox_{name}",
        webhook_secret=f"whsec_{name}",
        country="US",
        default_currency="usd",
        livemode=livemode,
        now=now,
    )


@contextmanager
def serving() -> Iterator[Served]:
    """One server for a test module; `fresh` gives it a new account for each test."""
    app = App(Sandbox(HandMadeWorld({}, 0)))
    with run.running(app) as (url,):
        yield url, app


def fresh(served: Served) -> HandMade:
    """Twelve invoices, three of them in one second, and a customer; the newest is `in_11`."""
    now = int(clock.now().timestamp())
    store, other = account("us", now), account("test", now, livemode=False)
    customer = {"id": "cus_a", "object": "customer", "created": now - 40 * DAY, "email": "a@example.com"}
    store.put(customer | {"address": None})
    for n in range(12):
        created = now - 20 * DAY + (n if n < 4 or n > 6 else 4) * 100
        buyer = "cus_a" if n % 2 else None
        status = "open" if n == 5 else "paid"
        store.put(invoice(f"in_{n}", created, lines=12 if n == 3 else 1, customer=buyer, status=status))
    world = HandMadeWorld({"us": store, "test": other}, now)
    url, app = served
    app.sandbox = Sandbox(world)
    return HandMade(url, app.sandbox, store, world)
