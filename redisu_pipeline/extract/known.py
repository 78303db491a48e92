"""What the lake already knows about one resource: the questions that decide what is read again."""

import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from redisu_pipeline.extract.changes import EVENT_COLUMNS, Touched, is_due, silent_columns, touched
from redisu_pipeline.lake.manifest import Manifest, read_manifest
from redisu_pipeline.lake.month_file import created_seconds, within
from redisu_pipeline.lake.reading import scan
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tables.catalogue import EVENTS
from redisu_pipeline.tables.model import Resource


class Known:
    """One account's rows of one resource as they stand in the lake; ``manifest`` None means there are none yet."""

    def __init__(self, storage: Storage, account: str, resource: Resource, manifest: Manifest | None) -> None:
        self._storage, self._account, self._resource, self._manifest = storage, account, resource, manifest
        self._created: list[int] | None = None

    def changed(self, after: int, since: int, head: int) -> Iterator[Touched]:
        """Yield the objects named by events numbered in ``(after, head]`` and made at or after ``since`` (unix)."""
        if after >= head:
            return
        events, _ = read_manifest(self._storage, EVENTS.name, self._account)
        for rows in scan(self._storage, events, EVENT_COLUMNS, since=since):
            unread = pc.and_(pc.greater(rows.column("_seq"), after), pc.greater_equal(created_seconds(rows), since))
            yield from touched(self._resource, rows.filter(unread).to_pylist())

    def due(self, now: datetime, checkpoints: Iterable[pa.Table]) -> Iterator[Touched]:
        """Yield the objects that will have changed by ``now`` although no event says so.

        ``checkpoints`` are rows that a cut-off run read, with the columns of ``changes.silent_columns``.
        """
        if self._resource.silent is None:
            return
        landed = scan(self._storage, self._manifest, silent_columns(self._resource), open_only=True)
        for rows in chain(landed, checkpoints):
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

    def older(self, first: int) -> set[str]:
        """Return the ids of objects made before ``first`` (unix): kept because something since then refers to them."""
        if self._manifest is None:
            return set()
        files = [one for one in self._manifest.files if one.created_min is not None and one.created_min < first]
        old = msgspec.structs.replace(self._manifest, files=files)
        parts = scan(self._storage, old, ["id", "created"])
        return {object_id for rows in parts for object_id in within(rows, 0, first).column("id").to_pylist()}

    def rows_between(self, lo: int, hi: int) -> int:
        """Count the objects made in ``[lo, hi)`` (unix); very many where the lake cannot tell yet."""
        if self._manifest is None:
            return sys.maxsize
        if self._created is None:
            columns = [created_seconds(rows) for rows in scan(self._storage, self._manifest, ["created"])]
            self._created = sorted(second for column in columns for second in column.to_pylist())
        return bisect_left(self._created, hi) - bisect_left(self._created, lo)

    def objects(self) -> Iterator[tuple[str, int, datetime | None]]:
        """Yield id, `created` (unix) and `_deleted_at` of every row."""
        for rows in scan(self._storage, self._manifest, ["id", "created", "_deleted_at"]):
            seconds, deleted = created_seconds(rows).to_pylist(), rows.column("_deleted_at").to_pylist()
            yield from zip(rows.column("id").to_pylist(), seconds, deleted, strict=True)

    def newest_id(self) -> str | None:
        """Return the id of the newest object, the last in the alphabet of those made in one second."""
        newest: tuple[int, str] | None = None
        cursor = self._manifest.cursor.newest_created if self._manifest else None
        for rows in scan(self._storage, self._manifest, ["id", "created"], since=cursor or 0):
            for object_id, second in zip(rows.column("id").to_pylist(), created_seconds(rows).to_pylist(), strict=True):
                newest = max(newest or (second, object_id), (second, object_id))
        return newest[1] if newest else None
