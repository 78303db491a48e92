"""`refresh`: the one re-entrant road from "something may have happened to this session" to the right state.

Webhook, return page and sweeps all come here. A session's refreshes are one job with a lease, so they never run beside
each other, in one process or in many, and an older reading cannot overwrite a newer one.
"""

import random
import time
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, select, update

from redisu_pipeline.common.opsdb.schema import jobs, orders
from redisu_pipeline.common.stripe_api import NotThere, Refused, Transient
from webhook_service.entitlements import UnknownValue
from webhook_service.inbox import Asked, ask, refresh_key
from webhook_service.jobs import Job, claim_refresh, finish, is_ours, postpone
from webhook_service.services import Services, logger
from webhook_service.stripe_reads import Unreadable, read_session, session_of
from webhook_service.verdicts import Verdict, apply

_WAITS: Final = (1, 5, 30, 120, 600)
"""Seconds before a refresh that Stripe did not answer is tried again; the last one for ever."""
_KEY_REFUSED_WAIT: Final = 300
_NOT_THERE_TRIES: Final = 3  # an event may be ahead of a replica by a moment
_log = logger(__name__)


def refresh(services: Services, account: str, session_id: str, *, reason: str = "page", wait: float = 4.0) -> bool:
    """Bring the order of a session to what Stripe says now; False when that was not possible within ``wait`` seconds.

    Safe to call at any time, any number of times, from anywhere.
    """
    key = refresh_key(account, session_id)
    until = time.monotonic() + wait

    def claim(connection: Connection) -> Job | None:
        return claim_refresh(connection, services.now(), key)

    def asked(connection: Connection) -> Job | None:
        ask(connection, [Asked(account, session_id, reason, services.now())])
        return claim(connection)

    job = services.database.write(asked)
    while job is None:
        # Another thread or process reads it already and will do so once more, for us.
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
        if _is_done(services, key):
            return True
        job = services.database.write(claim)
    return run_refresh(services, job)


def _is_done(services: Services, key: str) -> bool:
    with services.database.read() as connection:
        return connection.execute(select(jobs.c.state).where(jobs.c.key == key)).scalar() in ("done", "dead")


def run_refresh(services: Services, job: Job) -> bool:
    """Do a claimed refresh; False when it has to be tried again or by a person."""
    try:
        if not job.subject.startswith("cs_"):
            return _resolve(services, job)
        api = services.stripe[job.account].api
        reading = read_session(api, job.subject, suspect_dispute=job.reason.startswith("charge.dispute."))

        def work(connection: Connection) -> Verdict | None:
            if not is_ours(connection, job):
                return None  # our lease had run out: somebody with a newer reading has it
            verdict = apply(connection, services.settings, job.account, reading, services.now())
            finish(connection, job, services.now())
            return verdict

        verdict = services.database.write(work)
    except Transient as error:
        return _again(services, job, str(error), _WAITS[min(job.attempts, len(_WAITS) - 1)])
    except NotThere:
        if job.attempts + 1 < _NOT_THERE_TRIES:
            return _again(services, job, "404 at Stripe", _WAITS[job.attempts])
        return _give_up(services, job, "Stripe has no such object")
    except Refused as error:
        if error.status in (401, 403):
            return _again(services, job, str(error), _KEY_REFUSED_WAIT)
        return _give_up(services, job, str(error))
    except (UnknownValue, Unreadable) as error:
        return _give_up(services, job, str(error))
    if verdict is not None and verdict.change is not None:
        services.wake.unlock.ring()
    if verdict is not None:
        _note(services, job, verdict)
    return verdict is not None


def _resolve(services: Services, job: Job) -> bool:
    """From a payment to its session: then that is what is read, by its own job."""
    with services.database.read() as connection:
        known = select(orders.c.session_id).where(
            orders.c.payment_intent == job.subject, orders.c.account == job.account
        )
        session_id = connection.execute(known).scalar()
    if session_id is None:
        session_id = session_of(services.stripe[job.account].api, job.subject)

    def work(connection: Connection) -> None:
        if session_id is not None:
            ask(connection, [Asked(job.account, session_id, job.reason, services.now())])
        finish(connection, job, services.now())

    services.database.write(work)
    services.wake.refresh.ring()
    return True


def _again(services: Services, job: Job, error: str, seconds: float) -> bool:
    due = services.now() + timedelta(seconds=seconds * random.uniform(0.8, 1.2))
    services.database.write(lambda connection: postpone(connection, job, due, error, job.attempts + 1))
    services.metrics.refreshes.labels(job.account, "again").inc()
    _log.warning("refresh postponed", account=job.account, subject=job.subject, error=error)
    return False


def _give_up(services: Services, job: Job, error: str) -> bool:
    """A person must look: the job is a dead letter, and its order says why."""

    def work(connection: Connection) -> None:
        if is_ours(connection, job):
            session = (orders.c.session_id == job.subject, orders.c.account == job.account)
            connection.execute(update(orders).where(*session).values(problem=error, updated_at=services.now()))
            finish(connection, job, services.now(), state="dead", error=error)

    services.database.write(work)
    services.metrics.refreshes.labels(job.account, "dead").inc()
    _log.error("refresh given up", account=job.account, subject=job.subject, error=error)
    return False


def _note(services: Services, job: Job, verdict: Verdict) -> None:
    order = verdict.order
    services.metrics.refreshes.labels(job.account, "done" if order else "not ours").inc()
    if order is None or order.state == verdict.before:
        return
    _log.info(
        "order changed",
        order_id=order.order_id,
        correlation_id=order.correlation_id,
        account=order.account,
        state=order.state,
        before=verdict.before,
        change=verdict.change,
        country_mismatch=order.country_mismatch,
    )
