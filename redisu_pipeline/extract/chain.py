"""A chain of pages: a range of `created` that is read from its newest row down, each page where the last one ended."""

from dataclasses import dataclass
from typing import Any

from redisu_pipeline.extract.ranges import PAGE
from redisu_pipeline.tables.model import Resource


@dataclass(frozen=True)
class Reach:
    """The seconds a page covers, and its place in its chain; objects read one by one cover nothing."""

    lo: int
    hi: int | None
    place: tuple[int, int] = (0, 0)


@dataclass(eq=False)
class Chain:
    """A range being drained: ``lo`` may rise when it is cut; ``floor`` is where it may stop although more is listed."""

    number: int
    lo: int
    hi: int | None
    floor: int
    cursor: str | None = None
    covered_to: int | None = None  # everything from here up to `hi` has been read
    newest: int | None = None
    pages: int = 0
    left: float = 0  # pages still to come, by the density seen

    def parameters(self, resource: Resource) -> dict[str, Any]:
        """Return what to ask the list of ``resource`` for the next page."""
        parameters: dict[str, Any] = {**dict(resource.parameters), "limit": PAGE}
        window = {"gte": self.lo} if self.lo > 0 else {}
        if self.hi is not None:
            window["lt"] = self.hi
        if window:
            parameters["created"] = window
        if self.cursor is not None:
            parameters["starting_after"] = self.cursor
        return parameters

    def begin_anew(self, number: int) -> None:
        """Go on without the cursor, whose object was deleted: as chain ``number``, below what has been read.

        The second in which the last page ended is read again, whole.
        """
        self.number, self.hi = number, self.covered_to
        self.cursor = self.covered_to = self.newest = None
        self.pages = 0
