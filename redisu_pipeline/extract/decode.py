"""From the bytes of a page to Arrow batches, one for each table of a family.

A page is decoded in two steps, because a nested list may go on beyond its first page: ``open_page`` reads the
objects and names what must be followed, ``Page.add`` takes the followed rows, ``Page.batches`` builds the columns.
Measured by ``make bench``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa

from redisu_pipeline.common.money import KNOWN_CURRENCIES
from redisu_pipeline.extract.shape import JSON_TYPE, Identity, ListObject, struct_of
from redisu_pipeline.lake.schemas import ACCOUNT, ARROW_TYPE, schema_of
from redisu_pipeline.tables.model import Children, Column, Kind, Origin, Table

CURRENCIES = frozenset(code.lower() for code in KNOWN_CURRENCIES)
EIGHT_PLACES = Decimal("0.00000001")
LIST = msgspec.json.Decoder(ListObject)
IDENTITY = msgspec.json.Decoder(Identity)


class Truncated(Exception):
    """The body is not complete JSON: the connection was cut, ask again."""


class UnexpectedShape(Exception):
    """Stripe sent a value of another type than documented, or left out a field that money depends on."""

    def __init__(self, table: str, object_id: str, detail: str) -> None:
        super().__init__(f"{table} {object_id}: {detail}")
        self.table, self.object_id, self.detail = table, object_id, detail


@dataclass(frozen=True)
class UnknownValue:
    """A value that the pinned API version does not document; the row is kept as it came."""

    table: str
    column: str
    value: str
    object_id: str


@dataclass(frozen=True)
class Origins:
    """What a row cannot know from its own JSON."""

    account: str
    livemode: bool
    synced_at: datetime


@dataclass(frozen=True)
class Overflow:
    """A nested list with more rows than the parent's JSON holds: ask ``url`` for those after ``after``."""

    parent: int
    url: str
    after: str


@dataclass
class Rows:
    """Decoded objects of one table, with the index of each one's parent row."""

    table: Table
    raws: list[Any] = field(default_factory=list)
    objects: list[Any] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)

    def append(self, raws: Sequence[Any], parent: int, first_position: int = 0) -> None:
        self.raws.extend(raws)
        self.parents.extend([parent] * len(raws))
        self.positions.extend(range(first_position, first_position + len(raws)))

    def decode(self) -> None:
        """Decode what was appended since the last call, in one go: a call for each object costs twice the time."""
        fresh = self.raws[len(self.objects) :]
        try:
            self.objects.extend(decoder_of(self.table).decode(b"[" + b",".join(fresh) + b"]"))
        except msgspec.DecodeError as error:
            raise self._first_fault(fresh, error) from None

    def _first_fault(self, raws: Sequence[Any], error: Exception) -> UnexpectedShape:
        one = msgspec.json.Decoder(struct_of(self.table))
        for raw in raws:
            try:
                one.decode(raw)
            except msgspec.DecodeError as fault:
                return UnexpectedShape(self.table.name, _id_of(raw), str(fault))
        return UnexpectedShape(self.table.name, "(no id)", str(error))


def _id_of(raw: Any) -> str:
    try:
        return IDENTITY.decode(raw).id or "(no id)"
    except msgspec.DecodeError:
        return "(no id)"


@cache
def decoder_of(table: Table) -> msgspec.json.Decoder[Any]:
    """Return the strict decoder of many objects of ``table``."""
    return msgspec.json.Decoder(list[struct_of(table)])  # type: ignore[misc]  # a type made at run time


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
            for parent, row in enumerate(self.root.objects):
                value = getattr(row, children.path)
                if value is None:
                    continue
                raws = value.data if children.is_list_object else value
                rows.append(raws, parent)
                if children.is_list_object and value.has_more:
                    after = IDENTITY.decode(raws[-1]).id or ""
                    self.overflows.append(Overflow(parent, value.url or "", after))
            rows.decode()

    def add(self, overflow: Overflow, body: bytes) -> Overflow | None:
        """Take one more page of a nested list; return what is still missing, if anything."""
        children = next(c for c in self.table.children if c.is_list_object)
        rows = self.nested[children.table.name]
        try:
            listed = LIST.decode(body)
        except msgspec.DecodeError:
            raise Truncated(children.table.name) from None
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
        builder = _Columns(rows, parent, origins, below)
        batch = builder.batch()
        self.unknown.extend(builder.unknown)
        built[rows.table.name] = batch
        for child in below.values():
            self._build(child, batch, origins, built)

    def _children_rows(self, children: Children, rows: Rows) -> Rows:
        if rows is self.root:
            return self.nested[children.table.name]
        nested = Rows(children.table)
        for parent, row in enumerate(rows.objects):
            nested.append(getattr(row, children.path) or (), parent)
        nested.decode()
        return nested


