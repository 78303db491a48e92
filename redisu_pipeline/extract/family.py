"""One resource of one account, brought up to date: list what is new, read again what changed, land it.

The order matters. The change feed's position was taken before the first page, so whatever changes while we read is
named by a later event. The position moves only with the data (see lake.commit).
"""

import hashlib
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from redisu_pipeline.common import clock
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import Problem
from redisu_pipeline.common.reports import Progress, TableReport
from redisu_pipeline.extract.changes import EVENT_COLUMNS, Touched, is_due, plan, silent_columns, touched
from redisu_pipeline.extract.decode import Origins, Page, UnexpectedShape, UnknownValue
from redisu_pipeline.extract.listing import Listing
from redisu_pipeline.extract.ranges import Span, gaps
from redisu_pipeline.extract.reader import Reader
from redisu_pipeline.extract.snapshot import open_balance
from redisu_pipeline.lake.commit import Commit, columns_of
from redisu_pipeline.lake.manifest import Cursor, RunProof, read_manifest
from redisu_pipeline.lake.merge import created_seconds
from redisu_pipeline.lake.pages import ListingHeader, PageStore
from redisu_pipeline.lake.reading import scan
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tables.catalogue import EVENTS
from redisu_pipeline.tables.model import Resource, Scope

LATE = timedelta(hours=1)
"""How far back every listing looks again: rows of the same second, clock skew, rows that showed up late."""

LATE_FOR_FREE = timedelta(days=3)
"""… and how far where it costs no request more, as Stripe's own guide for incremental loads proposes."""

STALE_CHECKPOINTS = timedelta(days=1)


@dataclass(frozen=True)
class Run:
    """What all resources of one account share during a sync. Times are aware UTC."""

    account: str
    start: datetime
    storage: Storage
    reader: Reader
    pool: ThreadPoolExecutor
    progress: Progress
    guard: Callable[[], None]
    now: datetime
    run_id: str
    livemode: bool
    full: bool
    since: datetime | None


@dataclass(frozen=True)
class Feed:
    """The change feed after this run read it: its last number, the last gap's, and the latest time Stripe showed."""

    head: int = 0
    gap: int = 0
    stripe_now: datetime = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Outcome:
    """What came of one resource: a report for each of its tables, and values nobody has documented."""

    tables: dict[str, TableReport] = field(default_factory=dict)
    unknown: list[UnknownValue] = field(default_factory=list)
    cursor: Cursor = field(default_factory=Cursor)


