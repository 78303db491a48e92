"""Turning what was read at Stripe into the state of an order, the learner's access, and the change to deliver.

One transaction with the end of the refresh job, so that a crash repeats all of it or none.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, RowMapping, insert, select, update

from redisu_pipeline.common.opsdb.schema import access, jobs, orders
from redisu_pipeline.common.settings import Settings
from webhook_service.entitlements import ENTITLED, State, decide
from webhook_service.orders import Order, add, covered, find_order, of_row
from webhook_service.sql import insert_into
from webhook_service.stripe_reads import Reading

_WITHOUT_MONEY: Final = frozenset((State.PENDING, State.EXPIRED, State.FAILED))


@dataclass(frozen=True)
class Verdict:
    """What a reading meant: the order (None when the session is not ours), its state before, and a new wish."""

    order: Order | None
    before: State | None = None
    change: str | None = None
    """``grant`` or ``revoke``, when FlockJay is to be told something new."""


def apply(connection: Connection, settings: Settings, account: str, reading: Reading, now: datetime) -> Verdict:
    """Bring the order of a session to what was read. Raises UnknownValue."""
    state = decide(reading.facts, settings.service.partial_refund)
    found = _order_of(connection, settings, account, reading, state, now)
    if found is None:
        return Verdict(None)
    # Locked before any order is looked at: two orders of one learner must not judge each other by old states.
    held = _lock_access(connection, found.learner, found.course_id, now)
    order = find_order(connection, found.order_id)
    assert order is not None
    is_its_session = order.session_id == reading.session_id or (order.session_id is None and order.attempt == 1)
    if not is_its_session:
        if state in _WITHOUT_MONEY:
            return Verdict(order, order.state)  # another attempt's session: only its money would matter
        if order.session_id is not None and order.state not in _WITHOUT_MONEY:
            order = _sibling(connection, order, reading, now)
    if state is State.PAID and held["wanted"] and held["delivered"] == held["sequence"]:
        state = State.UNLOCKED
    if _is_second_payment(connection, order, state):
        _set(connection, order, now, paid_twice=True)
    _set(connection, order, now, **_fields(order, reading, state, now))
    change = _want(connection, order, held, state, now)
    return Verdict(find_order(connection, order.order_id), order.state, change)


def _order_of(
    connection: Connection, settings: Settings, account: str, reading: Reading, state: State, now: datetime
) -> Order | None:
    row = connection.execute(select(orders).where(orders.c.session_id == reading.session_id)).mappings().first()
    if row is not None:
        return of_row(row)
    given = reading.metadata
    order_id, course_id, learner = given.get("order_id"), given.get("flockjay_course_id"), given.get("learner")
    course = given.get("course", "")
    if course_id is None and course in settings.courses:
        course_id = settings.courses[course].flockjay_course_id
    if not (order_id and course_id and learner):
        return None  # a payment link, or another product of the account
    known = find_order(connection, order_id)
    if known is not None:
        # The id comes from our own metadata; the rest must agree, or somebody copied it.
        return known if (known.account, known.learner, known.course_id) == (account, learner, course_id) else None
    if state in _WITHOUT_MONEY:
        return None
    values = {"order_id": order_id, "learner": learner, "course": course, "course_id": course_id, "account": account}
    add(connection, {**values, **_adopted(reading, state, now)})
    return find_order(connection, order_id)


def _adopted(reading: Reading, state: State, now: datetime) -> dict[str, object]:
    """The rest of an order that this database does not know (it was restored, or lost): its session says all."""
    return {
        "correlation_id": f"cor_{secrets.token_hex(8)}",
        "origin": "stripe",
        "email": reading.email,
        "country": None,
        "attempt": 1,
        "state": state if state not in ENTITLED else State.PROCESSING,
        "session_id": reading.session_id,
        "created_at": now,
        "updated_at": now,
    }


def _sibling(connection: Connection, order: Order, reading: Reading, now: datetime) -> Order:
    """A second session of one order has money too: it gets an order of its own, to be refunded or kept by itself."""
    values = {name: getattr(order, name) for name in ("learner", "course", "course_id", "account", "email", "country")}
    order_id = f"{order.order_id[:30]}-{reading.session_id[-8:]}"
    fresh = {**_adopted(reading, State.PROCESSING, now), **values, "correlation_id": order.correlation_id}
    add(connection, {**fresh, "order_id": order_id})
    made = find_order(connection, order_id)
    assert made is not None
    return made


def _is_second_payment(connection: Connection, order: Order, state: State) -> bool:
    """Whether the order becomes paid while another one covers the course already: finance may give it back."""
    if state not in ENTITLED or order.state in ENTITLED:
        return False
    others = select(orders.c.order_id).where(
        orders.c.learner == order.learner,
        orders.c.course_id == order.course_id,
        orders.c.order_id != order.order_id,
        orders.c.state.in_(ENTITLED),
    )
    return connection.execute(others.limit(1)).first() is not None


def _fields(order: Order, reading: Reading, state: State, now: datetime) -> dict[str, object]:
    mismatch = bool(reading.country and order.country and reading.country != order.country)
    fields: dict[str, object] = {
        "state": state,
        "session_id": reading.session_id,
        "payment_intent": reading.payment_intent,
        "buyer_country": reading.country,
        "country_mismatch": mismatch,
        "amount_total": reading.amount_total,
        "currency": reading.currency,
        "read_at": now,
        "problem": None,
    }
    if order.erased_at is None:
        fields["name"] = reading.name
        fields["invoice_url"] = reading.invoice_url or order.invoice_url
    if state is not State.PENDING:
        fields["session_url"] = None
    if state in ENTITLED and order.paid_at is None:
        fields["paid_at"] = now
    if state is State.UNLOCKED and order.unlocked_at is None:
        fields["unlocked_at"] = now
    return fields


def _lock_access(connection: Connection, learner: str, course_id: str, now: datetime) -> RowMapping:
    fresh = {"learner": learner, "course_id": course_id, "wanted": False, "sequence": 0, "delivered": 0}
    statement = insert_into(connection, access).values(**fresh, updated_at=now)
    connection.execute(statement.on_conflict_do_nothing())
    row = select(access).where(access.c.learner == learner, access.c.course_id == course_id).with_for_update()
    return connection.execute(row).mappings().one()


def _want(connection: Connection, order: Order, held: RowMapping, state: State, now: datetime) -> str | None:
    """Compare what all orders entitle to with what was wished last; returns the action when that is new."""
    wanted = covered(connection, order.learner, order.course_id)
    if wanted == held["wanted"]:
        return None
    sequence, action = held["sequence"] + 1, "grant" if wanted else "revoke"
    one = (access.c.learner == order.learner, access.c.course_id == order.course_id)
    connection.execute(update(access).where(*one).values(wanted=wanted, sequence=sequence, updated_at=now))
    older = update(jobs).where(
        jobs.c.kind == "unlock",
        jobs.c.learner == order.learner,
        jobs.c.subject == order.course_id,
        jobs.c.state.in_(("due", "dead")),
    )
    connection.execute(older.values(state="superseded", done_at=now))
    connection.execute(
        insert(jobs).values(
            key=f"{order.order_id}:{action}:{sequence}",
            kind="unlock",
            account=order.account,
            subject=order.course_id,
            order_id=order.order_id,
            learner=order.learner,
            action=action,
            sequence=sequence,
            reason=state,
            state="due",
            due_at=now,
            version=1,
            attempts=0,
            created_at=now,
        )
    )
    return action


def confirm(connection: Connection, learner: str, course_id: str, sequence: int, now: datetime) -> None:
    """FlockJay has confirmed change ``sequence``: orders that are paid are unlocked now, when it is the newest."""
    one = (access.c.learner == learner, access.c.course_id == course_id)
    connection.execute(update(access).where(*one, access.c.delivered < sequence).values(delivered=sequence))
    current = connection.execute(
        select(access.c.learner).where(*one, access.c.sequence == sequence, access.c.wanted)
    ).first()
    if current is None:
        return
    waiting = update(orders).where(
        orders.c.learner == learner, orders.c.course_id == course_id, orders.c.state == State.PAID
    )
    connection.execute(waiting.values(state=State.UNLOCKED, unlocked_at=now, updated_at=now))


def _set(connection: Connection, order: Order, now: datetime, **values: object) -> None:
    connection.execute(update(orders).where(orders.c.order_id == order.order_id).values(**values, updated_at=now))
