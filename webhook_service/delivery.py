"""When to call FlockJay: the schedule of one change, and the gate before all of them. Pure; the clock is given.

While the gate is open (FlockJay is down) nothing is tried but a probe now and then, which spends no attempt; when it
closes, everything that waits is due at once. 401 and 403 stop the queue: our key is wrong, not the learner's data.
"""

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

FIRST_WAITS: Final = (5, 30, 120, 600, 1800)
"""Seconds after attempts 1 to 5."""
HOURLY: Final = 72
"""Attempts an hour apart after those. They are made only while the gate is closed, so this is 72 h of closed gate."""
OPENS_AFTER: Final = 5
"""Failures one after the other."""
PROBE_WAITS: Final = (30, 60, 120, 300)
STOPPED_WAIT: Final = 900


class Kind(StrEnum):
    """What an answer of FlockJay means."""

    DONE = "done"
    LISTED = "listed"
    """In the list of people, who say when it is done (`redisu unlocks done`)."""
    BUSY = "busy"
    """409, 429: it lives, but not now."""
    DOWN = "down"
    """5xx, timeouts, no connection."""
    DENIED = "denied"
    """401, 403."""
    FINAL = "final"
    """Any other answer: asking again will not help."""


@dataclass(frozen=True)
class Answer:
    """What came of a call. ``detail`` holds no body and no personal data; ``retry_after`` in seconds."""

    kind: Kind
    status: int | None
    detail: str
    retry_after: float | None = None


class GateState(StrEnum):
    """Whether calls may be made."""

    CLOSED = "closed"
    OPEN = "open"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Gate:
    """The breaker of one destination, shared by all processes through the database."""

    state: GateState
    failures: int
    probes: int
    since: datetime
    not_before: datetime | None
    reason: str | None

    def admits(self, now: datetime) -> str | None:
        """``call`` or ``probe`` when a call may be made now, else None."""
        if self.not_before is not None and now < self.not_before:
            return None
        return "call" if self.state is GateState.CLOSED else "probe"


def closed(now: datetime) -> Gate:
    """A gate as it begins: calls pass."""
    return Gate(GateState.CLOSED, 0, 0, now, None, None)


def after(gate: Gate, answer: Answer, now: datetime) -> Gate:
    """The gate after an answer."""
    match answer.kind:
        case Kind.DENIED:
            since = gate.since if gate.state is GateState.STOPPED else now
            until = now + timedelta(seconds=STOPPED_WAIT)
            return Gate(GateState.STOPPED, gate.failures + 1, gate.probes + 1, since, until, answer.detail)
        case Kind.DOWN:
            return _down(gate, answer, now)
        case Kind.BUSY if answer.status == 429:
            calm = closed(now) if gate.state is not GateState.CLOSED else replace(gate, failures=0)
            return replace(calm, not_before=now + timedelta(seconds=answer.retry_after or 1))
    # Any other answer proves that it is there.
    if gate.state is GateState.CLOSED and not gate.failures and gate.not_before is None:
        return gate
    return closed(now)


def _down(gate: Gate, answer: Answer, now: datetime) -> Gate:
    failures = gate.failures + 1
    if gate.state is GateState.CLOSED and failures < OPENS_AFTER:
        return replace(gate, failures=failures, not_before=None)
    is_open = gate.state is GateState.OPEN
    probes = gate.probes + 1 if is_open else 0
    wait = max(PROBE_WAITS[min(probes, len(PROBE_WAITS) - 1)], answer.retry_after or 0)
    return Gate(
        GateState.OPEN, failures, probes, gate.since if is_open else now, now + timedelta(seconds=wait), answer.detail
    )


def next_due(attempts: int, answer: Answer, now: datetime, chance: random.Random) -> datetime:
    """When a change of ``attempts`` spent attempts (the last one included) is tried again."""
    if answer.retry_after is not None:
        return now + timedelta(seconds=answer.retry_after)
    if attempts <= len(FIRST_WAITS):
        return now + timedelta(seconds=FIRST_WAITS[max(attempts, 1) - 1])
    hours = 1 if attempts <= len(FIRST_WAITS) + HOURLY else 24
    return now + timedelta(hours=hours * chance.uniform(0.9, 1.1))
