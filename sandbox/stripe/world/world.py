"""The world behind the Stripe stand-in: accounts, their stores, and time.

Building a world *is* advancing it from `start` to `now`; the same arguments always make the same objects.
"""

import heapq
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from redisu_pipeline.common.collector import uncollected
from sandbox.stripe.shapes import Object
from sandbox.stripe.store import Store
from sandbox.stripe.world import actions, ledger, report_rows
from sandbox.stripe.world.accounts import DEFAULT
from sandbox.stripe.world.life import Life, month_end
from sandbox.stripe.world.model import AccountSpec
from sandbox.stripe.world.shop import DAY, Happening, Shop

EVENTS_KEPT = 30 * DAY


class World:
    """Accounts that sell courses, from `start` (00:00 UTC) to `now` and on, as far as `advance` is asked to go.

    `checkouts_per_month` counts the Checkout Sessions of each account that mean to buy, paid in the end or not; beside
    them one every twenty hours is opened and left.
    """

    def __init__(
        self,
        seed: int = 1,
        accounts: Sequence[AccountSpec] = DEFAULT,
        *,
        start: date,
        now: datetime,
        checkouts_per_month: int = 60,
    ) -> None:
        self.now = int(datetime(start.year, start.month, start.day, tzinfo=UTC).timestamp())
        self._heap: list[tuple[int, int, Shop, Happening]] = []
        self._planned = 0
        self.stores: dict[str, Store] = {}
        self.shops: dict[str, Shop] = {}
        until = unix(now)
        for spec in accounts:
            shop = self._open(spec, seed)
            shop.quiet_until = until - EVENTS_KEPT
            Life(shop, checkouts_per_month).begin()
        with uncollected():
            self._run(until)
        for shop in self.shops.values():
            shop.quiet_until = 0

    def _open(self, spec: AccountSpec, seed: int) -> Shop:
        name = spec.name
        mode = "live" if spec.livemode else "test"
        store = Store(
            name=name,
            account_id=f"acct_1Sandbox{seed:04d}{name}",
            key=spec.key or f"rk_{mode}_sandbox_{name}",
            webhook_secret=spec.webhook_secret or f"whsec_sandbox_{name}",
            country=spec.country,
            default_currency=spec.currency,
            livemode=spec.livemode,
            now=self.now,
        )

        def schedule(at: int, happening: Happening) -> None:
            self._planned += 1
            heapq.heappush(self._heap, (max(at, self.now), self._planned, shop, happening))

        shop = Shop(spec, store, f"{seed}:{name}", schedule)
        self.stores[name], self.shops[name] = store, shop
        return shop

    def advance(self, to: datetime) -> None:
        """Let everything planned until `to` (inclusive) happen, with its events. Time never goes back: ValueError."""
        until = unix(to)
        if until < self.now:
            raise ValueError(f"the world is at {datetime.fromtimestamp(self.now, UTC)} and cannot go back to {to}")
        self._run(until)

    def _run(self, until: int) -> None:
        heap = self._heap
        while heap and heap[0][0] <= until:
            at, _, shop, happening = heapq.heappop(heap)
            self.now = shop.store.now = at
            happening()
        self.now = until
        for store in self.stores.values():
            store.now = until
            self._forget_events(store)

    def _forget_events(self, store: Store) -> None:
        """Stripe keeps events for 30 days."""
        for event in store.all("event"):
            if event["created"] >= self.now - EVENTS_KEPT:
                return
            store.remove("event", event["id"])

    def truth(self, account: str, month: str) -> dict[str, Any]:
        """The month (YYYY-MM, UTC) of an account by its ledger: {account, month, currencies: {currency: …}}.

        Minor units; see ledger.truth for what stands under a currency.
        """
        start = unix(datetime.strptime(f"{month}-01 +0000", "%Y-%m-%d %z"))
        entries = self.shops[account].ledger.until(month_end(start))
        return {"account": account, "month": month, "currencies": ledger.truth(entries, start)}

    def tax_rows(self, account: str) -> list[Object]:
        """Every row of the itemized tax report so far, oldest first (columns and units: report_rows.py)."""
        return report_rows.rows(self.shops[account])

    def act(self, account: str, action: str, **params: Any) -> Any:
        """Do a named action of actions.ACTIONS now.

        Raises NotPossible (a ValueError) for what cannot be done in this state, an unknown action or its parameters.
        """
        return actions.act(self.shops[account], action, params)


def unix(moment: datetime) -> int:
    """Whole unix seconds of an aware instant; ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; the world's time is UTC")
    return int(moment.timestamp())
