"""When to sweep: on the timer of the settings, and every 2 minutes for an hour after something was missed."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

HURRIED: Final = timedelta(minutes=2)
HURRY_FOR: Final = timedelta(hours=1)


@dataclass
class Hurry:
    """Remembers until when sweeps come quickly; at the start of the service they do: it was down until now."""

    until: datetime | None = field(default=None)

    def missed_something(self, now: datetime) -> None:
        """A gap was found, or an event could not be stored."""
        self.until = now + HURRY_FOR

    def interval(self, now: datetime, usual: timedelta) -> timedelta:
        """The time between two sweeps now."""
        return min(HURRIED, usual) if self.until is not None and now < self.until else usual
