"""Newly read rows into a month's file, without holding the month in memory.

A file is sorted by `created`; so are the zones it is rewritten in. Within a zone all rows of an object that was read
replace all rows it had (lines that vanished go with it), rows that came back equal keep their place and their
`_synced_at`, and every other row is copied.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from redisu_pipeline.lake.erased import NOBODY, Erased
from redisu_pipeline.lake.filling import unfilled
from redisu_pipeline.lake.month_file import MonthFile, created_seconds, within
from redisu_pipeline.lake.pages import PageName, PageStore
from redisu_pipeline.lake.schemas import BEFORE_START, SEQUENCE, money_columns, schema_of
from redisu_pipeline.tables.model import Table

ZONE_ROWS = 5_000
SMALL = pa.int64()
POSITION = "position"


@dataclass
class Tally:
    """What a merge did, and what the file holds afterwards. Sums are minor units by column and currency."""

    new: int = 0
    changed: int = 0
    removed: int = 0
    rows: int = 0
    sums: dict[str, dict[str, int]] = field(default_factory=dict)
    created_min: int | None = None
    created_max: int | None = None

    @property
    def touched(self) -> bool:
        return bool(self.new or self.changed or self.removed)

    def count(self, table: Table, rows: pa.Table) -> None:
        """Add rows that stand in the file to the totals."""
        if not rows.num_rows:
            return
        self.rows += rows.num_rows
        seconds = created_seconds(rows)
        low, high = pc.min(seconds).as_py(), pc.max(seconds).as_py()
        self.created_min = low if self.created_min is None else min(self.created_min, low)
        self.created_max = high if self.created_max is None else max(self.created_max, high)
        names = [column.name for column in money_columns(table)]
        if not names or "currency" not in rows.schema.names:
            return
        grouped = rows.select(["currency", *names]).group_by("currency").aggregate([(name, "sum") for name in names])
        for row in grouped.to_pylist():
            for name in names:
                by_currency = self.sums.setdefault(name, {})
                currency = row["currency"] or ""
                by_currency[currency] = by_currency.get(currency, 0) + (row[f"{name}_sum"] or 0)


class Staged:
    """The rows read from Stripe for one resource, by slice of time, newest reading of each object only.

    What Stripe still holds of people who were ``erased`` here comes without their personal data.
    """

    def __init__(self, store: PageStore, root: Table, erased: Erased = NOBODY) -> None:
        self._store, self._root, self._erased = store, root, erased
        self._pages: Sequence[PageName] = [page for page in store.pages if page.rows]

    def touches(self, lo: int, hi: int) -> bool:
        return any(page.oldest < hi and page.newest >= lo for page in self._pages)

    def cuts(self, lo: int, hi: int) -> Iterator[int]:
        """Yield seconds that divide ``[lo, hi)`` into slices of about ZONE_ROWS objects."""
        rows = 0
        for page in self._pages:
            if page.newest < lo or page.oldest >= hi:
                continue
            rows += page.rows
            if rows >= ZONE_ROWS and lo < page.oldest:
                yield page.oldest
                rows = page.rows
        return

    def between(self, table: Table, lo: int, hi: int) -> tuple[pa.Table, set[str]]:
        """Return the rows of ``table`` whose object was made in ``[lo, hi)``, and the ids of the objects read."""
        loaded = [
            (page.number, self._store.load(page)) for page in self._pages if page.oldest < hi and page.newest >= lo
        ]
        newest: dict[str, int] = {}
        for number, body in loaded:
            roots = _open(body[self._root.name]).select(["id", "created"])
            for object_id in within(roots, lo, hi).column("id").to_pylist():
                newest[object_id] = max(number, newest.get(object_id, 0))
        parts = []
        for number, body in loaded:
            if table.name in body:
                rows = _open(body[table.name])
                keep = [newest.get(object_id) == number for object_id in rows.column(table.root).to_pylist()]
                parts.append(rows.filter(pa.array(keep, pa.bool_())))
        rows = pa.concat_tables(parts) if parts else schema_of(table).empty_table()
        return self._erased.blank(table, _unique(rows)), set(newest)


def _open(stream: bytes) -> pa.Table:
    return pa.ipc.open_stream(stream).read_all()


def _unique(rows: pa.Table) -> pa.Table:
    """Drop a row that one page holds twice (it moved while the page was made)."""
    ids = rows.column("id").to_pylist()
    if len(set(ids)) == len(ids):
        return rows
    last = {object_id: index for index, object_id in enumerate(ids)}
    return rows.take(pa.array(sorted(last.values()), pa.int64()))


@dataclass(frozen=True)
class Inputs:
    """What is merged into one month's file of one table. ``gone`` maps ids to the instant their object was missed.

    All rows made in ``replaced`` ([lo, hi) in unix seconds) were read again: those that did not come back are dropped.
    ``fill`` completes the columns ``filled`` of all rows, old ones too, from another table.
    """

    table: Table
    lo: int
    hi: int
    staged: Staged
    existing: MonthFile
    gone: Mapping[str, Any]
    replaced: tuple[int, int] = (0, 0)
    fill: Callable[[pa.Table], pa.Table] = unfilled
    filled: tuple[str, ...] = ()

    def read_in(self, lo: int, hi: int) -> bool:
        """Tell whether anything of ``[lo, hi)`` was read from Stripe."""
        return self.staged.touches(lo, hi) or (self.replaced[0] < hi and self.replaced[1] > lo)

    def outdated(self) -> int:
        """Count the rows of the file that ``fill`` would change."""
        if not self.filled:
            return 0
        was = self.existing.between(self.lo, self.hi, ["created", *self.filled])
        now = self.fill(was)
        differs = [_differs(was.column(name), now.column(name)) for name in self.filled]
        return sum(map(any, zip(*differs, strict=True)))


def _differs(one: pa.ChunkedArray, other: pa.ChunkedArray) -> list[bool]:
    if one.equals(other):
        return [False] * len(one)
    return [a != b for a, b in zip(one.to_pylist(), other.to_pylist(), strict=True)]


def zones(inputs: Inputs) -> list[tuple[int, int]]:
    """Divide the month so that no zone holds much more than ZONE_ROWS objects."""
    inner = {*inputs.existing.cuts(), *inputs.staged.cuts(inputs.lo, inputs.hi)}
    edges = [inputs.lo, *sorted(cut for cut in inner if inputs.lo < cut < inputs.hi), inputs.hi]
    return list(pairwise(edges))


def survey(inputs: Inputs) -> Tally:
    """Count what would change, reading only the zones that new rows fall in; nothing is written."""
    tally = Tally(changed=inputs.outdated())
    for lo, hi in zones(inputs):
        positions = {POSITION} & set(schema_of(inputs.table).names)
        columns = sorted({"id", "created", "_raw", "_deleted_at", BEFORE_START, inputs.table.root, *positions})
        if inputs.read_in(lo, hi) or inputs.gone:
            _merge_zone(inputs, lo, hi, tally, columns)
    return tally


def rewrite(inputs: Inputs, target: Path, sequence: Iterator[int]) -> Tally:
    """Write the merged month to ``target`` and return what it holds. ``sequence`` numbers new events."""
    tally = Tally()
    schema = schema_of(inputs.table)
    with month_writer(target, schema) as writer:
        for lo, hi in zones(inputs):
            rows = inputs.fill(_merge_zone(inputs, lo, hi, tally, None))
            if SEQUENCE in schema.names:
                rows = _number(rows, sequence)
            tally.count(inputs.table, rows)
            for part in _row_groups(rows):
                writer.write_table(part, row_group_size=max(part.num_rows, 1))
    return tally


def month_writer(target: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a month's file for writing."""
    keep_plain = {"id", "_raw", "description", "created"}
    dictionary = [field.name for field in schema if pa.types.is_string(field.type) and field.name not in keep_plain]
    return pq.ParquetWriter(target, schema, compression="zstd", use_dictionary=dictionary)


