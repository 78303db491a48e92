"""How fast one account may be asked. Stripe allows 100 requests a second live (sandbox 25) and 25 on an endpoint.

We take four fifths: the checkout page shares the account. Source: https://docs.stripe.com/rate-limits.
"""

import threading
import time
from dataclasses import dataclass

BURST = 4.0
"""Tokens that may gather while nobody asks: enough to smooth thread wake-ups, too few to trip Stripe's limiter."""


@dataclass(frozen=True)
class Limits:
    """Requests a second."""

    account: float
    endpoint: float


LIVE = Limits(account=80, endpoint=20)
SANDBOX = Limits(account=20, endpoint=20)


class Bucket:
    """Hands out turns at ``rate`` a second; whoever asks is told how long to wait for its turn."""

    def __init__(self, rate: float) -> None:
        self._step = 1 / rate
        self._lock = threading.Lock()
        self._next = time.monotonic()

    def reserve(self, now: float) -> float:
        """Take the next turn and return when it comes (monotonic seconds)."""
        with self._lock:
            self._next = max(self._next, now - BURST * self._step)
            turn = self._next
            self._next += self._step
            return turn

    def pause(self, until: float) -> None:
        """Give out no turn before ``until``: the other side said it has had enough."""
        with self._lock:
            self._next = max(self._next, until)


class Budget:
    """The turns of one account: one bucket for all, one for each endpoint."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._account = Bucket(limits.account)
        self._endpoints: dict[str, Bucket] = {}
        self._lock = threading.Lock()

    def wait(self, endpoint: str, stop: threading.Event) -> None:
        """Block until both buckets give a turn; returns early when ``stop`` is set."""
        for bucket in (self._bucket(endpoint), self._account):
            delay = bucket.reserve(time.monotonic()) - time.monotonic()
            if delay > 0:
                stop.wait(delay)

    def back_off(self, endpoint: str, seconds: float) -> None:
        """Slow the endpoint down after a 429."""
        self._bucket(endpoint).pause(time.monotonic() + seconds)

    def _bucket(self, endpoint: str) -> Bucket:
        with self._lock:
            return self._endpoints.setdefault(endpoint, Bucket(self._limits.endpoint))
