"""From the bytes of a page to Arrow batches, one for each table of a family.

A page is decoded in two steps, because a nested list may go on beyond its first page: ``open_page`` reads the
objects and names what must be followed, ``Page.add`` takes the followed rows, ``Page.batches`` builds the columns.
Measured by ``make bench``.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa

from redisu_pipeline.common.decoders import decoder_of
from redisu_pipeline.extract.columns import Columns
from redisu_pipeline.extract.rows import IDENTITY, Origins, Rows, UnexpectedShape, UnknownValue
from redisu_pipeline.extract.shape import ListObject
from redisu_pipeline.tables.model import Children, Table

LIST = decoder_of(ListObject)


class Truncated(Exception):
    """The body is not complete JSON: the connection was cut, ask again."""


@dataclass(frozen=True)
class Overflow:
    """A nested list with more rows than the parent's JSON holds: ask ``url`` for those after ``after``."""

    parent: int
    url: str
    after: str


def open_page(table: Table, body: bytes) -> "Page":
    """Decode a list body. Raises Truncated, or UnexpectedShape naming the object and the field."""
    try:
        listed = LIST.decode(body)
    except msgspec.ValidationError as error:
        raise UnexpectedShape(table.name, "(the list itself)", str(error)) from None
    except msgspec.DecodeError:
        raise Truncated(table.name) from None
    page = Page(table, has_more=listed.has_more)
    page.root.append(listed.data, parent=0)
    page.root.decode()
    page.open_children()
    return page


def open_object(table: Table, body: bytes) -> "Page | None":
    """Decode the answer of a retrieve call as a page of one; None when Stripe says the object is deleted."""
    try:
        if IDENTITY.decode(body).deleted:
            return None
    except msgspec.ValidationError as error:
        raise UnexpectedShape(table.name, "(no id)", str(error)) from None
    except msgspec.DecodeError:
        raise Truncated(table.name) from None
    page = Page(table, has_more=False)
    page.root.append([msgspec.Raw(body)], parent=0)
    page.root.decode()
    page.open_children()
    return page


class Page:
    """The objects of one answer and the rows nested in them."""

    def __init__(self, table: Table, *, has_more: bool) -> None:
        self.table = table
        self.has_more = has_more
        self.root = Rows(table)
        self.nested: dict[str, Rows] = {}
        self.overflows: list[Overflow] = []
        self.unknown: list[UnknownValue] = []
        self._adding = threading.Lock()

    @property
    def ids(self) -> list[str]:
        return [row.id for row in self.root.objects]

    @property
    def created(self) -> list[int]:
        """Unix seconds, in the order of the page (newest first)."""
        return [row.created for row in self.root.objects]

    def open_children(self) -> None:
        """Decode the nested rows the page already holds, and note the lists that go on."""
        for children in self.table.children:
            rows = self.nested.setdefault(children.table.name, Rows(children.table))
            found = list(map(attrgetter(children.path), self.root.objects))
            if children.is_list_object:
                self._note_overflows(found)
                found = [value and value.data for value in found]
            rows.append_nested(found)
            rows.decode()

    def _note_overflows(self, lists: Iterable[ListObject | None]) -> None:
        for parent, value in enumerate(lists):
            if value is not None and value.has_more:
                after = IDENTITY.decode(value.data[-1]).id or ""
                self.overflows.append(Overflow(parent, value.url or "", after))

    def add(self, overflow: Overflow, body: bytes) -> Overflow | None:
        """Take one more page of a nested list, from any thread; return what is still missing, if anything."""
        children = next(c for c in self.table.children if c.is_list_object)
        rows = self.nested[children.table.name]
        try:
            listed = LIST.decode(body)
        except msgspec.DecodeError:
            raise Truncated(children.table.name) from None
        with self._adding:
            rows.append(listed.data, overflow.parent, first_position=rows.parents.count(overflow.parent))
            rows.decode()
            if not listed.has_more or not listed.data:
                return None
            return Overflow(overflow.parent, overflow.url, rows.objects[-1].id)

    def batches(self, origins: Origins) -> dict[str, pa.RecordBatch]:
        """Return one batch for each table of the family, children in the order of their parents."""
        built: dict[str, pa.RecordBatch] = {}
        self._build(self.root, None, origins, built)
        return built

    def _build(self, rows: Rows, parent: pa.RecordBatch | None, origins: Origins, built: dict[str, Any]) -> None:
        below = {c.path: self._children_rows(c, rows) for c in rows.table.children}
        builder = Columns(rows, parent, origins, below)
        batch = builder.batch()
        self.unknown.extend(builder.unknown)
        built[rows.table.name] = batch
        for child in below.values():
            self._build(child, batch, origins, built)

    def _children_rows(self, children: Children, rows: Rows) -> Rows:
        if rows is self.root:
            return self.nested[children.table.name]
        nested = Rows(children.table)
        nested.append_nested(map(attrgetter(children.path), rows.objects))
        nested.decode()
        return nested
