"""`/healthz`, `/readyz`, `/metrics`: whether it lives, whether it can do its work, and how it has been doing."""

from datetime import datetime
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import Connection, case, func, select, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from redisu_pipeline.common.opsdb.schema import HEAD, jobs
from webhook_service.delivery import Gate, GateState
from webhook_service.services import Services
from webhook_service.unlocking import look_at_gate

LARGEST_SKEW_SECONDS: Final = 150
"""Half of what signatures allow: beyond it, Stripe's stamps will soon be refused."""
_BREAKER: Final = {GateState.CLOSED: 0, GateState.OPEN: 1, GateState.STOPPED: 2}
_KINDS: Final = ("refresh", "unlock")


def routes(services: Services) -> list[Route]:
    """The three routes."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_request: Request) -> Response:
        status, detail = await run_in_threadpool(readiness, services)
        return JSONResponse(detail, status)

    async def metrics(_request: Request) -> Response:
        await run_in_threadpool(measure, services)
        return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


def readiness(services: Services) -> tuple[int, dict[str, Any]]:
    """Status and detail: 503 when buyers' events could not be taken; what waits for FlockJay or people is detail."""
    now = services.now()
    skew = services.skew.seconds
    detail: dict[str, Any] = {"clock_skew_seconds": None if skew is None else round(skew, 1)}
    faults = []
    try:
        with services.database.read() as connection:
            found = _revision(connection)
            detail |= {"revision": found, "database": "ok", **_queue(connection, now)}
        if found != HEAD:
            faults.append(f"the database is at revision {found}, this program at {HEAD}")
    except SQLAlchemyError as error:
        detail["database"] = type(error).__name__
        faults.append("the database does not answer")
    if skew is not None and abs(skew) > LARGEST_SKEW_SECONDS:
        faults.append("the clock is wrong")
    return (503 if faults else 200), {"ready": not faults, "faults": faults, **detail}


def measure(services: Services) -> None:
    """Set the gauges that are read from the database."""
    try:
        with services.database.read() as connection:
            queue = _queue(connection, services.now())
    except SQLAlchemyError:
        return  # the counters are worth showing without them
    for kind in _KINDS:
        services.metrics.due.labels(kind).set(queue["due"][kind])
        services.metrics.oldest.labels(kind).set(queue["oldest_due_seconds"][kind])
        services.metrics.dead.labels(kind).set(queue["dead_letters"][kind])
    services.metrics.breaker.set(_BREAKER[GateState(queue["flockjay"]["state"])])


def _queue(connection: Connection, now: datetime) -> dict[str, Any]:
    waiting = jobs.c.state.in_(("due", "leased"))
    rows = connection.execute(
        select(
            jobs.c.kind,
            func.sum(case((waiting, 1), else_=0)),
            func.sum(case((jobs.c.state == "dead", 1), else_=0)),
            func.min(case((waiting, jobs.c.due_at))),
        )
        .where(jobs.c.kind.in_(_KINDS), jobs.c.state.in_(("due", "leased", "dead")))  # both: an index has both
        .group_by(jobs.c.kind)
    )
    found = {kind: (due, dead, oldest) for kind, due, dead, oldest in rows}
    empty = (0, 0, None)
    gate = look_at_gate(connection, now)
    return {
        "due": {kind: int(found.get(kind, empty)[0]) for kind in _KINDS},
        "dead_letters": {kind: int(found.get(kind, empty)[1]) for kind in _KINDS},
        "oldest_due_seconds": {kind: _age(found.get(kind, empty)[2], now) for kind in _KINDS},
        "flockjay": shown_gate(gate),
    }


def shown_gate(gate: Gate) -> dict[str, Any]:
    """The gate for people and JSON."""
    until = gate.not_before.isoformat().replace("+00:00", "Z") if gate.not_before else None
    return {"state": gate.state.value, "reason": gate.reason, "not_before": until}


def _age(oldest: datetime | None, now: datetime) -> float:
    return round(max((now - oldest).total_seconds(), 0.0), 1) if oldest is not None else 0.0


def _revision(connection: Connection) -> str | None:
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
