"""Worlds for the tests of the Stripe stand-in, and what they ask of them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

from sandbox.stripe.store import Store
from sandbox.stripe.world import World

START = date(2026, 8, 1)
NOW = datetime(2026, 11, 3, 6, tzinfo=UTC)
MONTHS = ("2026-08", "2026-09", "2026-10", "2026-11")


def three_months() -> World:
    """Three months and a bit of two accounts; read only."""
    return World(1, start=START, now=NOW, checkouts_per_month=60)


def quiet_world() -> World:
    """Two accounts in which nothing happens by itself."""
    return World(7, start=date(2026, 10, 1), now=datetime(2026, 10, 7, 12, tzinfo=UTC), checkouts_per_month=0)


def accounts(world: World) -> Iterator[tuple[str, Store]]:
    yield from world.stores.items()


def ids(store: Store, kind: str) -> list[str]:
    return [obj["id"] for obj in store.all(kind)]


def clearing(world: World, account: str) -> int:
    ledger = world.shops[account].ledger
    return sum(leg.amount for entry in ledger.entries for leg in entry.legs if leg.role in ("clearing", "reserve"))


def buy(world: World, account: str = "us", currency: str | None = None, **more: Any) -> dict[str, Any]:
    """A session by hand, paid; `more` goes to the session or (buyer, method, pay=False) to the payment."""
    store = world.stores[account]
    currency = currency or store.default_currency
    buyer, method, pay = more.pop("buyer", None), more.pop("method", "card"), more.pop("pay", True)
    price = next(p for p in store.all("price") if p["currency"] == currency)
    manual = {"tax_rates": [world.shops[account].manual_rate]} if account == "il" else {}
    params = {
        "mode": "payment",
        "line_items": [{"price": price["id"], "quantity": 1, **manual}],
        "automatic_tax": {"enabled": account == "us"},
        "customer_creation": "always",
        "invoice_creation": {"enabled": True, "invoice_data": {"metadata": {"order_id": "ord_1"}}},
        "metadata": {"order_id": "ord_1"},
        "payment_intent_data": {"metadata": {"order_id": "ord_1"}},
    } | more
    session: dict[str, Any] = world.act(account, "create_session", **params)
    if pay:
        world.act(account, "pay", session=session["id"], buyer=buyer, method=method)
    return session


def month_of(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m}"
