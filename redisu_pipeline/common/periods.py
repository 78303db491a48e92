"""Calendar months and where a zone's books cut them. An instant is an aware datetime; windows are half-open UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_FORM = re.compile(r"(?P<year>\d{4})-(?P<month>0[1-9]|1[0-2])")


@dataclass(frozen=True, order=True)
class Month:
    """One calendar month; months order in time, and ``str`` writes ``YYYY-MM``."""

    year: int
    month: int

    def __post_init__(self) -> None:
        """Refuse what is no month (ValueError); year 9999 too, whose end no datetime can hold."""
        if not (1 <= self.year <= 9998 and 1 <= self.month <= 12):
            raise ValueError(f"no such month: {self.year}-{self.month}")

    @classmethod
    def parse(cls, text: str) -> "Month":
        """Return the month written ``YYYY-MM``; ValueError for any other form."""
        found = _FORM.fullmatch(text)
        if not found:
            raise ValueError(f"{text!r} is not a month; write it like 2026-10")
        return cls(int(found["year"]), int(found["month"]))

    @classmethod
    def containing(cls, instant: datetime, tz: str = "UTC") -> "Month":
        """Return the month that ``instant`` (aware) falls in by the wall clock of the IANA zone ``tz``."""
        if instant.tzinfo is None:
            raise ValueError(f"{instant.isoformat()} has no time zone")
        local = instant.astimezone(ZoneInfo(tz))
        return cls(local.year, local.month)

    def __str__(self) -> str:
        """Return ``YYYY-MM``."""
        return f"{self.year:04d}-{self.month:02d}"

    def next(self) -> "Month":
        """Return the month after this one."""
        return self.shift(1)

    def previous(self) -> "Month":
        """Return the month before this one."""
        return self.shift(-1)

    def shift(self, months: int) -> "Month":
        """Return the month ``months`` later, or earlier when negative."""
        year, month = divmod(self.year * 12 + self.month - 1 + months, 12)
        return Month(year, month + 1)

    @property
    def first_day(self) -> date:
        """The month's first day."""
        return date(self.year, self.month, 1)

    @property
    def last_day(self) -> date:
        """The month's last day: the date its journals carry."""
        return self.next().first_day - timedelta(days=1)

    def bounds(self, tz: str = "UTC") -> tuple[datetime, datetime]:
        """Return the month's half-open window [start, end) in UTC, cut at midnight of the IANA zone ``tz``."""
        return _midnight(self, tz), _midnight(self.next(), tz)

    def unix(self, tz: str = "UTC") -> tuple[int, int]:
        """Return :meth:`bounds` as unix seconds, as Stripe's ``created`` filters take them (gte, lt)."""
        start, end = self.bounds(tz)
        return int(start.timestamp()), int(end.timestamp())


def months_between(first: Month, last: Month) -> list[Month]:
    """Return every month from ``first`` to ``last``, both included; none when ``last`` is earlier."""
    months = []
    while first <= last:
        months.append(first)
        first = first.next()
    return months


def _midnight(month: Month, tz: str) -> datetime:
    # A zone may skip the midnight (Lebanon in spring); then fold=0 names the first instant after the gap.
    return datetime(month.year, month.month, 1, tzinfo=ZoneInfo(tz)).astimezone(UTC)
