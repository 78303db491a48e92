"""One resource of one account, brought up to date: list what is new, read again what changed, land it.

The order matters. The newest page of the change feed is read before anything else, and the rest of the feed is older;
so whatever changes while we read is named by an event of the next run. The position moves only with the data (see
lake.commit).
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from redisu_pipeline.common import clock
from redisu_pipeline.common.decoders import decode
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import Problem
from redisu_pipeline.extract.changes import Touched, plan, silent_columns
from redisu_pipeline.extract.decode import Page
from redisu_pipeline.extract.known import Known
from redisu_pipeline.extract.landing import land
from redisu_pipeline.extract.listing import Listing
from redisu_pipeline.extract.ranges import Span, covered, gaps
from redisu_pipeline.extract.rows import Origins, UnexpectedShape, UnknownValue
from redisu_pipeline.extract.run import Feed, FeedStart, Outcome, Run
from redisu_pipeline.extract.snapshot import open_balance
from redisu_pipeline.extract.window import SECONDS_LATE, Window
from redisu_pipeline.lake.commit import Commit
from redisu_pipeline.lake.filling import Filling, no_filling
from redisu_pipeline.lake.manifest import Cursor, read_manifest
from redisu_pipeline.lake.pages import PageName, PageStore
from redisu_pipeline.tables.catalogue import EVENTS
from redisu_pipeline.tables.model import Resource, Scope

SKEW = timedelta(minutes=15)
"""How far our clock may be behind Stripe's without missing what changes at a stated time."""


