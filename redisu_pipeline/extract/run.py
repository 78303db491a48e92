"""What the parts of a sync hand to each other: the run, the change feed before and after it, and the outcome."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock

from redisu_pipeline.common.reports import Progress, TableReport
from redisu_pipeline.extract.reader import Reader
from redisu_pipeline.extract.rows import UnknownValue
from redisu_pipeline.lake.manifest import Cursor
from redisu_pipeline.lake.storage import Storage


@dataclass(frozen=True)
class Run:
    """What all resources of one account share during a sync. Times are aware UTC.

    ``landing`` is held while a resource's files are rewritten: one at a time, so that memory does not grow with the
    number of tables.
    """

    account: str
    start: datetime
    storage: Storage
    reader: Reader
    pool: ThreadPoolExecutor
    followers: ThreadPoolExecutor
    progress: Progress
    guard: Callable[[], None]
    landing: Lock
    now: datetime
    run_id: str
    livemode: bool
    full: bool
    since: datetime | None

    @property
    def mode(self) -> str:
        """What the key reads, in Stripe's word: live or test."""
        return "live" if self.livemode else "test"


@dataclass(frozen=True)
class Feed:
    """The change feed after this run read it: its last number, the last gap's, and the latest time Stripe showed."""

    head: int = 0
    gap: int = 0
    stripe_now: datetime = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class FeedStart:
    """The change feed before this run: its last number, and the second of the newest event that Stripe showed first."""

    seq: int = 0
    newest: int = 0


@dataclass
class Outcome:
    """What came of one resource: a report for each of its tables, and values nobody has documented."""

    tables: dict[str, TableReport] = field(default_factory=dict)
    unknown: list[UnknownValue] = field(default_factory=list)
    cursor: Cursor = field(default_factory=Cursor)
