"""Orders: one for each wish of a learner for a course, from the click until its money has come, stayed or gone.

The pages open and read them here; `refresh` is the one function that webhook, return page and sweeps call to bring an
order to what Stripe says now. All of it is synchronous: call it from a worker thread, never from the event loop.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, or_, select, update

from redisu_pipeline.common.opsdb.schema import jobs, orders
from redisu_pipeline.common.settings import Account, Course
from webhook_service.database import Database
from webhook_service.entitlements import ENTITLED, State
from webhook_service.sql import insert_into


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order as it is in the database. Amounts in minor units; times aware, UTC."""

    order_id: str
    correlation_id: str
    learner: str
    email: str | None
    course: str
    course_id: str
    account: str
    country: str | None
    attempt: int
    state: State
    session_id: str | None
    session_url: str | None
    session_expires_at: datetime | None
    payment_intent: str | None
    invoice_url: str | None
    amount_total: int | None
    currency: str | None
    country_mismatch: bool
    problem: str | None
    created_at: datetime
    paid_at: datetime | None
    unlocked_at: datetime | None
    name: str | None
    erased_at: datetime | None
    stale_session: str | None = None
    """Only from `open_order`: a session of this order that is to be expired at Stripe before a new one is made."""

    def can_be_paid(self, now: datetime) -> bool:
        """Whether its session is open for at least a minute more: send the buyer there again."""
        expires = self.session_expires_at
        if self.state is not State.PENDING or self.session_url is None or expires is None:
            return False
        return (expires - now).total_seconds() > 60


@dataclass(frozen=True)
class OpenSession:
    """A Checkout Session that was just created for an order."""

    id: str
    url: str
    expires_at: datetime


@dataclass(frozen=True)
class Progress:
    """An order as its buyer may see it: ``needs_help`` when unlocking will not come by itself."""

    order: Order
    needs_help: bool

    @property
    def state(self) -> State:
        """Where the order stands."""
        return self.order.state


def open_order(
    database: Database,
    *,
    learner: str,
    email: str,
    course: Course,
    account: Account,
    country: str,
    now: datetime,
) -> Order:
    """Return the learner's open order of the course in the account, a new one when there is none.

    A double click gets the same order. When its session cannot be paid any more, or was made for another e-mail
    address or country, it gets the next attempt number and no session; the old one is its ``stale_session``. Create
    the session with the idempotency key ``checkout:{order_id}:{attempt}``, then call `record_session`.
    """
    fresh = {
        "order_id": f"ord_{secrets.token_hex(12)}",
        "correlation_id": f"cor_{secrets.token_hex(8)}",
        "origin": "page",
        "learner": learner,
        "email": email,
        "course": course.slug,
        "course_id": course.flockjay_course_id,
        "account": account.name,
        "country": country,
        "attempt": 1,
        "state": State.PENDING,
        "created_at": now,
        "updated_at": now,
    }

    def work(connection: Connection) -> Order:
        statement = insert_into(connection, orders).values(fresh).on_conflict_do_nothing()
        connection.execute(statement)
        same = (orders.c.learner == learner, orders.c.course == course.slug, orders.c.account == account.name)
        found = select(orders).where(*same, orders.c.state == State.PENDING).with_for_update()
        order = of_row(connection.execute(found).mappings().one())
        as_wished = order.email == email and order.country == country
        if order.session_id is None or (as_wished and order.can_be_paid(now)):
            if as_wished:
                return order
            _change(connection, order, now, email=email, country=country)
            return replace(order, email=email, country=country)
        again = order.attempt + 1
        none: dict[str, Any] = {"session_id": None, "session_url": None, "session_expires_at": None}
        _change(connection, order, now, attempt=again, email=email, country=country, **none)
        return replace(order, attempt=again, email=email, country=country, stale_session=order.session_id, **none)

    return database.write(work)


def record_session(database: Database, order: Order, session: OpenSession, now: datetime) -> Order:
    """Note the session that was created for ``order``'s attempt; repeating it changes nothing."""

    def work(connection: Connection) -> Order:
        connection.execute(
            update(orders)
            .where(
                orders.c.order_id == order.order_id,
                orders.c.attempt == order.attempt,
                # Another attempt's session may have been paid meanwhile: then the order is that one's.
                or_(orders.c.session_id.is_(None), orders.c.session_id == session.id),
            )
            .values(
                session_id=session.id, session_url=session.url, session_expires_at=session.expires_at, updated_at=now
            )
        )
        return of_row(connection.execute(select(orders).where(orders.c.order_id == order.order_id)).mappings().one())

    return database.write(work)


def has_course(database: Database, learner: str, course_id: str) -> bool:
    """Whether a paid order of the learner covers FlockJay's course now."""
    with database.read() as connection:
        return covered(connection, learner, course_id)


def covered(connection: Connection, learner: str, course_id: str) -> bool:
    """Whether any order entitles the learner to the course."""
    covering = select(orders.c.order_id).where(
        orders.c.learner == learner, orders.c.course_id == course_id, orders.c.state.in_(ENTITLED)
    )
    return connection.execute(covering.limit(1)).first() is not None


def state_of(database: Database, session_id: str) -> Progress | None:
    """Where the order of a session stands; None for a session that is not ours (or not recorded yet)."""
    with database.read() as connection:
        row = connection.execute(select(orders).where(orders.c.session_id == session_id)).mappings().first()
        if row is None:
            return None
        order = of_row(row)
        dead = select(jobs.c.id).where(
            jobs.c.learner == order.learner,
            jobs.c.subject == order.course_id,
            jobs.c.kind == "unlock",
            jobs.c.state == "dead",
        )
        stuck = order.state is State.PAID and connection.execute(dead.limit(1)).first() is not None
        return Progress(order, needs_help=stuck or order.problem is not None)


def find_order(connection: Connection, order_id: str) -> Order | None:
    """The order of that id."""
    row = connection.execute(select(orders).where(orders.c.order_id == order_id)).mappings().first()
    return of_row(row) if row is not None else None


def of_row(row: RowMapping) -> Order:
    """An Order of a row of ``orders``."""
    names = (name for name in Order.__dataclass_fields__ if name not in ("state", "stale_session"))
    return Order(state=State(row["state"]), **{name: row[name] for name in names})


def add(connection: Connection, values: Mapping[str, object]) -> None:
    """Add a row as it is: for orders that are made from a session's metadata."""
    connection.execute(insert(orders).values(values))


def _change(connection: Connection, order: Order, now: datetime, **values: object) -> None:
    connection.execute(update(orders).where(orders.c.order_id == order.order_id).values(**values, updated_at=now))