class Family:
    """Brings one resource up to date. ``feed`` waits for what the events' own Family finds; they do without.

    ``filling`` waits for the tables that decide columns of this one, and says how.
    """

    def __init__(
        self,
        run: Run,
        resource: Resource,
        before: FeedStart,
        feed: Callable[[], Feed],
        filling: Callable[[], Filling] = no_filling,
    ) -> None:
        self._run, self._resource, self._before, self._feed, self._filling = run, resource, before, feed, filling
        self._manifest, _ = read_manifest(run.storage, resource.name, run.account)
        newest = self._manifest.cursor.newest_created if self._manifest else None
        self._window = Window(resource, run.start, run.since, run.now, newest)
        self._known = Known(run.storage, run.account, resource, self._manifest)
        self._store = PageStore(run.storage, run.account, resource.name)
        self._listing = Listing(
            resource, run.reader, run.pool, run.followers, self._store, self._origins, self._advanced
        )
        self._gone: dict[str, datetime] = {}
        self._gone_created: dict[str, int] = {}
        self._position = self._manifest.cursor.events_seq if self._manifest else None
        self._changes_from = 0
        self._gap = 0
        self._taken_over: list[PageName] = []
        self._read_earlier: set[str] = set()

    @property
    def begun(self) -> threading.Event:
        """Set once the first page has been read."""
        return self._listing.begun

    @property
    def newest(self) -> int:
        """Unix second of the newest object seen in this run or in the lake; 0 when there is none."""
        return max(self._listing.newest or 0, self._window.newest or 0)

    @property
    def position(self) -> int:
        """The last event number before this run (of the events' own Family)."""
        return self._position or 0

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
            else:
                self._heal(self._feed())
                self._reread(self._feed())
        outcome = self._land(started)
        for table in resource.table.family():
            run.progress.table_finished(run.account, table.name)
        return outcome

    # -- what is new ------------------------------------------------------------------------------------------------

    def _list(self) -> None:
        """List what is new (or everything), going on where a cut-off run stopped."""
        whole = self._run.full or self._resource.scope is Scope.WHOLE_EACH_TIME
        floor, lowest = (self._window.first, self._window.first) if whole else self._window.of_new()
        read: list[Span] = []
        header = self._store.resume(self._window.fingerprint())
        if header is not None and self._window.usable(header):
            floor, lowest = min(floor, header.listed_from), min(lowest, header.listed_from)
            self._position, self._changes_from = header.events_seq, header.events_from
            read = self._take_over()
        else:
            if header is not None:
                self._store.clear()
            header = self._window.header(floor, self._position, self._before)
        self._listing.remember = self._manifest is not None or bool(read)
        self._store.begin(msgspec.structs.replace(header, listed_from=floor))
        self._listing.list(gaps(floor, read), lowest=lowest)
        # Stripe forgets events after 30 days; that is no change to them.
        if whole and self._manifest is not None and self._resource is not EVENTS:
            self._verify_vanished(floor)

    def _take_over(self) -> list[Span]:
        """Return what a cut-off run has covered, but for its last hour: rows may have shown up late there since."""
        self._taken_over = self._store.pages
        for note in self._store.notes(self._taken_over):
            self._listing.unknown.extend(decode(note, list[UnknownValue]))
        if self._manifest is not None:
            for rows in self._store.rows(self._taken_over, self._resource.name, ["id"]):
                self._read_earlier.update(rows.column("id").to_pylist())
        top = max((page.newest for page in self._taken_over), default=0) - SECONDS_LATE
        return [Span(span.lo, top if span.hi is None else min(span.hi, top)) for span in covered(self._taken_over)]

    def _heal(self, feed: Feed) -> None:
        """List everything again when events were lost that could have told of changes; nothing hides immutable rows."""
        position = self._position if self._position is not None else feed.head
        if self._manifest is None or self._run.full or self._resource.immutable or position >= feed.gap:
            return
        floor = self._window.first
        self._listing.list(gaps(floor, covered(self._store.pages)))
        self._verify_vanished(floor)

    # -- what changed -----------------------------------------------------------------------------------------------

    def _reread(self, feed: Feed) -> None:
        """Read again what events name and what changes without one, unless this run has just read it."""
        after = self._position if self._position is not None else feed.head
        changed = self._known.changed(after, self._changes_from, feed.head)
        silent = silent_columns(self._resource)
        earlier = self._store.rows(self._taken_over, self._resource.name, silent)
        due = self._known.due(max(self._run.now, feed.stripe_now) + SKEW, earlier)
        objects = {one.id: one for one in [*changed, *due] if one.id not in self._listing.ids}
        if not objects:
            return
        first = self._window.first
        older = self._known.older(first)  # one by one: a listing would show objects that nothing refers to
        objects.update({i: Touched(i, None) for i in objects.keys() & older})
        wanted = [one for one in objects.values() if one.created is None or one.created >= first]
        reading = plan(wanted, self._known.rows_between)
        if reading.spans:
            self._listing.list(reading.spans)
        # What a listing of its second did not show is asked for by id: only that answer says that it is gone.
        left = [one.id for one in wanted if one.id not in self._listing.ids]
        self._listing.retrieve(left, keep=lambda page: page.created[0] >= first or page.ids[0] in older)
        self._note_missing(objects)

    def _verify_vanished(self, floor: int) -> None:
        """After listing everything, ask for each object of the lake that the list did not show, older ones too."""
        seen = self._listing.ids | self._read_earlier
        vanished = {
            object_id: Touched(object_id, created)
            for object_id, created, deleted in self._known.objects()
            if (created >= floor or created < self._window.first) and deleted is None and object_id not in seen
        }
        if vanished:
            self._listing.retrieve(vanished, keep=_any)
            self._note_missing(vanished)

    def _note_missing(self, objects: dict[str, Touched]) -> None:
        missing = self._listing.missing & objects.keys()
        unknown = {object_id for object_id in missing if objects[object_id].created is None}
        created = {object_id: objects[object_id].created for object_id in missing - unknown}
        if unknown:
            created.update({i: second for i, second, _ in self._known.objects() if i in unknown})
        for object_id, second in created.items():
            self._gone[object_id] = self._run.now
            self._gone_created[object_id] = second or 0

    def _look_for_gap(self) -> None:
        """Notice that Stripe has already forgotten events which we never read."""
        if self._manifest is None or not self._manifest.cursor.complete_until:
            # Tables that were read before the feed could be have missed what it told until now.
            self._gap = 1
            return
        silence = self._run.now - datetime.fromisoformat(self._manifest.cursor.complete_until)
        known = self._known.newest_id()
        lost = known is not None and known not in self._listing.ids | self._read_earlier
        # A day of margin: Stripe forgets by the event's age, not by our calendar.
        if lost or silence > timedelta(days=29):
            self._gap = 1

    # -- landing ----------------------------------------------------------------------------------------------------

    def _land(self, started: float) -> Outcome:
        run, resource = self._run, self._resource
        outcome = Outcome(unknown=self._listing.unknown)
        filling = self._filling()

        def cursor(last_event: int) -> Cursor:
            outcome.cursor = self._cursor_after(last_event, filling)
            return outcome.cursor

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
            filling=filling,
        )
        if resource is not EVENTS:
            self._feed()  # wait for the events before the landing: they have to land first
        minimum = self._listing.minimum
        outcome.tables = land(run, commit, cursor, minimum=minimum, started=started, complete_until=run.now)
        return outcome

    def _cursor_after(self, last_event: int, filling: Filling) -> Cursor:
        before = self._manifest.cursor if self._manifest else Cursor()
        pages = [page.newest for page in self._store.pages]
        newest = max([*pages, *([before.newest_created] if before.newest_created is not None else [])], default=None)
        extra = dict(before.extra)
        if filling.columns:
            extra["filling"] = filling.version
        if self._resource is EVENTS:
            position = last_event + self._gap
            extra["mode"] = self._run.mode
            if self._gap:
                extra["gap_seq"] = str(position)
        else:
            position = max(self._feed().head, self._position or 0)
        return Cursor(
            events_seq=position,
            newest_created=newest,
            complete_until=self._run.now.isoformat(),
            listed_from=self._window.first,
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
        for object_id, created, _ in self._known.objects():
            if created in page.created and object_id not in page.ids:  # today's earlier snapshot had more rows
                self._gone[object_id], self._gone_created[object_id] = run.now, created
        self._advanced(resource.name, len(page.ids), 1)

    def _origins(self) -> Origins:
        return Origins(self._run.account, self._run.livemode, clock.now(), self._window.first)

    def _advanced(self, table: str, rows: int, requests: int) -> None:
        self._run.progress.advanced(self._run.account, table, rows, requests)

    def _estimate(self, table: str) -> int | None:
        return self._manifest.rows if self._manifest and self._run.full and table == self._resource.name else None


def _any(_page: Page) -> bool:
    return True


def shape_problem(account: str, fault: UnexpectedShape) -> Problem:
    """Return the one line for a value of another type than Stripe documents."""
    where = f"{account}/{fault.table} {fault.object_id}"
    mend = "the table is as it was; compare with Stripe's changelog and correct the column in redisu_pipeline/tables"
    return Problem("stripe_shape", where, fault.detail, mend)
