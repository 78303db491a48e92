"""How far back a listing of one resource reaches, and whether one that was cut off can be gone on with.

Seconds are unix seconds UTC.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from redisu_pipeline.extract.run import FeedStart
from redisu_pipeline.lake.commit import columns_of
from redisu_pipeline.lake.pages import ListingHeader
from redisu_pipeline.tables.model import Resource, Scope

LATE = timedelta(hours=1)
"""How far back every listing looks again: rows of the same second, clock skew, rows that showed up late."""

LATE_FOR_FREE = timedelta(days=3)
"""… and how far where it costs no request more, as Stripe's own guide for incremental loads proposes."""

SECONDS_LATE = int(LATE.total_seconds())

STALE_CHECKPOINTS = timedelta(days=1)


@dataclass(frozen=True)
class Window:
    """What bounds a listing: the account's first month, ``--since``, now, and the newest object in the lake, if any."""

    resource: Resource
    start: datetime
    since: datetime | None
    now: datetime
    newest: int | None

    @property
    def first(self) -> int:
        """The second from which the lake keeps objects of this resource."""
        return int(self.start.timestamp()) if self.resource.scope is Scope.SINCE_START else 0

    def of_new(self) -> tuple[int, int]:
        """Return the second a listing of what is new must reach down to, and the one it may reach for free."""
        if self.newest is None:
            return self.first, self.first
        floor = max(self.first, self.newest - SECONDS_LATE)
        if self.since is not None:
            floor = min(floor, max(self.first, int(self.since.timestamp())))
        return floor, min(floor, max(self.first, self.newest - int(LATE_FOR_FREE.total_seconds())))

    def header(self, floor: int, position: int | None, before: FeedStart) -> ListingHeader:
        """Return what to note before the first page; ``position`` is this resource's place in the change feed."""
        seq = position if position is not None else before.seq
        since = 0 if position is not None else max(0, before.newest - SECONDS_LATE)
        return ListingHeader(floor, seq, since, self.now.isoformat(), self.fingerprint())

    def usable(self, header: ListingHeader) -> bool:
        """Whether a cut-off listing's pages still tell enough; what has no order in time is listed anew."""
        fresh = self.now - datetime.fromisoformat(header.started) < STALE_CHECKPOINTS
        return fresh and self.resource.scope is not Scope.WHOLE_EACH_TIME

    def fingerprint(self) -> str:
        """Return a hash of the declared columns: pages read for other columns are of no use."""
        columns = [columns_of(table) for table in self.resource.table.family()]
        return hashlib.sha256(repr(columns).encode()).hexdigest()