def _merge_zone(inputs: Inputs, lo: int, hi: int, tally: Tally, columns: list[str] | None) -> pa.Table:
    old = inputs.existing.between(lo, hi, columns)
    new, read = inputs.staged.between(inputs.table, lo, hi) if inputs.read_in(lo, hi) else (None, set())
    if inputs.gone:
        old = _mark_gone(old, inputs.table, inputs.gone, tally)
    again = within(old, max(lo, inputs.replaced[0]), min(hi, inputs.replaced[1]))
    read = read | set(again.column(inputs.table.root).to_pylist())
    if new is None or not read:
        return old
    if columns is not None:
        new = new.select(columns)
    old_ids, roots = old.column("id").to_pylist(), old.column(inputs.table.root).to_pylist()
    was = {one: state for one, root, state in zip(old_ids, roots, _states(old), strict=True) if root in read}
    new_ids = new.column("id").to_pylist()
    same = set()
    if was:  # else, in a first sync, the JSON of a whole zone would be made into strings for nothing
        same = {one for one, state in zip(new_ids, _states(new), strict=True) if one in was and _equal(was[one], state)}
    known = sum(object_id in was for object_id in new_ids)
    tally.new += len(new_ids) - known
    tally.changed += known - len(same)
    tally.removed += len(was.keys() - set(new_ids))
    stay = [root not in read or object_id in same for object_id, root in zip(old_ids, roots, strict=True)]
    come = [object_id not in same for object_id in new_ids]
    if SEQUENCE in new.schema.names:
        new = _keep_numbers(new, old)
    merged = pa.concat_tables([old.filter(pa.array(stay, pa.bool_())), new.filter(pa.array(come, pa.bool_()))])
    return merged if columns is not None else _sorted(merged, inputs.table)


