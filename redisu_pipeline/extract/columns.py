"""Decoded objects as Arrow columns: each JSON branch is walked once, column by column."""

import struct
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import cached_property
from itertools import accumulate
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import astuple

from redisu_pipeline.common.money import KNOWN_CURRENCIES
from redisu_pipeline.extract.rows import Origins, Rows, UnexpectedShape, UnknownValue
from redisu_pipeline.extract.shape import JSON_TYPE
from redisu_pipeline.lake.schemas import ACCOUNT, ARROW_TYPE, BEFORE_START, INSTANT, SEQUENCE, schema_of
from redisu_pipeline.tables.model import Column, Kind, Origin

CURRENCIES = frozenset(code.lower() for code in KNOWN_CURRENCIES)
MICROSECONDS = 1_000_000
EIGHT_PLACES = Decimal("0.00000001")
FIRST = pa.scalar(0, ACCOUNT.index_type)


class Columns:
    """Builds the columns of one batch, walking each JSON branch once."""

    def __init__(self, rows: Rows, parent: pa.RecordBatch | None, origins: Origins, below: dict[str, Rows]) -> None:
        self.rows, self.parent, self.origins, self.below = rows, parent, origins, below
        self.unknown: list[UnknownValue] = []
        self._taken: dict[str, pa.Array] = {}
        self._branches: dict[tuple[str, ...], Mapping[str, Sequence[Any]]] = {(): _fields_of(rows.objects)}

    def batch(self) -> pa.RecordBatch:
        table, count = self.rows.table, len(self.rows.objects)
        arrays: dict[str, pa.Array] = {}
        for column in table.columns:
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
        only = pa.repeat(FIRST, count)
        arrays["account"] = pa.DictionaryArray.from_arrays(only, pa.array([self.origins.account]))
        arrays["_synced_at"] = pa.repeat(pa.scalar(self.origins.synced_at, INSTANT), count)
        arrays[BEFORE_START] = pc.less(arrays["created"], pa.scalar(self.origins.first * MICROSECONDS, INSTANT))
        arrays["_raw"] = _joined(self.rows.raws)
        arrays["_deleted_at"] = pa.nulls(count, INSTANT)
        arrays[SEQUENCE] = pa.nulls(count, pa.int64())  # given to events as they land
        schema = schema_of(table)
        return pa.RecordBatch.from_arrays([arrays[name] for name in schema.names], schema=schema)

    def _array(self, column: Column) -> pa.Array:
        if column.origin is Origin.POSITION:
            return self._positions
        if column.origin is Origin.PARENT:
            return self._of_parent(column.path[0])
        if column.origin is Origin.TAX_RATE:  # null until the row lands beside its rate
            return pa.nulls(len(self.rows.objects), ARROW_TYPE[column.kind])
        head = column.path[0].removesuffix("[]")
        if head in self.below:
            return self._total_of_children(column, self.below[head])
        values = self._values(column)
        if column.values is not None or column.name == "currency":
            self._note_unknown(column, values)
        return to_arrow(column.kind, values)

    def _values(self, column: Column) -> Sequence[Any]:
        *branches, leaf = column.path
        if branches and branches[-1].endswith("[]"):
            return _of_lists(column.kind, self._at((*branches[:-1], branches[-1].removesuffix("[]"))), attrgetter(leaf))
        values = self._at(column.path)
        if column.foreign:
            wanted = JSON_TYPE[column.kind]
            return [value if type(value) is wanted else None for value in values]
        return values

    def _at(self, path: tuple[str, ...]) -> Sequence[Any]:
        """Return what stands at ``path`` in each object, None where nothing does."""
        above = path[:-1]
        if above not in self._branches:
            self._branches[above] = _fields_of(self._at(above))
        return self._branches[above].get(path[-1]) or [None] * len(self.rows.objects)

    @cached_property
    def _parents(self) -> pa.Array:
        return _whole_numbers(pa.int64(), self.rows.parents)

    @cached_property
    def _positions(self) -> pa.Array:
        return _whole_numbers(pa.int64(), self.rows.positions)

    def _of_parent(self, name: str) -> pa.Array:
        if name not in self._taken:
            assert self.parent is not None
            self._taken[name] = self.parent.column(name).take(self._parents)
        return self._taken[name]

    def _total_of_children(self, column: Column, children: Rows) -> pa.Array:
        sums = [0] * len(self.rows.objects)
        amounts = map(attrgetter(column.path[-1]), children.objects)
        for parent, amount in zip(children.parents, amounts, strict=True):
            sums[parent] += amount or 0
        return _whole_numbers(pa.int64(), sums)

    def _derived_ids(self) -> pa.Array:
        return pc.binary_join_element_wise(self._of_parent("id"), self._positions.cast(pa.string()), ":")

    def _inherited(self, name: str, count: int) -> pa.Array:
        return pa.repeat(self.origins.livemode, count) if self.parent is None else self._of_parent(name)

    def _note_unknown(self, column: Column, values: Sequence[Any]) -> None:
        known = column.values if column.values is not None else CURRENCIES
        for value in set(values) - known - {None}:
            object_id = getattr(self.rows.objects[values.index(value)], "id", None) or "(no id)"
            self.unknown.append(UnknownValue(self.rows.table.name, column.name, str(value), object_id))


