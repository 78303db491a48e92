"""Any sequence of paying, failing, refunding, disputing and buying again, with events lost, doubled, shuffled and late:
in the end the access is what the money says. Stripe and FlockJay are small models; database and service are real.
"""

import io
import json
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from service_models import FlockJay, Money, Stripe
from sqlalchemy import delete, event

from redisu_pipeline.common import logs
from redisu_pipeline.common.opsdb.schema import access, attempts, events, gates, jobs, sweeps
from redisu_pipeline.common.opsdb.schema import orders as order_table
from redisu_pipeline.common.settings import Settings, load
from webhook_service import orders, support
from webhook_service.database import Database
from webhook_service.inbox import keep
from webhook_service.orders import OpenSession
from webhook_service.refresh import refresh
from webhook_service.services import Services, StripeAccount
from webhook_service.stripe_events import decode_event, received
from webhook_service.sweeps import sweep

TABLES = (order_table, access, events, jobs, attempts, gates, sweeps)
CONFIGURATION = """
[flockjay]
api_base = "http://flockjay.invalid"
[routing]
default = "us"
[accounts.us]
[courses.redis-101]
name = "Redis 101"
flockjay_course_id = "fj_101"
prices = { usd = 100 }
"""


@dataclass
class Run:
    """One learner's sequence."""

    services: Services
    settings: Settings
    stripe: Stripe
    flockjay: FlockJay
    learner: str
    chance: random.Random
    late: list[dict[str, Any]] = field(default_factory=list)
    heard: int = 0

    def step(self) -> None:
        """Mostly what can happen now: a sequence of impossible wishes would test nothing."""
        buying: list[Callable[[], None]] = [self.click, self.pay] if self.mine(("open", "unpaid")) else [self.click] * 3
        after = (
            [self.refund, self.dispute, self.judge, self.judge] if self.mine(("complete", "paid")) else [self.pay] * 2
        )
        bank = [self.settle, self.settle, self.fail] if self.mine(("complete", "unpaid")) else []
        rare = [self.fail] if self.chance.random() < 0.2 else []
        self.chance.choice([*buying, *after, *bank, *rare, self.listen, self.listen, self.wait, self.look])()

    def mine(self, *states: tuple[str, str]) -> Money | None:
        found = [one for one in self.stripe.money.values() if self.state(one) in states]
        return self.chance.choice(found) if found else None

    def state(self, money: Money) -> tuple[str, str]:
        return money.session["status"], money.session["payment_status"]

    def click(self) -> None:
        course, account = self.settings.courses["redis-101"], self.settings.accounts["us"]
        country, now = self.chance.choice(["US", "CA"]), self.services.now()
        who = {"learner": self.learner, "email": f"{self.learner}@example.com"}
        database = self.services.database
        order = orders.open_order(database, **who, course=course, account=account, country=country, now=now)
        if order.can_be_paid(now):
            return
        metadata = {"order_id": order.order_id, "learner": self.learner, "flockjay_course_id": "fj_101"}
        id = f"cs_test_{self.chance.getrandbits(64):x}"
        made = {"id": id, "livemode": False, "status": "open", "payment_status": "unpaid", "created": self.stripe.now}
        self.stripe.money[id] = Money({**made, "metadata": metadata, "payment_intent": None, "amount_total": 100})
        if self.chance.random() < 0.9:  # else it crashed before it could note the session
            orders.record_session(database, order, OpenSession(id, "https://x", now + timedelta(hours=24)), now)

    def pay(self) -> None:
        money = self.mine(("open", "unpaid"))
        if money is None:
            return
        number = f"{self.chance.getrandbits(64):x}"
        delayed = self.chance.random() < 0.3
        money.charge = {"id": f"ch_{number}", "amount": 100, "status": "pending" if delayed else "succeeded"}
        paid = "unpaid" if delayed else "paid"
        money.session.update(status="complete", payment_status=paid, payment_intent=f"pi_{number}")
        self.stripe.say("checkout.session.completed", {"id": money.session["id"]})

    def settle(self) -> None:
        money = self.mine(("complete", "unpaid"))
        if money is not None and money.charge is not None and money.charge["status"] == "pending":
            money.charge["status"] = "succeeded"
            money.session["payment_status"] = "paid"
            self.stripe.say("checkout.session.async_payment_succeeded", {"id": money.session["id"]})

    def fail(self) -> None:
        money = self.mine(("complete", "unpaid"), ("open", "unpaid"))
        if money is None:
            return
        if money.charge is not None:
            money.charge["status"] = "failed"
            self.stripe.say("checkout.session.async_payment_failed", {"id": money.session["id"]})
        else:
            money.session["status"] = "expired"
            self.stripe.say("checkout.session.expired", {"id": money.session["id"]})

    def refund(self) -> None:
        money = self.mine(("complete", "paid"))
        if money is None or money.charge is None:
            return
        about = {"id": "re_1", "payment_intent": money.session["payment_intent"], "charge": money.charge["id"]}
        if money.refunds and self.chance.random() < 0.4:
            money.refunds.pop()
            self.stripe.say("refund.failed", about)
        elif sum(money.refunds) < 100:
            money.refunds.append(self.chance.choice([30, 100 - sum(money.refunds)]))
            self.stripe.say("refund.created", about)

    def dispute(self) -> None:
        money = self.mine(("complete", "paid"))
        if money is not None and money.charge is not None and money.dispute is None:
            money.dispute = self.chance.choice(["needs_response", "warning_needs_response"])
            self.tell_dispute(money, "charge.dispute.created")

    def judge(self) -> None:
        money = self.mine(("complete", "paid"))
        if money is not None and money.dispute == "needs_response":
            money.dispute = self.chance.choice(["won", "lost", "under_review"])
            self.tell_dispute(money, "charge.dispute.closed")

    def tell_dispute(self, money: Money, type: str) -> None:
        assert money.charge is not None
        about = {"id": "dp", "charge": money.charge["id"], "payment_intent": money.session["payment_intent"]}
        self.stripe.say(type, about)

    def listen(self) -> None:
        """Some events arrive: in any order, some twice, some late, some never."""
        fresh, self.heard = self.stripe.events[self.heard :], len(self.stripe.events)
        waiting = self.late + fresh
        self.late = [event for event in waiting if self.chance.random() < 0.3]
        arriving = [event for event in waiting if event not in self.late and self.chance.random() < 0.8]
        arriving += [event for event in self.stripe.events if self.chance.random() < 0.1]
        self.chance.shuffle(arriving)
        self.hear(arriving)
        support.drain(self.services)

    def hear(self, arriving: list[dict[str, Any]]) -> None:
        bodies = [json.dumps(event).encode() for event in arriving]
        kept = [received(decode_event(body), body, "us", "webhook", self.services.now()) for body in bodies]
        if kept:
            self.services.database.write(lambda connection: keep(connection, kept))

    def look(self) -> None:
        """The buyer comes back to the return page."""
        if self.stripe.money:
            refresh(self.services, "us", self.chance.choice(list(self.stripe.money)))

    def wait(self) -> None:
        self.stripe.now += self.chance.choice([1, 30, 3600])
        support.drain(self.services)

    def end(self) -> None:
        """Stripe and FlockJay are well, and one sweep comes."""
        self.stripe.flaky = self.flockjay.flaky = 0.0
        for _ in range(3):
            self.stripe.now += 900
            assert sweep(self.services, "us").error is None
            support.drain(self.services)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Database]]:
    folder = tmp_path_factory.mktemp("property")
    (folder / "redisu.toml").write_text(CONFIGURATION)
    settings = load(str(folder / "redisu.toml"), {})
    database = Database(f"sqlite:///{folder}/redisu.db")
    database.engine.dispose()
    event.listen(database.engine, "connect", _without_fsync)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(io.StringIO(), logging.CRITICAL)
    yield settings, database
    root.handlers[:], root.level = handlers, level
    database.close()


