"""One account's business: its store, its ledger, and what the actions must remember that no Stripe object shows."""

import heapq
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeAlias

from sandbox.stripe import shapes
from sandbox.stripe.store import Store
from sandbox.stripe.world.ids import Ids
from sandbox.stripe.world.ledger import Ledger, Leg
from sandbox.stripe.world.model import AccountSpec, Levy, Sale

Happening: TypeAlias = Callable[[], object]
DAY = 86400


class NotPossible(ValueError):
    """An action that Stripe would refuse in this state; the message says why, as Stripe would."""


class Shop:
    """State of one account. The actions are functions over it, in the modules beside this one."""

    def __init__(self, spec: AccountSpec, store: Store, seed: str, schedule: Callable[[int, Happening], None]) -> None:
        self.spec = spec
        self.store = store
        self.ids = Ids(seed)
        self.random = Random(f"{seed}:life")  # only life.py draws from it: actions by hand never shift what is to come
        self.ledger = Ledger()
        self.schedule = schedule
        self.quiet_until = 0  # events before this instant would be older than 30 days: not worth making
        self.rates: dict[Levy, str] = {}  # tax rates by what they levy
        self.levies: dict[str, Levy] = {}  # manual tax rates, by id
        self.manual_rate: str | None = None
        self.carts: dict[str, Any] = {}  # open sessions: session -> checkout.Cart
        self.sales: dict[str, Sale] = {}  # by session
        self.by_charge: dict[str, Sale] = {}
        self.by_invoice: dict[str, Sale] = {}
        self.reversals: dict[str, tuple[Leg, ...]] = {}  # legs of a refund or credit note, for their undoing
        self.tax_rows: list[shapes.Object] = []  # see report_rows.rows
        self.unwritten: list[Callable[[], None]] = []
        self.volume = 0  # settled since the month began: what product fees are counted on
        self.people = 0
        self.orders = 0
        self.unpaid: dict[str, list[tuple[int, str, int]]] = {}  # currency -> (available_on, transaction, net)
        self._maturing: list[tuple[int, str]] = []

    @property
    def now(self) -> int:
        return self.store.now

    @property
    def currency(self) -> str:
        return self.spec.currency

    def create(self, obj: shapes.Object, *events: str) -> shapes.Object:
        """Put a new object and emit its events."""
        self.store.put(obj)
        for event in events:
            self.emit(event, obj)
        return obj

    def change(self, kind: str, id: str, *events: str, **fields: Any) -> shapes.Object:
        """Change an object and emit the events with its previous attributes; returns the object."""
        obj = self.get(kind, id)
        previous = self.store.change(kind, id, **fields)
        for event in events:
            self.emit(event, obj, previous if event.endswith("updated") else None)
        return obj

    def emit(self, event: str, obj: shapes.Object, previous: shapes.Object | None = None) -> None:
        if self.store.now >= self.quiet_until:
            self.store.emit(event, obj, previous)

    def get(self, kind: str, id: str) -> shapes.Object:
        """The object, or NotPossible with Stripe's words."""
        found = self.store.get(kind, id)
        if found is None:
            raise NotPossible(f"No such {kind}: '{id}'")
        return found

    def later(self, seconds: int, happening: Happening) -> None:
        self.schedule(self.store.now + seconds, happening)

    def book(
        self,
        *,
        type: str,
        category: str,
        amount: int,
        source: str | None,
        currency: str | None = None,
        fees: Sequence[shapes.Object] = (),
        available_on: int = 0,
        exchange_rate: float | None = None,
        description: str | None = None,
        balance_type: str = "payments",
    ) -> shapes.Object:
        """Write a balance transaction of now (amounts in settlement minor units); net = amount − fee always.

        It is pending until `available_on`. Automatic payouts take every row of the payments balance but payouts' own.
        """
        fee = sum(detail["amount"] for detail in fees)
        available_on = max(available_on, self.now)
        made = shapes.balance_transaction(
            id=self.ids.new("txn"),
            amount=amount,
            fee=fee,
            net=amount - fee,
            fee_details=list(fees),
            currency=currency or self.currency,
            created=self.now,
            available_on=available_on,
            status="pending" if available_on > self.now else "available",
            type=type,
            reporting_category=category,
            source=source,
            exchange_rate=exchange_rate,
            description=description,
            balance_type=balance_type,
        )
        self.store.put(made)
        if available_on > self.now:
            heapq.heappush(self._maturing, (available_on, made["id"]))
        if balance_type == "payments" and type != "payout":
            self.unpaid.setdefault(made["currency"], []).append((available_on, made["id"], made["net"]))
        return made

    def mature(self) -> None:
        """Turn balance transactions whose `available_on` has come from pending to available (no event says so)."""
        while self._maturing and self._maturing[0][0] <= self.now:
            _, id = heapq.heappop(self._maturing)
            self.store.change("balance_transaction", id, status="available")

    def available(self, currency: str) -> int:
        """What the balance of one currency could pay out now, payouts under way taken off."""
        return sum(net for due, _, net in self.unpaid.get(currency, ()) if due <= self.now)

    def post(self, event: str, source: str, *legs: Leg, currency: str | None = None) -> None:
        self.ledger.post(self.now, event, source, currency or self.currency, legs)
