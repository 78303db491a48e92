"""Landing what was read: build the new files, then replace them, then say so in the manifests.

The order is what makes a crash harmless. Files are built outside the tables; an intent with their hashes is written;
each file is replaced in one step; the manifests follow, the parent table's last, and only then are the page
checkpoints dropped. A run cut off in between is simply done again: the intent tells its files from hand-edited ones.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from redisu_pipeline.common.decoders import decode
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.lake import foreign, history
from redisu_pipeline.lake.erased import read_erased
from redisu_pipeline.lake.filling import NO_FILLING, Filling
from redisu_pipeline.lake.foreign import sha256_of
from redisu_pipeline.lake.manifest import Cursor, FileEntry, Manifest, RunProof, read_manifest, write_manifest
from redisu_pipeline.lake.merge import Inputs, Staged, Tally, rewrite, survey
from redisu_pipeline.lake.month_file import MonthFile
from redisu_pipeline.lake.pages import PageStore
from redisu_pipeline.lake.schemas import SEQUENCE, schema_of
from redisu_pipeline.lake.storage import ABSENT, ANY, Conflict, Storage
from redisu_pipeline.tables.model import Resource, Table


@dataclass(frozen=True)
class Landing:
    """What one table looks like after a commit: what this run did to it, and all rows it holds."""

    new: int
    changed: int
    removed: int
    rows: int
    sums: dict[str, dict[str, int]]


@dataclass
class _Built:
    """A file ready to be published, and what to expect in its place."""

    path: str
    month: Month
    file: Path
    sha256: str
    tally: Tally
    open_rows: int
    bytes: int
    was: FileEntry | None
    tag: str | None


@dataclass
class Commit:
    """One resource of one account, about to land. ``gone`` maps ids of objects missing at Stripe to when that was seen.

    ``guard`` raises when the right to write was lost; it is asked just before anything is replaced.
    The pages hold all that Stripe has of ``replaced`` ([lo, hi), unix seconds): other rows made then are dropped.
    """

    storage: Storage
    account: str
    resource: Resource
    pages: PageStore
    first_month: Month
    now: datetime
    guard: Callable[[], None]
    rebuild: bool = False
    gone: Mapping[str, datetime] = field(default_factory=dict)
    gone_created: Mapping[str, int] = field(default_factory=dict)
    replaced: tuple[int, int] = (0, 0)
    filling: Filling = NO_FILLING

    def land(self, cursor: Callable[[int], Cursor], proof: Callable[[int, int], RunProof]) -> dict[str, Landing]:
        """Merge, publish and record everything; return each table's Landing.

        ``cursor`` and ``proof`` are asked for once the outcome is known: with the last event number (0 for other
        tables), and with the rows new and changed. Raises Failed for a file edited by hand and for a lost race.
        """
        intent_path = intent_of(self.account, self.resource)
        ours = read_intent(self.storage, intent_path)
        staged = Staged(self.pages, self.resource.table, read_erased(self.storage, self.account)[0])
        built: dict[str, list[_Built]] = {}
        manifests = {}
        sequence = _Sequence(0)
        for table in self.resource.table.family():
            manifest, tag = read_manifest(self.storage, table.name, self.account)
            manifests[table.name] = (table, manifest, tag)
            if SEQUENCE in schema_of(table).names:
                sequence = _Sequence(self._last_number(manifest, ours))
            if manifest is not None and not self.rebuild:
                foreign.refuse_missing(self.storage, manifest, ours)
            built[table.name] = list(self._build(table, manifest, staged, ours, sequence))
        self.guard()
        files = [one for many in built.values() for one in many]
        if files:
            # An earlier cut-off run's hash stays: until the file is replaced, that run's file may still be there.
            intent = {**ours, **{one.path: [*ours.get(one.path, ()), one.sha256] for one in files}}
            self.storage.write(intent_path, msgspec.json.encode(intent), expect=ANY)
        for one in files:
            self._publish(one)
        landings = {}
        for name in reversed(list(manifests)):  # the parent's manifest moves the cursor: it comes last
            table, manifest, tag = manifests[name]
            landings[name] = self._record(table, manifest, tag, built[name], cursor(sequence.last), proof)
        self.storage.delete(intent_path)
        self.pages.clear()
        return landings

    def _build(
        self,
        table: Table,
        manifest: Manifest | None,
        staged: Staged,
        ours: Mapping[str, list[str]],
        sequence: "_Sequence",
    ) -> Iterator[_Built]:
        entries = {entry.month: entry for entry in manifest.files} if manifest else {}
        evolved = manifest is not None and manifest.columns != columns_of(table)
        # A table without rows gets an empty file, so that every reader finds its columns.
        folder = f"stripe/{table.name}/account={self.account}/month="
        cut_off = [path.removeprefix(folder).partition("/")[0] for path in ours if path.startswith(folder)]
        filling = self.filling if self.filling.concerns(table) else NO_FILLING
        stale = manifest is not None and manifest.cursor.extra.get("filling", "") != filling.version
        everywhere = entries if evolved or (filling.columns and stale) else ()
        for month in self._months([*cut_off, *everywhere]) or ([] if entries else [self.first_month]):
            path = f"{folder}{month}/data.parquet"
            fetched = self.storage.fetch(path, self.storage.scratch())
            file, found = fetched or (None, None)
            entry = entries.get(str(month))
            lo, hi = month.unix("UTC")
            existing = MonthFile(table, file)
            inputs = Inputs(table, lo, hi, staged, existing, self.gone, self.replaced, filling.fill, filling.columns)
            try:
                if entry and fetched and not evolved and path not in ours and not survey(inputs).touched:
                    continue
                if file is not None or not self.rebuild:
                    foreign.refuse_edited(self.storage.uri(path), file, entry, ours.get(path, ()))
                target = self.storage.scratch() / f"{self.account}-{table.name}-{month}.building"
                tally = rewrite(inputs, target, sequence)
            finally:
                inputs.existing.close()
            if tally.rows or fetched or month == self.first_month:
                sha256 = sha256_of(target)
                open_rows = _open_rows(self.resource, table, target)
                size = target.stat().st_size
                yield _Built(path, month, target, sha256, tally, open_rows, size, entry, found)

    def _months(self, also: Iterable[str]) -> list[Month]:
        months = {Month.parse(name) for name in also}
        for page in self.pages.pages:
            if page.rows:
                month, last = _month_of(page.oldest), _month_of(page.newest)
                while month <= last:
                    months.add(month)
                    month = month.next()
        months.update(_month_of(created) for created in self.gone_created.values())
        if self.replaced[0] < self.replaced[1]:
            months.add(self.first_month)  # the stretch may be empty, and a table without a file has no columns
            month, last = _month_of(self.replaced[0]), _month_of(self.replaced[1] - 1)
            while month <= last:
                months.add(month)
                month = month.next()
        return sorted(months)

    def _publish(self, one: _Built) -> None:
        try:
            if one.tag is not None and one.was is not None:
                history.keep(self.storage, one.path, one.was.sha256, self.now)
            self.storage.publish(one.path, one.file, expect=one.tag or ABSENT)
        except Conflict as conflict:
            raise Failed([_lost_race(conflict.uri)]) from None

    def _record(
        self,
        table: Table,
        manifest: Manifest | None,
        tag: str | None,
        built: list[_Built],
        cursor: Cursor,
        proof: Callable[[int, int], RunProof],
    ) -> Landing:
        entries = {entry.month: entry for entry in manifest.files} if manifest else {}
        entries.update({str(one.month): _entry(one) for one in built})
        files = [entries[month] for month in sorted(entries)]
        new, changed = sum(b.tally.new for b in built), sum(b.tally.changed for b in built)
        removed = sum(b.tally.removed for b in built)
        sums: dict[str, dict[str, int]] = {}
        for entry in files:
            for column, by_currency in entry.sums.items():
                for currency, amount in by_currency.items():
                    total = sums.setdefault(column, {})
                    total[currency] = total.get(currency, 0) + amount
        after = Manifest(
            table=table.name,
            account=self.account,
            columns=columns_of(table),
            files=files,
            rows=sum(entry.rows for entry in files),
            sums=sums,
            cursor=cursor,
            run=proof(new, changed + removed),
        )
        try:
            write_manifest(self.storage, after, tag or ABSENT)
        except Conflict as conflict:
            raise Failed([_lost_race(conflict.uri)]) from None
        return Landing(new, changed, removed, after.rows, sums)

    def _last_number(self, manifest: Manifest | None, ours: Iterable[str]) -> int:
        """The highest event number in use, also in a file that a cut-off run published before its manifest."""
        last = manifest.cursor.events_seq if manifest else 0
        for path in ours:
            if fetched := self.storage.fetch(path, self.storage.scratch()):
                file = MonthFile(self.resource.table, fetched[0])
                top = pc.max(file.between(0, 1 << 40, [SEQUENCE, "created"]).column(SEQUENCE)).as_py()
                file.close()
                last = max(last, top or 0)
        return last


class _Sequence:
    """Counts up from the last event number in use."""

    def __init__(self, last: int) -> None:
        self.last = last
        self._next = count(last + 1)

    def __iter__(self) -> "_Sequence":
        return self

    def __next__(self) -> int:
        self.last = next(self._next)
        return self.last


def intent_of(account: str, resource: Resource) -> str:
    """Where a writer notes the hashes of the files it is about to publish for ``resource``."""
    return f".staging/intents/{account}/{resource.name}.json"


def read_intent(storage: Storage, path: str) -> dict[str, list[str]]:
    """Return what a cut-off writer meant to publish: the hashes by path; empty when none was cut off."""
    blob = storage.read(path)
    return decode(blob.data, dict[str, list[str]]) if blob else {}


def columns_of(table: Table) -> dict[str, str]:
    """Return the declared columns as a manifest records them."""
    return {name: str(schema_of(table).field(name).type) for name in schema_of(table).names}


def _month_of(seconds: int) -> Month:
    return Month.containing(datetime.fromtimestamp(seconds, UTC), "UTC")


def _entry(one: _Built) -> FileEntry:
    return FileEntry(
        path=one.path,
        month=str(one.month),
        rows=one.tally.rows,
        sha256=one.sha256,
        bytes=one.bytes,
        sums=one.tally.sums,
        created_min=one.tally.created_min,
        created_max=one.tally.created_max,
        open_rows=one.open_rows,
    )


def _open_rows(resource: Resource, table: Table, file: Path) -> int:
    """Count the rows that will change without an event, so that the next run knows which files to look into."""
    silent = resource.silent
    if silent is None or table is not resource.table:
        return 0
    rows = pq.read_table(file, columns=[silent.column], partitioning=None).column(silent.column)
    if None in silent.values:
        return int(rows.null_count)
    return int(pc.sum(pc.is_in(rows, pa.array(sorted(value for value in silent.values if value)))).as_py() or 0)


def _lost_race(uri: str) -> Problem:
    return Problem("lost_race", uri, "was replaced by another writer meanwhile", "let one writer finish and sync again")
