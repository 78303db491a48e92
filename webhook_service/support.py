"""Support's view: entitlements with their attempts and last error, the whole story of a learner, and retries."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, or_, select, update

from redisu_pipeline.common.opsdb.schema import access, attempts, events, jobs, orders
from webhook_service.entitlements import State
from webhook_service.jobs import claim_refresh
from webhook_service.orders import Order, find_order, of_row
from webhook_service.refresh import run_refresh
from webhook_service.services import Services
from webhook_service.unlocking import deliver_next, open_gate_for_probe
from webhook_service.verdicts import confirm

MOST_AT_ONCE: Final = 100_000


@dataclass(frozen=True)
class Entitlement:
    """One order as ``--json`` shows it (contract §1)."""

    order_id: str
    learner: str
    course: str
    account: str
    session_id: str | None
    state: str
    attempts: int
    last_error: str | None

    def fields(self) -> dict[str, object]:
        """The public form."""
        return asdict(self)


@dataclass(frozen=True)
class Moment:
    """One thing that happened in a story; ``at`` in UTC."""

    at: datetime
    what: str
    detail: str
    correlation_id: str

    def fields(self) -> dict[str, object]:
        """The public form."""
        return {**asdict(self), "at": self.at.isoformat().replace("+00:00", "Z")}


def entitlements(connection: Connection, *which: ColumnElement[bool], most: int = MOST_AT_ONCE) -> list[Entitlement]:
    """Orders that fit ``which``, newest first, with the attempts and the error of their newest unlock."""
    found = select(orders).where(*which).order_by(orders.c.created_at.desc()).limit(most)
    rows = connection.execute(found).mappings().all()
    numbers = _deliveries(connection, [row["order_id"] for row in rows])
    made = []
    for row in rows:
        count, error = numbers.get(row["order_id"], (0, None))
        values = {name: row[name] for name in ("order_id", "learner", "course", "account", "session_id", "state")}
        made.append(Entitlement(**values, attempts=count, last_error=row["problem"] or error))
    return made


def needing_help(connection: Connection) -> list[Entitlement]:
    """Paid orders that FlockJay has not confirmed, and orders with a problem."""
    return entitlements(connection, or_(orders.c.state == State.PAID, orders.c.problem.is_not(None)))


def orders_of(connection: Connection, who: str) -> list[Order]:
    """The orders of a learner, an order's id, a session's id or an e-mail address; oldest first."""
    fits = or_(*(orders.c[name] == who for name in ("learner", "order_id", "session_id", "email")))
    rows = connection.execute(select(orders).where(fits).order_by(orders.c.created_at)).mappings()
    return [of_row(row) for row in rows]


def story(connection: Connection, found: Sequence[Order]) -> list[Moment]:
    """Everything that happened to these orders, in order: click, session, events, attempts, answers."""
    moments: list[Moment] = []
    for order in found:
        moments += [*_milestones(order), *_events(connection, order), *_calls(connection, order)]
    return sorted(moments, key=lambda moment: moment.at)


def _milestones(order: Order) -> list[Moment]:
    opened = f"{order.order_id} {order.course} in {order.account}, attempt {order.attempt}"
    paid = f"{order.session_id} {order.amount_total or 0} {order.currency or ''} (minor units)"
    said = [
        (order.created_at, "order opened", opened),
        (order.paid_at, "seen paid", paid),
        (order.unlocked_at, "unlocked", order.course_id),
        (order.erased_at, "personal data erased", ""),
    ]
    return [Moment(at, what, detail.strip(), order.correlation_id) for at, what, detail in said if at is not None]


def _events(connection: Connection, order: Order) -> list[Moment]:
    subjects = [id for id in (order.session_id, order.payment_intent) if id]
    theirs = select(events.c.id, events.c.type, events.c.received_at, events.c.source).where(
        or_(events.c.subject.in_(subjects), events.c.object_id.in_(subjects))
    )
    return [
        Moment(received_at, f"event {type}", f"{id} by {source}", order.correlation_id)
        for id, type, received_at, source in connection.execute(theirs)
    ]


def _calls(connection: Connection, order: Order) -> list[Moment]:
    made = (
        select(jobs.c.action, jobs.c.key, jobs.c.reason, attempts)
        .join(attempts, attempts.c.job_id == jobs.c.id)
        .where(jobs.c.order_id == order.order_id, jobs.c.kind == "unlock")
    )
    moments = []
    for row in connection.execute(made).mappings():
        answer = row["detail"] or "no answer was noted"
        detail = f"{answer}; key {row['key']}; because {row['reason']}{'; probe' if row['probe'] else ''}"
        moments.append(Moment(row["started_at"], f"FlockJay {row['action']}", detail, order.correlation_id))
    return moments


def _deliveries(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[int, str | None]]:
    """Attempts of each order's unlocks, and the last error of its newest one."""
    made: dict[str, tuple[int, str | None]] = {}
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        counted = (
            select(jobs.c.order_id, jobs.c.last_error, func.count(attempts.c.id))
            .outerjoin(attempts, attempts.c.job_id == jobs.c.id)
            .where(jobs.c.order_id.in_(part), jobs.c.kind == "unlock")
            .group_by(jobs.c.id, jobs.c.order_id, jobs.c.last_error)
            .order_by(jobs.c.id)
        )
        for order_id, error, count in connection.execute(counted):
            made[order_id] = (made.get(order_id, (0, None))[0] + count, error)
    return made


