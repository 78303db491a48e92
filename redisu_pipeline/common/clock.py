"""The one place that reads a clock: the system's, or ``REDISU_NOW`` from which it ticks.

``time.monotonic`` for pacing and timeouts is not a clock in this sense and may be read anywhere.
"""

import os
import time
from datetime import UTC, datetime, timedelta

from redisu_pipeline.common.problems import ConfigurationError, Problem

VARIABLE = "REDISU_NOW"

# (value of the variable, instant it names, monotonic seconds when it was first seen): time ticks on from there.
_anchor: tuple[str, datetime, float] | None = None


def now() -> datetime:
    """Return the present as an aware UTC datetime.

    With ``REDISU_NOW`` set, time starts at that instant when the process first asks and ticks from there; a new
    value starts anew. Raises ConfigurationError when the variable is not an ISO-8601 UTC instant.
    """
    global _anchor  # noqa: PLW0603  (a clock is one per process by nature)
    text = os.environ.get(VARIABLE)
    if not text:
        return datetime.now(UTC)
    anchor = _anchor
    if anchor is None or anchor[0] != text:
        anchor = (text, parse_instant(text), time.monotonic())
        _anchor = anchor
    return anchor[1] + timedelta(seconds=time.monotonic() - anchor[2])


def parse_instant(text: str) -> datetime:
    """Return ``text``, an ISO-8601 instant in UTC (``2026-11-03T06:00:00Z``), or raise ConfigurationError."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise _refusal(text, "is not an ISO-8601 instant") from None
    if instant.utcoffset() is None:
        raise _refusal(text, "has no time zone")
    if instant.utcoffset():
        raise _refusal(text, "is not in UTC")
    return instant.astimezone(UTC)


def _refusal(text: str, fault: str) -> ConfigurationError:
    return ConfigurationError(
        Problem("clock", VARIABLE, f"{text!r} {fault}", "write it like 2026-11-03T06:00:00Z, or unset it")
    )
