"""Bad weather on demand: limits, errors, broken connections, latency; and a record of every request."""

import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field, fields
from typing import Any

from sandbox.stripe.server.errors import ApiError

# What can go wrong with one request, in the order in which chance is tried.
WAYS = ("rate_limit", "lock_timeout", "server_error", "reset", "truncate", "cut")


@dataclass
class Faults:
    """Probabilities per request (0 … 1), all off at first. `script` is used up before chance is asked."""

    rate_limit: float = 0.0  # 429 with Stripe-Rate-Limited-Reason
    lock_timeout: float = 0.0  # 429 without that header
    server_error: float = 0.0  # 500
    reset: float = 0.0  # the work is done, and RST instead of the answer
    truncate: float = 0.0  # Content-Length is larger than what is sent
    cut: float = 0.0  # a whole answer whose JSON stops in the middle
    latency: float = 0.0  # seconds before every answer
    page_cap: int = 0  # pages no longer than this, with has_more
    path: str = ""  # only requests whose path starts so
    seed: int = 0
    script: list[str] = field(default_factory=list)  # ways for the next requests, "ok" among them
    _chance: random.Random = field(default_factory=lambda: random.Random(0), repr=False)

    def set(self, values: dict[str, Any]) -> None:
        """Change settings by name; raises ValueError for an unknown one. A given seed starts chance anew."""
        known = {one.name for one in fields(self) if not one.name.startswith("_")}
        unknown = sorted(values.keys() - known) + sorted(set(values.get("script", ())) - {*WAYS, "ok"})
        if unknown:
            raise ValueError(f"unknown fault: {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        for name, value in values.items():
            setattr(self, name, value)
        if "seed" in values:
            self._chance = random.Random(self.seed)

    def next(self, path: str) -> str:
        """What befalls this request: one of WAYS, or "ok"."""
        if not path.startswith(self.path):
            return "ok"
        if self.script:
            return self.script.pop(0)
        for way in WAYS:
            probability = getattr(self, way)
            if probability and self._chance.random() < probability:
                return way
        return "ok"

    def shown(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self) if not one.name.startswith("_")}


def too_many(reason: str | None) -> ApiError:
    """429; without a reason it is Stripe's lock_timeout."""
    if reason is None:
        message = (
            "This object cannot be accessed right now because another API request or Stripe process is currently "
            "accessing it. If you see this error intermittently, retry the request."
        )
        return ApiError(429, message, code="lock_timeout")
    message = (
        "Request rate limit exceeded. You can learn more about rate limits here https://stripe.com/docs/rate-limits."
    )
    return ApiError(429, message, code="rate_limit", headers={"Stripe-Rate-Limited-Reason": reason})


def broken() -> ApiError:
    message = "An unknown error occurred. Please try again or contact support if the problem persists."
    return ApiError(500, message, type="api_error")


@dataclass
class Limiter:
    """Token buckets of one second per account and per endpoint; 0 is no limit (the default)."""

    account: float = 0.0  # requests per second: 100 live, 25 in a sandbox
    endpoint: float = 0.0  # 25
    _buckets: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict, repr=False)

    def take(self, account: str, endpoint: str) -> str | None:
        """None, or why the request is one too many (the value of Stripe-Rate-Limited-Reason)."""
        now = time.monotonic()
        if self.account and not self._take((account, ""), self.account, now):
            return "global-rate"
        if self.endpoint and not self._take((account, endpoint), self.endpoint, now):
            return "endpoint-rate"
        return None

    def _take(self, bucket: tuple[str, str], rate: float, now: float) -> bool:
        tokens, then = self._buckets.get(bucket, (rate, now))
        tokens = min(rate, tokens + (now - then) * rate)
        self._buckets[bucket] = (tokens - 1 if tokens >= 1 else tokens, now)
        return tokens >= 1


@dataclass
class RequestLog:
    """Counts by account, method and address template; how many ran at once; the last ones word for word."""

    counts: Counter[tuple[str, str, int]] = field(default_factory=Counter)  # (account, "GET /v1/…", status)
    running: Counter[str] = field(default_factory=Counter)
    most_at_once: Counter[str] = field(default_factory=Counter)
    last: deque[str] = field(default_factory=lambda: deque(maxlen=20_000))

    def begin(self, account: str) -> None:
        self.running[account] += 1
        self.most_at_once[account] = max(self.most_at_once[account], self.running[account])

    def end(self, account: str, endpoint: str, status: int, line: str) -> None:
        """`status` 0 is a connection that we broke."""
        self.running[account] -= 1
        self.counts[account, endpoint, status] += 1
        self.last.append(f"{account} {line} {status}")

    def reset(self) -> None:
        self.counts.clear()
        self.most_at_once.clear()
        self.last.clear()

    def shown(self, account: str | None = None) -> dict[str, Any]:
        """By endpoint: how many, and how many of each status."""
        endpoints: dict[str, dict[str, Any]] = {}
        for (name, endpoint, status), count in sorted(self.counts.items()):
            if account in (None, name):
                one = endpoints.setdefault(endpoint, {"count": 0, "statuses": {}})
                one["count"] += count
                one["statuses"][str(status)] = one["statuses"].get(str(status), 0) + count
        lines = [line for line in self.last if account is None or line.startswith(account + " ")]
        total = sum(one["count"] for one in endpoints.values())
        return {"total": total, "endpoints": endpoints, "most_at_once": dict(self.most_at_once), "last": lines}