_State = tuple[int | None, Any, bool, str]
"""All that may change in a row: its place in its parent, whether it was found gone, whether it is older than the
account's start (which may be moved), its JSON."""


def _states(rows: pa.Table) -> Iterator[_State]:
    count = rows.num_rows
    places = rows.column(POSITION).to_pylist() if POSITION in rows.schema.names else [None] * count
    older = map(bool, rows.column(BEFORE_START).to_pylist())  # null, in old files, means false
    return zip(places, rows.column("_deleted_at").to_pylist(), older, rows.column("_raw").to_pylist(), strict=True)


def _equal(before: _State, after: _State) -> bool:
    if before[:3] != after[:3]:
        return False
    # A list and a retrieve call may indent the same object differently: compare the content when the text differs.
    return before[3] == after[3] or msgspec.json.decode(before[3]) == msgspec.json.decode(after[3])


def _mark_gone(old: pa.Table, table: Table, gone: Mapping[str, Any], tally: Tally) -> pa.Table:
    """Mark the rows of objects that are gone, and those nested in them."""
    ids = old.column(table.root).to_pylist()
    before = old.column("_deleted_at").to_pylist()
    after = [mark or gone.get(object_id) for object_id, mark in zip(ids, before, strict=True)]
    tally.changed += sum(a is not None and b is None for a, b in zip(after, before, strict=True))
    index = old.schema.get_field_index("_deleted_at")
    return old.set_column(index, old.schema.field(index), pa.array(after, old.schema.field(index).type))


def _sorted(rows: pa.Table, table: Table) -> pa.Table:
    keys = ["created", table.root, *([POSITION] if POSITION in rows.schema.names else []), "id"]
    order = dict.fromkeys(keys)
    return rows.take(pc.sort_indices(rows, sort_keys=[(key, "ascending") for key in order]))


def _keep_numbers(new: pa.Table, old: pa.Table) -> pa.Table:
    numbers = dict(zip(old.column("id").to_pylist(), old.column(SEQUENCE).to_pylist(), strict=True))
    kept = [numbers.get(object_id) for object_id in new.column("id").to_pylist()]
    return new.set_column(new.schema.get_field_index(SEQUENCE), new.schema.field(SEQUENCE), pa.array(kept, SMALL))


def _number(rows: pa.Table, sequence: Iterator[int]) -> pa.Table:
    numbers = rows.column(SEQUENCE).to_pylist()
    if None not in numbers:
        return rows
    filled = [next(sequence) if number is None else number for number in numbers]
    return rows.set_column(rows.schema.get_field_index(SEQUENCE), rows.schema.field(SEQUENCE), pa.array(filled, SMALL))


def _row_groups(rows: pa.Table) -> Iterator[pa.Table]:
    """Cut only where `created` changes, so that no second stands in two row groups."""
    if rows.num_rows <= ZONE_ROWS * 2:
        if rows.num_rows:
            yield rows
        return
    seconds = created_seconds(rows).to_pylist()
    start = 0
    while start < rows.num_rows:
        end = min(start + ZONE_ROWS, rows.num_rows)
        if end < rows.num_rows:
            end = bisect_left(seconds, seconds[end - 1] + 1, lo=end - 1)
        yield rows.slice(start, end - start)
        start = end