class _Columns:
    """Builds the columns of one batch, walking each JSON branch once."""

    def __init__(self, rows: Rows, parent: pa.RecordBatch | None, origins: Origins, below: dict[str, Rows]) -> None:
        self.rows, self.parent, self.origins, self.below = rows, parent, origins, below
        self.unknown: list[UnknownValue] = []
        self._branches: dict[tuple[str, ...], list[Any]] = {(): rows.objects}

    def batch(self) -> pa.RecordBatch:
        table, count = self.rows.table, len(self.rows.objects)
        arrays: dict[str, pa.Array] = {}
        for column in table.columns:
            if column.origin is not Origin.TAX_RATE:  # null until the row lands beside its rate
                try:
                    arrays[column.name] = self._array(column)
                except (pa.ArrowInvalid, OverflowError, InvalidOperation) as error:
                    detail = f"{column.name} does not fit {ARROW_TYPE[column.kind]} ({error})"
                    raise UnexpectedShape(table.name, "(a page of it)", detail) from None
        if not table.own_id and "id" not in arrays:
            arrays["id"] = self._derived_ids()
        for name in ("created", "livemode"):
            if name not in arrays:
                arrays[name] = self._inherited(name, count)
        arrays["account"] = pa.array([self.origins.account] * count, ACCOUNT)
        arrays["_synced_at"] = pa.array([self.origins.synced_at] * count, schema_of(table).field("_synced_at").type)
        arrays["_raw"] = pa.array([bytes(raw) for raw in self.rows.raws], pa.string())
        schema = schema_of(table)
        for name in set(schema.names) - arrays.keys():
            arrays[name] = pa.nulls(count, schema.field(name).type)
        return pa.RecordBatch.from_arrays([arrays[name] for name in schema.names], schema=schema)

    def _array(self, column: Column) -> pa.Array:
        if column.origin is Origin.POSITION:
            return pa.array(self.rows.positions, pa.int64())
        if column.origin is Origin.PARENT:
            assert self.parent is not None
            return self.parent.column(column.path[0]).take(pa.array(self.rows.parents, pa.int64()))
        head = column.path[0].removesuffix("[]")
        if head in self.below:
            return self._total_of_children(column, self.below[head])
        values = self._values(column)
        if column.values is not None or column.name == "currency":
            self._note_unknown(column, values)
        return to_arrow(column.kind, values)

    def _values(self, column: Column) -> list[Any]:
        *branches, leaf = column.path
        objects = self._branch(tuple(branches))
        if branches and branches[-1].endswith("[]"):
            lists = [[getattr(one, leaf) for one in many] if many is not None else [] for many in objects]
            if column.kind is Kind.TOTAL:
                return [sum(amount or 0 for amount in amounts) for amounts in lists]
            return lists
        if column.foreign:
            wanted = JSON_TYPE[column.kind]
            return [value if type(value) is wanted else None for value in _attributes(_structs(objects), leaf)]
        return _attributes(objects, leaf)

    def _branch(self, path: tuple[str, ...]) -> list[Any]:
        if path not in self._branches:
            above = self._branch(path[:-1])
            self._branches[path] = _attributes(_structs(above), path[-1].removesuffix("[]"))
        return self._branches[path]

    def _total_of_children(self, column: Column, children: Rows) -> pa.Array:
        sums = [0] * len(self.rows.objects)
        for parent, child in zip(children.parents, children.objects, strict=True):
            sums[parent] += getattr(child, column.path[-1]) or 0
        return pa.array(sums, pa.int64())

    def _derived_ids(self) -> pa.Array:
        assert self.parent is not None
        ids = self.parent.column("id").to_pylist()
        pairs = zip(self.rows.parents, self.rows.positions, strict=True)
        return pa.array([f"{ids[parent]}:{position}" for parent, position in pairs], pa.string())

    def _inherited(self, name: str, count: int) -> pa.Array:
        if self.parent is not None:
            return self.parent.column(name).take(pa.array(self.rows.parents, pa.int64()))
        return pa.array([self.origins.livemode] * count, pa.bool_())

    def _note_unknown(self, column: Column, values: list[Any]) -> None:
        known = column.values if column.values is not None else CURRENCIES
        for value in set(values) - known - {None}:
            object_id = getattr(self.rows.objects[values.index(value)], "id", None) or "(no id)"
            self.unknown.append(UnknownValue(self.rows.table.name, column.name, str(value), object_id))


def _structs(objects: list[Any]) -> list[Any]:
    """Null what is no object: only foreign JSON can hold such a thing where an object is documented."""
    return [one if isinstance(one, msgspec.Struct) else None for one in objects]


def _attributes(objects: list[Any], name: str) -> list[Any]:
    if None in objects:
        return [getattr(one, name) if one is not None else None for one in objects]
    return list(map(attrgetter(name), objects))


def to_arrow(kind: Kind, values: list[Any]) -> pa.Array:
    """Return ``values`` of Stripe's JSON as an Arrow array of the lake's type for ``kind``."""
    if kind is Kind.TIME:
        micros = [None if value is None else value * 1_000_000 for value in values]
        return pa.array(micros, pa.int64()).cast(ARROW_TYPE[kind])
    if kind is Kind.RATE:
        values = [None if value is None else value.quantize(EIGHT_PLACES, ROUND_HALF_EVEN) for value in values]
    return pa.array(values, ARROW_TYPE[kind])
