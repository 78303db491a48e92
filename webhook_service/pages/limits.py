"""How often one network address may do something, and how often Stripe is asked about one session: per process."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

MOST_REMEMBERED = 20_000  # addresses; the oldest is forgotten first, so that a flood of them costs no memory


class Limiter:
    """Token buckets by name: ``per_minute`` on average, as many at once."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._per_second, self._clock = float(per_minute), per_minute / 60, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name -> (tokens, when)
        self._lock = threading.Lock()

    def wait(self, name: str) -> int:
        """Take one token and return 0, or take none and return the whole seconds until there is one."""
        now = self._clock()
        with self._lock:
            tokens, at = self._buckets.pop(name, (self._burst, now))
            tokens = min(self._burst, tokens + (now - at) * self._per_second)
            allowed = tokens >= 1
            self._buckets[name] = (tokens - 1 if allowed else tokens, now)
            if len(self._buckets) > MOST_REMEMBERED:
                self._buckets.popitem(last=False)
        return 0 if allowed else int((1 - tokens) / self._per_second) + 1


class Throttle:
    """Lets the same thing happen only every so many seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def allows(self, name: str, seconds: float) -> bool:
        """Whether ``name`` was not allowed within the last ``seconds``; then it is now."""
        now = self._clock()
        with self._lock:
            last = self._last.get(name)
            if last is not None and now - last < seconds:
                return False
            self._last[name] = now
            self._last.move_to_end(name)
            if len(self._last) > MOST_REMEMBERED:
                self._last.popitem(last=False)
        return True
