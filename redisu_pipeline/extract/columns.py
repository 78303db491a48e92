"""Decoded objects as Arrow columns: each JSON branch is walked once, column by column."""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from itertools import accumulate
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from redisu_pipeline.common.money import KNOWN_CURRENCIES
from redisu_pipeline.extract.rows import Origins, Rows, UnexpectedShape, UnknownValue
from redisu_pipeline.extract.shape import JSON_TYPE
from redisu_pipeline.lake.schemas import ACCOUNT, ARROW_TYPE, BEFORE_START, INSTANT, schema_of
from redisu_pipeline.tables.model import Column, Kind, Origin

CURRENCIES = frozenset(code.lower() for code in KNOWN_CURRENCIES)
MICROSECONDS = 1_000_000
EIGHT_PLACES = Decimal("0.00000001")


class _Objects(NamedTuple):
    """What stands at one JSON branch, row by row; ``whole`` where every row has it."""

    each: list[Any]
    whole: bool

    @classmethod
    def of(cls, each: list[Any]) -> "_Objects":
        return cls(each, None not in each)

    def attributes(self, name: str) -> list[Any]:
        """Return an attribute of each, None where there is nothing to have it."""
        if self.whole:
            return list(map(attrgetter(name), self.each))
        return [getattr(one, name) if one is not None else None for one in self.each]


class Columns:
    """Builds the columns of one batch, walking each JSON branch once."""

    def __init__(self, rows: Rows, parent: pa.RecordBatch | None, origins: Origins, below: dict[str, Rows]) -> None:
        self.rows, self.parent, self.origins, self.below = rows, parent, origins, below
        self.unknown: list[UnknownValue] = []
        self._branches: dict[tuple[str, ...], _Objects] = {(): _Objects(rows.objects, whole=True)}

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
        arrays["account"] = pa.repeat(pa.scalar(self.origins.account), count).cast(ACCOUNT)
        arrays["_synced_at"] = pa.repeat(pa.scalar(self.origins.synced_at, INSTANT), count)
        arrays[BEFORE_START] = pc.less(arrays["created"].cast(pa.int64()), self.origins.first * MICROSECONDS)
        arrays["_raw"] = _joined(self.rows.raws)
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
            lists = [[getattr(one, leaf) for one in many] if many is not None else [] for many in objects.each]
            if column.kind is Kind.TOTAL:
                return [sum(amount or 0 for amount in amounts) for amounts in lists]
            return lists
        if column.foreign:
            wanted = JSON_TYPE[column.kind]
            return [value if type(value) is wanted else None for value in _structs(objects).attributes(leaf)]
        return objects.attributes(leaf)

    def _branch(self, path: tuple[str, ...]) -> _Objects:
        if path not in self._branches:
            above = _structs(self._branch(path[:-1]))
            self._branches[path] = _Objects.of(above.attributes(path[-1].removesuffix("[]")))
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
        return pa.repeat(self.origins.livemode, count)

    def _note_unknown(self, column: Column, values: list[Any]) -> None:
        known = column.values if column.values is not None else CURRENCIES
        for value in set(values) - known - {None}:
            object_id = getattr(self.rows.objects[values.index(value)], "id", None) or "(no id)"
            self.unknown.append(UnknownValue(self.rows.table.name, column.name, str(value), object_id))


def _joined(raws: Sequence[msgspec.Raw]) -> pa.Array:
    """Return JSON texts as one array, copied once. Raises pa.ArrowInvalid where one is not UTF-8."""
    ends = pa.array(list(accumulate(map(len, raws), initial=0)), pa.int32())
    texts = pa.StringArray.from_buffers(len(raws), ends.buffers()[1], pa.py_buffer(b"".join(raws)))
    texts.validate(full=True)
    return texts


def _structs(objects: _Objects) -> _Objects:
    """Null what is no object: only foreign JSON can hold such a thing where an object is documented."""
    return _Objects.of([one if isinstance(one, msgspec.Struct) else None for one in objects.each])


def to_arrow(kind: Kind, values: list[Any]) -> pa.Array:
    """Return ``values`` of Stripe's JSON as an Arrow array of the lake's type for ``kind``."""
    if values.count(None) == len(values):  # many columns of many pages are empty: this takes a quarter of the time
        return pa.nulls(len(values), ARROW_TYPE[kind])
    if kind is Kind.TIME:  # Arrow's own casts from seconds take three times as long
        values = [None if value is None else value * MICROSECONDS for value in values]
    elif kind is Kind.RATE:
        values = [None if value is None else value.quantize(EIGHT_PLACES, ROUND_HALF_EVEN) for value in values]
    return pa.array(values, ARROW_TYPE[kind])
