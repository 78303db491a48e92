"""Findings of slices of the books made into findings of the whole: the same ones, in the same order, for any slices.

A sync shows a few of them, and where a report is empty there are as many as sales: with ``shown`` only so many are
kept, and the others are counted.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Protocol, TypeAlias

from redisu_pipeline.tax.model import Finding


@dataclass(frozen=True)
class Summary:
    """How many findings a check has, the months they are of, and the first of them."""

    count: int
    months: tuple[str, ...]
    first: Sequence[Finding]

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> "Summary":
        """Return the summary of findings that are all there."""
        return cls(len(findings), tuple(sorted({one.month for one in findings if one.month})), findings)


class Merged(Protocol):
    """What one check has found so far."""

    def add(self, found: Iterable[Finding]) -> None:
        """Take what it found in the next slice."""

    def findings(self) -> list[Finding]:
        """Return its findings in order: all of them, or as many as are shown."""

    def summary(self) -> Summary:
        """Return the summary of all of them."""


Merge: TypeAlias = Callable[[int | None], Merged]
"""Begins to merge; takes ``shown``, None for everything."""


class Together:
    """Puts all findings together, for each is of one sale: by month and ids."""

    def __init__(self, shown: int | None) -> None:
        self._shown, self._count = shown, 0
        self._months: set[str] = set()
        self._found: list[Finding] = []

    def add(self, found: Iterable[Finding]) -> None:
        for one in found:
            self._count += 1
            self._months.add(one.month)
            self._found.append(one)
        self._found = sorted(self._found, key=lambda one: (one.month, one.ids, one.message))[: self._shown]

    def findings(self) -> list[Finding]:
        return self._found

    def summary(self) -> Summary:
        return Summary(self._count, tuple(sorted(filter(None, self._months))), self._found)


class United:
    """Makes one finding of those of a month and message, with the ids of all; an id is in one slice only."""

    def __init__(self, shown: int | None) -> None:
        self._shown = shown
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._ids: dict[tuple[str, str, str], list[str]] = defaultdict(list)

    def add(self, found: Iterable[Finding]) -> None:
        for one in found:
            key = (one.month, one.message, one.check)
            self._counts[key] += len(one.ids)
            ids = (*self._ids[key], *one.ids)
            self._ids[key] = sorted(ids) if self._shown is None else nsmallest(self._shown, ids)

    def findings(self) -> list[Finding]:
        return [
            Finding(check, month, tuple(ids), self.sentence(message, self._counts[month, message, check]))
            for (month, message, check), ids in sorted(self._ids.items())
        ]

    def summary(self) -> Summary:
        return Summary.of(self.findings())

    def sentence(self, message: str, _ids: int) -> str:
        """Return the finding's message: what the slices say, unless it takes the number of ids."""
        return message


class Agreed:
    """Keeps what every slice says: what one of them does not find does not hold of the whole."""

    def __init__(self, _shown: int | None) -> None:
        self._found: list[Finding] | None = None

    def add(self, found: Iterable[Finding]) -> None:
        said = list(found)
        self._found = said if self._found is None else [one for one in self._found if one in said]

    def findings(self) -> list[Finding]:
        return self._found or []

    def summary(self) -> Summary:
        return Summary.of(self.findings())