def _without_fsync(connection: Any, _record: object) -> None:
    """A crash is not what is tested here, and the disk's speed neither."""
    connection.execute("PRAGMA synchronous=OFF")


def play(ground: tuple[Settings, Database], seed: int) -> None:
    settings, database = ground
    chance = random.Random(seed)
    stripe = Stripe(int(datetime(2026, 11, 3, tzinfo=UTC).timestamp()), chance, flaky=0.1)
    flockjay = FlockJay(chance, flaky=0.2)
    api: Any = stripe
    services = Services(
        settings=settings,
        database=database,
        stripe={"us": StripeAccount("us", api, live=False)},
        flockjay=flockjay,
        now=lambda: datetime.fromtimestamp(stripe.now, UTC),
    )
    run = Run(services, settings, stripe, flockjay, f"learner-{seed}", chance)
    for _ in range(chance.randint(3, 16)):
        run.step()
    run.end()
    wanted = any(money.covers() for money in stripe.money.values())
    assert (run.learner in flockjay.access) is wanted, f"seed {seed}: {list(stripe.money.values())}"
    assert orders.has_course(database, run.learner, "fj_101") is wanted, f"seed {seed}"
    with database.engine.begin() as connection:  # each sequence by itself, so that its seed repeats it
        for table in TABLES:
            connection.execute(delete(table))


@pytest.mark.parametrize("block", range(3))
def test_in_the_end_the_access_is_what_the_money_says(ground: tuple[Settings, Database], block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        play(ground, seed)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("block", range(10))
def test_ten_thousand_sequences(ground: tuple[Settings, Database], block: int) -> None:
    for seed in range(10_000 + block * 1000, 11_000 + block * 1000):
        play(ground, seed)
