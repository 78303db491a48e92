"""The threads behind the routes: refreshes, deliveries, sweeps and the purge of old payloads."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import update

from redisu_pipeline.common.decoders import decode
from redisu_pipeline.common.opsdb.schema import events
from redisu_pipeline.common.stripe_api import NotThere, Refused, Transient
from webhook_service.jobs import claim_refresh, release_all
from webhook_service.refresh import run_refresh
from webhook_service.services import Services, logger
from webhook_service.sweep_clock import Hurry
from webhook_service.sweeps import sweep
from webhook_service.unlocking import deliver_next, open_gate_for_probe
from webhook_service.wake import Bell

REFRESHERS: Final = 4
DELIVERERS: Final = 4
REFRESHES_A_SECOND: Final = 50.0
"""Of an account's 100 a second at Stripe: the rest is for extraction and checkouts."""
_IDLE_SECONDS: Final = 1.0  # work of other processes, and waits that run out, are found by looking
_LOOK_SECONDS: Final = 0.01
_BURST: Final = 3  # events in that time: 300 a second
_BETWEEN_SECONDS: Final = 0.04  # then: 20 refreshes a second
_PURGE_EVERY: Final = timedelta(hours=1)
_log = logger(__name__)


@dataclass
class Pace:
    """At most so many starts a second, in bursts of one second's worth."""

    rate: float
    _tokens: float = 0.0
    _at: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def wait_seconds(self) -> float:
        """Take a start; returns how long to wait for it."""
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self.rate, self._tokens + (now - self._at) * self.rate)
            self._at = now
            self._tokens -= 1
            return max(-self._tokens / self.rate, 0.0)

    def give_back(self) -> None:
        """The start was not needed."""
        with self._lock:
            self._tokens += 1


class Worker:
    """Started and stopped with the service; `stop` lets running jobs end."""

    def __init__(self, services: Services, hurry: Hurry) -> None:
        self._services = services
        self._hurry = hurry
        self._stopping = threading.Event()
        self._pace = Pace(REFRESHES_A_SECOND)
        self._turn = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Free what dead processes held, then work."""
        services = self._services
        now = services.now()
        if not services.database.is_shared:
            services.database.write(lambda connection: release_all(connection, now))
        services.database.write(lambda connection: open_gate_for_probe(connection, now))
        self._hurry.missed_something(now)
        wake = services.wake
        loops = [
            *((f"refresh-{n}", self._refresh_next, wake.refresh) for n in range(REFRESHERS)),
            *((f"deliver-{n}", self._deliver_next, wake.unlock) for n in range(DELIVERERS)),
        ]
        self._threads = [
            threading.Thread(target=self._repeat, args=(step, bell), name=name, daemon=True)
            for name, step, bell in loops
        ]
        self._threads.append(threading.Thread(target=self._sweep_for_ever, name="sweeps", daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 20.0) -> None:
        """Take no more work and wait for what runs; what does not end in time is taken over by its lease."""
        self._stopping.set()
        self._services.wake.refresh.ring_all()
        self._services.wake.unlock.ring_all()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0.1))

    def _repeat(self, step: Callable[[], bool], bell: Bell) -> None:
        while not self._stopping.is_set():
            seen = bell.count()
            try:
                worked = step()
            except Exception:  # noqa: BLE001
                # The job's lease runs out and it is tried again; the thread must live.
                _log.exception("job failed")
                worked = False
                self._stopping.wait(1)
            if not worked:
                bell.wait(seen, _IDLE_SECONDS)

    def _refresh_next(self) -> bool:
        services = self._services
        self._give_way()
        self._stopping.wait(self._pace.wait_seconds())
        job = services.database.write(lambda connection: claim_refresh(connection, services.now()))
        if job is None:
            self._pace.give_back()
            return False
        run_refresh(services, job)
        return True

    def _deliver_next(self) -> bool:
        return deliver_next(self._services)

    def _give_way(self) -> None:
        """Let a burst of webhooks be answered first: they wait for the same processor, and Stripe waits for them.

        Refreshes go on all the while, one at a time: nothing may wait for a burst's end.
        """
        with self._turn:
            before = self._services.database.arrived()
            self._stopping.wait(_LOOK_SECONDS)
            if self._services.database.arrived() - before >= _BURST:
                self._stopping.wait(_BETWEEN_SECONDS)

    def _sweep_for_ever(self) -> None:
        usual = timedelta(minutes=self._services.settings.service.sweep_minutes)
        swept_at: datetime | None = None
        purged_at: datetime | None = None
        while not self._stopping.is_set():
            now = self._services.now()
            try:
                if swept_at is None or now - swept_at >= self._hurry.interval(now, usual):
                    swept_at = now
                    sweep_all(self._services, self._hurry)
                if purged_at is None or now - purged_at >= _PURGE_EVERY:
                    purged_at = now
                    purge(self._services)
            except Exception:  # noqa: BLE001  (the thread must live)
                _log.exception("sweep failed")
            self._stopping.wait(1)


class _Account(msgspec.Struct):
    id: str


def sweep_all(services: Services, hurry: Hurry) -> None:
    """Sweep every account; a gap makes the next ones come sooner."""
    for account in services.stripe:
        _learn_id(services, account)
        if sweep(services, account).gap:
            hurry.missed_something(services.now())


def _learn_id(services: Services, account: str) -> None:
    if account in services.account_ids:
        return
    # A restricted key may not read it. Then events that name an account are refused, as they should not come.
    try:
        body = services.stripe[account].api.get("/v1/account", {})
        services.account_ids[account] = decode(body, _Account).id
    except Refused as refused:
        services.account_ids[account] = None  # asked again at every sweep it would be a third of all reads
        _log.info("account id not told", account=account, error=str(refused))
    except (Transient, NotThere, msgspec.MsgspecError) as error:
        _log.info("account id not learnt", account=account, error=str(error))


def purge(services: Services) -> int:
    """Drop the bodies of events older than `service.payload_days`; returns how many had one."""
    before = services.now() - timedelta(days=services.settings.service.payload_days)
    old = update(events).where(events.c.received_at < before, events.c.payload.is_not(None)).values(payload=None)
    return services.database.write(lambda connection: connection.execute(old).rowcount)
