"""How fast one account may be asked. Stripe allows 100 requests a second live (sandbox 25) and 25 on an endpoint.

We take four fifths: the checkout page shares the account. Source: https://docs.stripe.com/rate-limits.
"""

import threading
import time
from dataclasses import dataclass, field

BURST = 4.0
"""Tokens that may gather while nobody asks: enough to smooth thread wake-ups, too few to trip Stripe's limiter."""

ABOUT = 0.8
"""What is left to ask for is an estimate: an endpoint that comes this near to being the last is treated as the last."""


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
    """The turns of one account: one bucket for all, one for each endpoint.

    An endpoint that could not end with the others at an equal share goes first: its own limit decides when all is read.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._account = Bucket(limits.account)
        self._endpoints: dict[str, Bucket] = {}
        self._left: dict[str, float] = {}
        self._waiting: list[_Waiting] = []
        self._lock = threading.Lock()

    def wait(self, endpoint: str, stop: threading.Event) -> None:
        """Block until both buckets give a turn; returns early when ``stop`` is set."""
        _sleep(self._bucket(endpoint), stop)
        mine = _Waiting(endpoint)
        with self._lock:
            self._waiting.append(mine)
            if len(self._waiting) == 1:
                mine.woken.set()
        mine.woken.wait()
        while mine in self._waiting:  # first in line: it takes the account's turns and gives them out
            _sleep(self._account, stop)
            with self._lock:
                chosen = max(self._waiting, key=lambda one: self._presses(one.endpoint))  # of equals, who came first
                self._waiting.remove(chosen)
                if chosen is mine and self._waiting:
                    self._waiting[0].woken.set()
            chosen.woken.set()

    def expect(self, endpoint: str, requests: float) -> None:
        """Say how many requests are left for the endpoint, as far as is known."""
        with self._lock:
            self._left[endpoint] = requests

    def back_off(self, endpoint: str, seconds: float) -> None:
        """Slow the endpoint down after a 429."""
        self._bucket(endpoint).pause(time.monotonic() + seconds)

    def _presses(self, endpoint: str) -> bool:
        """Whether the endpoint, asked at its full rate, would end about when all the others could, or later."""
        alone = self._left.get(endpoint, 0.0) / self._limits.endpoint
        return alone >= ABOUT * sum(self._left.values()) / self._limits.account

    def _bucket(self, endpoint: str) -> Bucket:
        with self._lock:
            return self._endpoints.setdefault(endpoint, Bucket(self._limits.endpoint))


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A thread with a turn of its endpoint, waiting for one of the account."""

    endpoint: str
    woken: threading.Event = field(default_factory=threading.Event)


def _sleep(bucket: Bucket, stop: threading.Event) -> None:
    delay = bucket.reserve(time.monotonic()) - time.monotonic()
    if delay > 0:
        stop.wait(delay)