def retry(connection: Connection, now: datetime, order_ids: Sequence[str]) -> int:
    """Make dead letters due again, all of them or those of ``order_ids``; returns how many."""
    which: list[Any] = [jobs.c.state == "dead"]
    if order_ids:
        sessions = select(orders.c.session_id).where(orders.c.order_id.in_(order_ids))
        which.append(or_(jobs.c.order_id.in_(order_ids), jobs.c.subject.in_(sessions)))
    again = update(jobs).where(*which).values(state="due", due_at=now, attempts=0, done_at=None)
    revived = connection.execute(again).rowcount
    waiting = [jobs.c.state == "due", jobs.c.kind == "unlock"]
    if order_ids:
        waiting.append(jobs.c.order_id.in_(order_ids))
    connection.execute(update(jobs).where(*waiting).values(due_at=now))
    open_gate_for_probe(connection, now)
    return revived


def done(connection: Connection, order_ids: Sequence[str], now: datetime) -> tuple[list[Order], list[str]]:
    """People have carried out what the work list says of these orders; returns the orders, and ids that are not known.

    What counts is the newest wish for the order's learner and course: the list's last line of them.
    """
    found, unknown = [], []
    for order_id in order_ids:
        order = find_order(connection, order_id)
        if order is None:
            unknown.append(order_id)
            continue
        found.append(order)
        newest = (access.c.learner == order.learner, access.c.course_id == order.course_id)
        sequence = connection.execute(select(access.c.sequence).where(*newest)).scalar()
        listed = select(jobs.c.id).where(
            jobs.c.kind == "unlock",
            jobs.c.learner == order.learner,
            jobs.c.subject == order.course_id,
            jobs.c.sequence == sequence,
            jobs.c.state == "done",
        )
        if sequence is not None and connection.execute(listed).first() is not None:
            confirm(connection, order.learner, order.course_id, sequence, now)
    return found, unknown


def drain(services: Services) -> None:
    """Do everything that is due now, in this thread: for commands; leases keep it safe beside a running service."""
    for _ in range(MOST_AT_ONCE):
        job = services.database.write(lambda connection: claim_refresh(connection, services.now()))
        if job is None:
            break
        run_refresh(services, job)
    for _ in range(MOST_AT_ONCE):
        if not deliver_next(services):
            break