def _joined(raws: Sequence[msgspec.Raw]) -> pa.Array:
    """Return JSON texts as one array, copied once. Raises pa.ArrowInvalid where one is not UTF-8."""
    ends = array("i", accumulate(map(len, raws), initial=0))
    texts = pa.StringArray.from_buffers(len(raws), pa.py_buffer(ends), pa.py_buffer(b"".join(raws)))
    texts.validate(full=True)
    return texts


def _fields_of(objects: Sequence[Any]) -> Mapping[str, Sequence[Any]]:
    """Return each field's values over ``objects``: all fields in one go take a quarter of the time of one by one.

    Where nothing stands, or in foreign JSON something else than an object, all of its fields are None.
    """
    shape = next((type(one) for one in objects if isinstance(one, msgspec.Struct)), None)
    if shape is None:
        return {}
    try:
        rows = [astuple(one) for one in objects]
    except TypeError:
        nothing = (None,) * len(shape.__struct_fields__)
        rows = [astuple(one) if isinstance(one, msgspec.Struct) else nothing for one in objects]
    return dict(zip(shape.__struct_fields__, zip(*rows, strict=True), strict=True))


def _of_lists(kind: Kind, lists: Iterable[Any], field: Callable[[Any], Any]) -> list[Any]:
    """Return a field of every element of each list, or their sum; most lists of most pages are empty."""
    if kind is Kind.TOTAL:
        return [sum(filter(None, map(field, many))) if many else 0 for many in lists]
    return [list(map(field, many)) if many else [] for many in lists]


def to_arrow(kind: Kind, values: Sequence[Any]) -> pa.Array:
    """Return ``values`` of Stripe's JSON as an Arrow array of the lake's type for ``kind``."""
    wanted = ARROW_TYPE[kind]
    if values and values[0] is None and values.count(None) == len(values):  # many columns of many pages are empty
        return pa.nulls(len(values), wanted)
    if kind is Kind.TIME:  # Arrow's own casts from seconds take three times as long
        return _whole_numbers(wanted, [None if value is None else value * MICROSECONDS for value in values])
    if wanted == pa.int64():
        return _whole_numbers(wanted, values)
    if kind is Kind.RATE:
        values = [None if value is None else value.quantize(EIGHT_PLACES, ROUND_HALF_EVEN) for value in values]
    return pa.array(values, wanted)


def _whole_numbers(wanted: pa.DataType, values: Sequence[int | None]) -> pa.Array:
    """Return ``values`` as an array of 64 bits each: without nulls, by a copy of memory in 60 % of Arrow's time."""
    try:
        packed = struct.pack(f"{len(values)}q", *values)
    except struct.error:
        return pa.array(values, wanted)
    return pa.Array.from_buffers(wanted, len(values), [None, pa.py_buffer(packed)])
