"""A stand-in with balance transactions and their charges, a great many: ``python -m bench.ledger --rows 1000000``.

The full world would take minutes to build a million sales. The charges must be there: an object that a row refers to
and that is not in the lake is asked for by id, a million times if need be.
"""

import argparse
import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from redisu_pipeline.common import clock
from sandbox.run import HOST, listening, server
from sandbox.stripe.server.app import App
from sandbox.stripe.server.call import Sandbox
from sandbox.stripe.shapes.balance import balance_transaction, fee_detail
from sandbox.stripe.shapes.payments import charge
from sandbox.stripe.store import Object, Store

KEY = "rk_live_ledger"
DAYS = 85
HOLD = timedelta(days=2)


class LedgerWorld:
    """One account whose customers paid ``rows`` times in the DAYS before now; nothing else happened."""

    def __init__(self, rows: int, now: datetime) -> None:
        self.now = int(now.timestamp())
        store = Store(
            name="us",
            account_id="acct_ledger",
            key=KEY,
            webhook_secret="whsec_ledger",  # opens nothing
            country="US",
            default_currency="usd",
            now=self.now,
        )
        for number in range(rows):
            for made in self._paid(number, rows):
                store.put(made)
        self.stores: Mapping[str, Store] = {"us": store}

    def _paid(self, number: int, rows: int) -> tuple[Object, Object]:
        created = self.now - DAYS * 86400 * (rows - number) // rows
        available = created + int(HOLD.total_seconds())
        amount = 1000 + number % 20000
        fee = amount * 29 // 1000 + 30
        txn, source = f"txn_ledger{number:012d}", f"ch_ledger{number:012d}"
        booked = balance_transaction(
            id=txn,
            created=created,
            available_on=available,
            status="available" if available <= self.now else "pending",
            amount=amount,
            fee=fee,
            net=amount - fee,
            fee_details=[
                fee_detail(amount=fee, currency="usd", type="stripe_fee", description="Stripe processing fees")
            ],
            type="charge",
            reporting_category="charge",
            source=source,
            description=f"Order {number}",
        )
        paid = charge(id=source, created=created, amount=amount, amount_captured=amount, balance_transaction=txn)
        return paid, booked

    def advance(self, to: datetime) -> None:
        """Only the clock moves."""
        self.now = int(to.timestamp())

    def truth(self, account: str, month: str) -> Mapping[str, Any]:
        raise ValueError(f"a ledger has no books: {account} {month}")

    def tax_rows(self, _account: str) -> list[Object]:
        """Nothing is sold, so the tax report is empty."""
        return []

    def act(self, account: str, action: str, **arguments: Any) -> Any:
        raise ValueError(f"nothing happens in a ledger: {account} {action} {arguments}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, required=True)
    rows: int = parser.parse_args().rows
    listener = listening(0)
    sandbox = Sandbox(LedgerWorld(rows, clock.now().astimezone(UTC)))
    print(f"http://{HOST}:{listener.getsockname()[1]}", flush=True)
    asyncio.run(server(App(sandbox)).serve([listener]))


if __name__ == "__main__":
    main()
