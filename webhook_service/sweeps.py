"""Sweeps: what Stripe knows and no webhook has said. Two list calls an account, so that Stripe's reads suffice.

Paid sessions find orders whose event was never made; the event feed finds everything that was made and not delivered.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from redisu_pipeline.common.decoders import decode
from redisu_pipeline.common.opsdb.schema import events, orders, sweeps
from redisu_pipeline.common.stripe_api import NotThere, Refused, StripeApi, Transient
from webhook_service.entitlements import State
from webhook_service.inbox import Asked, Received, ask, keep
from webhook_service.services import Services, logger
from webhook_service.sql import insert_into
from webhook_service.stripe_events import SWEPT_TYPES, NotAnEvent, decode_event, received

SESSION_LIFE: Final = timedelta(hours=25)
"""A session can be paid for 24 h; those of the last 25 h are looked at."""
OVERLAP: Final = timedelta(minutes=10)
FEED_DAYS: Final = timedelta(days=30)
_DELAYED_AGAIN: Final = timedelta(hours=6)
_FRESH: Final = timedelta(minutes=2)  # its webhook may still be on the way: that is no gap
_log = logger(__name__)


@dataclass(frozen=True)
class Swept:
    """What one account's sweep found: events and sessions that no webhook had told of; ``error`` when it failed."""

    account: str
    events: int = 0
    sessions: int = 0
    gap: bool = False
    error: str | None = None


class _Session(msgspec.Struct):
    id: str
    status: str
    payment_status: str
    metadata: dict[str, str] | None = None


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool


class _Id(msgspec.Struct):
    id: str


def sweep(services: Services, account: str, sessions_since: timedelta = SESSION_LIFE) -> Swept:
    """Sweep one account: store unseen events, and ask for every session whose order is not where its money is."""
    api, now = services.stripe[account].api, services.now()
    with services.database.read() as connection:
        before = connection.execute(select(sweeps).where(sweeps.c.account == account)).mappings().first()
    # What was paid while nobody swept counts from the last sweep on, however long ago that was.
    paid_since = (
        now - sessions_since if before is None else min(now - sessions_since, before["swept_at"] - SESSION_LIFE)
    )
    try:
        feed = _events(services, api, account, now, before["events_until"] if before else None)
        found_sessions = _sessions(services, api, account, now, paid_since)
    except (Transient, NotThere, Refused, msgspec.MsgspecError) as error:
        _log.warning("sweep failed", account=account, error=str(error))
        return Swept(account, error=str(error))
    services.metrics.swept.labels(account).inc(feed.late + found_sessions)
    gap = bool(feed.late or found_sessions) or before is None
    services.database.write(lambda connection: _moved(connection, account, feed.until, now))
    services.wake.refresh.ring_all()
    if feed.late or found_sessions:
        _log.warning("sweep found what no webhook had said", account=account, events=feed.late, sessions=found_sessions)
    return Swept(account, feed.new, found_sessions, gap)


@dataclass(frozen=True)
class _Feed:
    """How many events were not here, how many of those were overdue, and up to when the feed was read."""

    new: int
    late: int
    until: datetime


def _events(services: Services, api: StripeApi, account: str, now: datetime, until: datetime | None) -> _Feed:
    """Store the feed's events that are not here."""
    since = max(until - OVERLAP if until else now - SESSION_LIFE, now - FEED_DAYS)
    query = {"types": list(SWEPT_TYPES), "created": {"gte": int(since.timestamp())}, "limit": 100}
    found = [one for page in _pages(api, "/v1/events", query) for one in _received(page, account, now)]
    # By Stripe's clock: ours may be ahead, and then the next sweep would begin after what has happened meanwhile.
    until = max([until or since, *(event.created for event in found)])
    if not found:
        return _Feed(0, 0, until)
    new = services.database.write(lambda connection: keep(connection, found))
    return _Feed(len(new), sum(event.id in new and now - event.created > _FRESH for event in found), until)


def _received(page: Sequence[msgspec.Raw], account: str, now: datetime) -> Iterator[Received]:
    """Yield a page's events as they are kept; one that is none must not keep the others from being stored."""
    for raw in page:
        try:
            yield received(decode_event(bytes(raw)), bytes(raw), account, "sweep", now)
        except NotAnEvent as error:
            _log.error("event passed over", account=account, reason=str(error))


def _sessions(services: Services, api: StripeApi, account: str, now: datetime, since: datetime) -> int:
    """Ask for sessions whose order lags behind; returns how many."""
    query = {"status": "complete", "created": {"gte": int(since.timestamp())}, "limit": 100}
    ids = [
        session.id
        for page in _pages(api, "/v1/checkout/sessions", query)
        for session in (decode(raw, _Session) for raw in page)
        if session.payment_status != "unpaid" and (session.metadata or {}).get("order_id")
    ]
    with services.database.read() as connection:
        lagging = _lagging(connection, ids, account, now)

    def work(connection: Connection) -> None:
        ask(connection, [Asked(account, id, "sweep", services.now()) for id in lagging])

    if lagging:
        services.database.write(work)
    return len(set(ids) & lagging)


def _lagging(connection: Connection, ids: list[str], account: str, now: datetime) -> set[str]:
    waiting = (State.PENDING, State.PROCESSING, State.EXPIRED, State.FAILED)
    settled: set[str] = set()
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        known = select(orders.c.session_id).where(orders.c.session_id.in_(part), orders.c.state.not_in(waiting))
        settled.update(connection.execute(known).scalars())
        # Its webhook has just come: its refresh is under way.
        seen = select(events.c.object_id).where(
            events.c.object_id.in_(part),
            events.c.type == "checkout.session.completed",
            events.c.received_at > now - _FRESH,
        )
        settled.update(connection.execute(seen).scalars())
    delayed = select(orders.c.session_id).where(
        orders.c.account == account, orders.c.state == State.PROCESSING, orders.c.read_at < now - _DELAYED_AGAIN
    )
    return (set(ids) - settled) | set(connection.execute(delayed).scalars())


def _pages(api: StripeApi, path: str, query: dict[str, Any]) -> "list[list[msgspec.Raw]]":
    pages: list[list[msgspec.Raw]] = []
    cursor: dict[str, str] = {}
    while True:
        page = decode(api.get(path, {**query, **cursor}), _Page)
        pages.append(page.data)
        if not page.has_more or not page.data:
            return pages
        cursor = {"starting_after": decode(page.data[-1], _Id).id}


def _moved(connection: Connection, account: str, until: datetime, now: datetime) -> None:
    values = {"events_until": until, "swept_at": now}
    statement = insert_into(connection, sweeps).values(account=account, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[sweeps.c.account], set_=values))
