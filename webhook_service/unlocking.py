"""Delivering one change to FlockJay: the attempt is written before the call, its answer after it."""

import random
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Select, insert, select, update

from redisu_pipeline.common.opsdb.schema import access, attempts, gates, jobs
from webhook_service import delivery
from webhook_service.delivery import Answer, Gate, GateState, Kind
from webhook_service.flockjay import Change
from webhook_service.jobs import LEASE, Job, claim_unlock, finish, is_ours, postpone
from webhook_service.orders import Order, find_order
from webhook_service.services import Services, logger
from webhook_service.sql import insert_into
from webhook_service.verdicts import confirm

GATE: Final = "flockjay"
_chance = random.Random()
_log = logger(__name__)


@dataclass(frozen=True)
class Attempt:
    """A call that is about to be made, noted already."""

    id: int
    job: Job
    order: Order
    probe: bool


def begin(connection: Connection, now: datetime) -> Attempt | None:
    """Claim the next change that may be delivered now and note the attempt; None when there is none."""
    gate = read_gate(connection, now)
    admitted = gate.admits(now)
    if admitted is None:
        return None
    while True:
        job = claim_unlock(connection, now, probe=admitted == "probe")
        if job is None:
            return None
        newest = select(access.c.sequence).where(access.c.learner == job.learner, access.c.course_id == job.subject)
        if connection.execute(newest).scalar() == job.sequence:
            break
        finish(connection, job, now, state="superseded")
    assert job.order_id is not None
    order = find_order(connection, job.order_id)
    assert order is not None, "an unlock belongs to an order"
    if admitted == "probe":
        # One probe at a time, whichever process makes it; its answer sets the next one's time.
        _write_gate(connection, Gate(gate.state, gate.failures, gate.probes, gate.since, now + LEASE, gate.reason))
    noted = insert(attempts).values(job_id=job.id, started_at=now, probe=admitted == "probe")
    id = connection.execute(noted.returning(attempts.c.id)).scalar_one()
    return Attempt(id, job, order, admitted == "probe")


def deliver_next(services: Services) -> bool:
    """Deliver one change that is due; False when there was none."""
    attempt = services.database.write(lambda connection: begin(connection, services.now()))
    if attempt is None:
        return False
    job, order = attempt.job, attempt.order
    change = Change(
        action=str(job.action),
        course_id=job.subject,
        learner=order.learner,
        email=order.email or "",
        name=order.name or "",
        order_id=order.order_id,
        key=job.key,
        correlation_id=order.correlation_id,
    )
    answer = services.flockjay.deliver(change)
    if services.database.write(lambda connection: end(connection, attempt, answer, services.now())):
        services.wake.unlock.ring_all()
    _note(services, attempt, answer)
    return True


def end(connection: Connection, attempt: Attempt, answer: Answer, now: datetime) -> bool:
    """Note the answer and what follows for the change, the orders and the gate; True when all that waits is due."""
    noted = update(attempts).where(attempts.c.id == attempt.id)
    connection.execute(noted.values(finished_at=now, status=answer.status, detail=answer.detail))
    before = read_gate(connection, now)
    gate = delivery.after(before, answer, now)
    if gate != before:
        _write_gate(connection, gate)
    job = attempt.job
    if is_ours(connection, job):
        _settle(connection, attempt, answer, now)
    elif answer.kind is Kind.DONE:
        confirm(connection, str(job.learner), job.subject, job.sequence, now)  # done is done, whoever asks again
    if before.state is not GateState.CLOSED and gate.state is GateState.CLOSED:
        waiting = update(jobs).where(jobs.c.kind == "unlock", jobs.c.state == "due", jobs.c.due_at > now)
        connection.execute(waiting.values(due_at=now))
        return True
    return False


def _settle(connection: Connection, attempt: Attempt, answer: Answer, now: datetime) -> None:
    job = attempt.job
    learner = str(job.learner)
    spent = job.attempts if attempt.probe else job.attempts + 1
    match answer.kind:
        case Kind.DONE:
            finish(connection, job, now)
            confirm(connection, learner, job.subject, job.sequence, now)
        case Kind.LISTED:
            finish(connection, job, now)
        case Kind.FINAL if answer.status == 404 and job.action == "revoke" and not _has_it(connection, job):
            finish(connection, job, now)  # never granted there, so there is nothing to take away
            confirm(connection, learner, job.subject, job.sequence, now)
        case Kind.FINAL:
            finish(connection, job, now, state="dead", error=answer.detail)
        case Kind.DENIED:
            postpone(connection, job, now, answer.detail, job.attempts)  # our key's fault: the gate waits, not the job
        case _:
            due = delivery.next_due(max(spent, 1), answer, now, _chance)
            postpone(connection, job, due, answer.detail, spent)
    newest = select(access.c.sequence).where(access.c.learner == learner, access.c.course_id == job.subject)
    if connection.execute(newest).scalar() != job.sequence:
        # A later wish came while this one was under way: it must not be tried again after that one.
        late = update(jobs).where(jobs.c.id == job.id, jobs.c.state.in_(("due", "dead")))
        connection.execute(late.values(state="superseded", done_at=now))


def _has_it(connection: Connection, job: Job) -> bool:
    """Whether the newest change that FlockJay confirmed was a grant (they alternate, beginning with one)."""
    one = (access.c.learner == job.learner, access.c.course_id == job.subject)
    return int(connection.execute(select(access.c.delivered).where(*one)).scalar() or 0) % 2 == 1


def read_gate(connection: Connection, now: datetime) -> Gate:
    """FlockJay's gate, held until the transaction ends."""
    return _gate(connection, select(gates).where(gates.c.name == GATE).with_for_update(), now)


def look_at_gate(connection: Connection, now: datetime) -> Gate:
    """FlockJay's gate as it is, for showing it."""
    return _gate(connection, select(gates).where(gates.c.name == GATE), now)


def _gate(connection: Connection, found: Select, now: datetime) -> Gate:
    row = connection.execute(found).mappings().first()
    if row is None:
        return delivery.closed(now)
    return Gate(GateState(row["state"]), row["failures"], row["probes"], row["since"], row["not_before"], row["reason"])


def open_gate_for_probe(connection: Connection, now: datetime) -> None:
    """Let the next call be tried at once: at the start of the service, and when a person asks for a retry."""
    gate = read_gate(connection, now)
    if gate.not_before is not None:
        _write_gate(connection, Gate(gate.state, gate.failures, gate.probes, gate.since, None, gate.reason))


def _write_gate(connection: Connection, gate: Gate) -> None:
    values = {
        "state": gate.state,
        "failures": gate.failures,
        "probes": gate.probes,
        "since": gate.since,
        "not_before": gate.not_before,
        "reason": gate.reason,
    }
    statement = insert_into(connection, gates).values(name=GATE, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[gates.c.name], set_=values))


def _note(services: Services, attempt: Attempt, answer: Answer) -> None:
    job, order = attempt.job, attempt.order
    now = services.now()
    services.metrics.deliveries.labels(str(job.action), answer.kind).inc()
    if answer.kind is Kind.DONE and job.action == "grant" and order.paid_at is not None:
        services.metrics.unlock_seconds.observe(max((now - order.paid_at).total_seconds(), 0))
    write = _log.info if answer.kind in (Kind.DONE, Kind.LISTED) else _log.warning
    write(
        "delivery",
        order_id=order.order_id,
        correlation_id=order.correlation_id,
        action=job.action,
        answer=answer.kind,
        detail=answer.detail,
        attempt=job.attempts + 1,
        probe=attempt.probe,
    )