class Family:
    """Brings one resource up to date. ``feed`` is what the events' own Family found, and is ignored for them."""

    def __init__(self, run: Run, resource: Resource, feed: Feed) -> None:
        self._run, self._resource, self._feed = run, resource, feed
        self._manifest, _ = read_manifest(run.storage, resource.name, run.account)
        self._store = PageStore(run.storage, run.account, resource.name)
        self._listing = Listing(resource, run.reader, run.pool, self._store, self._origins, self._advanced)
        self._gone: dict[str, datetime] = {}
        self._gone_created: dict[str, int] = {}
        self._position = self._manifest.cursor.events_seq if self._manifest else feed.head
        self._gap = 0
        self._created: list[int] | None = None

    def sync(self) -> Outcome:
        """Read and land everything; returns what was done. Raises Failed, Interrupted or UnexpectedShape."""
        started = time.monotonic()
        run, resource = self._run, self._resource
        for table in resource.table.family():
            run.progress.table_started(run.account, table.name, self._estimate(table.name))
        if resource.scope is Scope.SNAPSHOT:
            self._snapshot()
        else:
            self._list()
            if resource is EVENTS:
                self._look_for_gap()
            elif self._manifest is not None:
                self._reread()
        outcome = self._land(started)
        for table in resource.table.family():
            run.progress.table_finished(run.account, table.name)
        return outcome

    # -- what is new ------------------------------------------------------------------------------------------------

    def _list(self) -> None:
        """List what is new (or everything), going on where a cut-off run stopped."""
        floor, lowest = self._listed_from()
        covered: list[Span] = []
        header = self._store.resume(self._fingerprint())
        if header is not None and self._usable(header):
            floor = min(floor, header.listed_from)
            lowest = min(lowest, floor)
            self._position = min(self._position, header.events_seq)
            late = int(LATE.total_seconds())
            # The top of an open page was the present of that run, not of this one.
            covered = [Span(p.lo, p.hi if p.hi is not None else p.newest - late) for p in self._store.pages]
        elif header is not None:
            self._store.clear()
        self._listing.remember = self._manifest is not None or bool(covered)
        started = self._run.now.isoformat()
        self._store.begin(ListingHeader(floor, self._position, started, self._fingerprint()))
        self._listing.list(gaps(floor, covered), lowest=lowest)
        if self._manifest is not None and (self._relisted or self._resource.scope is Scope.WHOLE_EACH_TIME):
            self._verify_vanished(floor)

    def _listed_from(self) -> tuple[int, int]:
        """Return the second the listing must reach down to, and the one it may reach down to for free."""
        scoped = self._resource.scope is Scope.SINCE_START
        first = int(self._run.start.timestamp()) if scoped else 0
        newest = self._manifest.cursor.newest_created if self._manifest else None
        if newest is None or self._relisted or self._resource.scope is Scope.WHOLE_EACH_TIME:
            return first, first
        floor = max(first, newest - int(LATE.total_seconds()))
        if self._run.since is not None:
            floor = min(floor, max(first, int(self._run.since.timestamp())))
        return floor, min(floor, max(first, newest - int(LATE_FOR_FREE.total_seconds())))

    @property
    def _relisted(self) -> bool:
        """Whether everything is listed again: asked for, or events were lost that could have named changes."""
        lost = not self._resource.immutable and self._position < self._feed.gap
        return self._manifest is not None and (self._run.full or lost)

    def _usable(self, header: ListingHeader) -> bool:
        fresh = self._run.now - datetime.fromisoformat(header.started) < STALE_CHECKPOINTS
        return fresh and self._resource.scope is not Scope.WHOLE_EACH_TIME

    def _fingerprint(self) -> str:
        columns = [columns_of(table) for table in self._resource.table.family()]
        return hashlib.sha256(repr(columns).encode()).hexdigest()

    # -- what changed -----------------------------------------------------------------------------------------------

    def _reread(self) -> None:
        """Read again what events name and what changes without one, unless this run has just read it."""
        objects = {one.id: one for one in self._changed() if one.id not in self._listing.ids}
        objects.update({one.id: one for one in self._due() if one.id not in self._listing.ids})
        if not objects:
            return
        first = self._run.start.timestamp() if self._resource.scope is Scope.SINCE_START else 0
        wanted = [one for one in objects.values() if one.created is None or one.created >= first]
        reading = plan(wanted, self._rows_between)
        if reading.spans:
            self._listing.list(reading.spans)
        self._listing.retrieve(reading.ids, keep=lambda page: page.created[0] >= first)
        left = [one.id for one in wanted if one.id not in self._listing.ids | self._listing.missing]
        self._listing.retrieve(left, keep=lambda page: page.created[0] >= first)
        self._note_missing(objects)

    def _changed(self) -> Iterator[Touched]:
        if self._position >= self._feed.head:
            return
        events, _ = read_manifest(self._run.storage, EVENTS.name, self._run.account)
        for rows in scan(self._run.storage, events, EVENT_COLUMNS):
            unread = rows.filter(pc.greater(rows.column("_seq"), self._position))
            yield from touched(self._resource, unread.to_pylist())

    def _due(self) -> Iterator[Touched]:
        if self._resource.silent is None:
            return
        now = max(self._run.now, self._feed.stripe_now)
        for rows in scan(self._run.storage, self._manifest, silent_columns(self._resource), open_only=True):
            for row in rows.filter(self._may_be_due(rows)).to_pylist():
                if is_due(self._resource, row, now):
                    yield Touched(row["id"], int(row["created"].timestamp()))

    def _may_be_due(self, rows: pa.Table) -> Any:
        silent = self._resource.silent
        assert silent is not None
        column = rows.column(silent.column)
        if None in silent.values:
            return pc.is_null(column)
        return pc.is_in(column, pa.array(sorted(value for value in silent.values if value)))

    def _rows_between(self, lo: int, hi: int) -> int:
        if self._created is None:
            columns = [created_seconds(rows) for rows in scan(self._run.storage, self._manifest, ["created"])]
            self._created = sorted(second for column in columns for second in column.to_pylist())
        return bisect_left(self._created, hi) - bisect_left(self._created, lo)

    def _verify_vanished(self, floor: int) -> None:
        """After listing everything, ask for each object of the lake that the list did not show."""
        vanished = {
            object_id: Touched(object_id, created)
            for object_id, created, deleted in self._known_objects()
            if created >= floor and deleted is None and object_id not in self._listing.ids
        }
        if vanished:
            self._listing.retrieve(vanished, keep=lambda page: True)
            self._note_missing(vanished)

    def _known_objects(self) -> Iterator[tuple[str, int, datetime | None]]:
        for rows in scan(self._run.storage, self._manifest, ["id", "created", "_deleted_at"]):
            seconds = created_seconds(rows).to_pylist()
            yield from zip(
                rows.column("id").to_pylist(), seconds, rows.column("_deleted_at").to_pylist(), strict=True
            )

    def _note_missing(self, objects: dict[str, Touched]) -> None:
        missing = self._listing.missing & objects.keys()
        unknown = {object_id for object_id in missing if objects[object_id].created is None}
        created = {object_id: objects[object_id].created for object_id in missing - unknown}
        if unknown:
            created.update({i: second for i, second, _ in self._known_objects() if i in unknown})
        for object_id, second in created.items():
            self._gone[object_id] = self._run.now
            self._gone_created[object_id] = second or 0

    def _look_for_gap(self) -> None:
        """Notice that Stripe has already forgotten events which we never read."""
        if self._manifest is None or not self._manifest.cursor.complete_until:
            return
        silence = self._run.now - datetime.fromisoformat(self._manifest.cursor.complete_until)
        known = self._newest_event()
        lost = known is not None and self._listing.remember and known not in self._listing.ids
        # A day of margin: Stripe forgets by the event's age, not by our calendar.
        if lost or silence > timedelta(days=29):
            self._gap = 1

    def _newest_event(self) -> str | None:
        newest: tuple[int, str] | None = None
        cursor = self._manifest.cursor.newest_created if self._manifest else None
        for rows in scan(self._run.storage, self._manifest, ["id", "created"], since=cursor or 0):
            for object_id, second in zip(rows.column("id").to_pylist(), created_seconds(rows).to_pylist(), strict=True):
                newest = max(newest or (second, object_id), (second, object_id))
        return newest[1] if newest else None

    # -- landing ----------------------------------------------------------------------------------------------------

    def _land(self, started: float) -> Outcome:
        run, resource = self._run, self._resource
        outcome = Outcome(unknown=self._listing.unknown)
        names = [table.name for table in resource.table.family()]
        requests = sum(run.reader.requests[name] for name in names)

        def cursor(last_event: int) -> Cursor:
            outcome.cursor = self._cursor_after(last_event)
            return outcome.cursor

        def proof(new: int, changed: int) -> RunProof:
            finished = clock.now().isoformat()
            return RunProof(
                id=run.run_id,
                started=run.now.isoformat(),
                finished=finished,
                requests=requests,
                minimum=self._listing.minimum,
                new=new,
                changed=changed,
                deleted=len(self._gone),
            )

        commit = Commit(
            storage=run.storage,
            account=run.account,
            resource=resource,
            pages=self._store,
            first_month=Month.containing(run.start),
            now=run.now,
            guard=run.guard,
            rebuild=run.full,
            gone=self._gone,
            gone_created=self._gone_created,
        )
        landed = commit.land(cursor, proof)
        follow_ups = sum(run.reader.requests[name] for name in names[1:])
        for name in names:
            landing = landed[name]
            is_root = name == resource.name
            own = run.reader.requests[name]
            outcome.tables[name] = TableReport(
                new=landing.new,
                changed=landing.changed,
                unchanged=landing.rows - landing.new - landing.changed,
                rows=landing.rows,
                requests=own,
                minimum=max(0, self._listing.minimum - follow_ups) if is_root else own,
                seconds=time.monotonic() - started,
                complete_until=run.now,
            )
        return outcome

    def _cursor_after(self, last_event: int) -> Cursor:
        before = self._manifest.cursor if self._manifest else Cursor()
        pages = [page.newest for page in self._store.pages]
        newest = max([*pages, *([before.newest_created] if before.newest_created is not None else [])], default=None)
        extra = dict(before.extra)
        if self._resource is EVENTS:
            position = last_event + self._gap
            if self._gap:
                extra["gap_seq"] = str(position)
        else:
            position = max(self._feed.head, self._position)
        return Cursor(
            events_seq=position,
            newest_created=newest,
            complete_until=self._run.now.isoformat(),
            listed_from=int(self._run.start.timestamp()) if self._resource.scope is Scope.SINCE_START else 0,
            extra=extra,
        )

    def _snapshot(self) -> None:
        resource, run = self._resource, self._run
        self._store.clear()
        page: Page = run.reader.get(
            resource.name, resource.path, {}, lambda body: open_balance(resource.table, body, run.now)
        )
        self._listing.minimum = 1
        self._listing.keep(page, 0, 0)
        self._advanced(resource.name, len(page.ids), 1)

    def _origins(self) -> Origins:
        return Origins(self._run.account, self._run.livemode, clock.now())

    def _advanced(self, table: str, rows: int, requests: int) -> None:
        self._run.progress.advanced(self._run.account, table, rows, requests)

    def _estimate(self, table: str) -> int | None:
        if self._manifest is None or self._relisted:
            return self._manifest.rows if self._manifest and table == self._resource.name else None
        return None


def shape_problem(account: str, fault: UnexpectedShape) -> Problem:
    """Return the one line for a value of another type than Stripe documents."""
    where = f"{account}/{fault.table} {fault.object_id}"
    mend = "the table is as it was; compare with Stripe's changelog and correct the column in redisu_pipeline/tables"
    return Problem("stripe_shape", where, fault.detail, mend)

