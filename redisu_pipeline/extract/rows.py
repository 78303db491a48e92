"""Decoded objects of one table, and what is said when they are not as documented."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import msgspec

from redisu_pipeline.common.decoders import decoder_of
from redisu_pipeline.extract.shape import Identity, struct_of
from redisu_pipeline.tables.model import Table

IDENTITY = decoder_of(Identity)


class _Named(msgspec.Struct):
    """The id alone, to name an object whose other fields may be of any type."""

    id: str = "(no id)"


NAMED = decoder_of(_Named)


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
    """What a row cannot know from its own JSON. Objects made before ``first`` (unix) are marked `_before_start`."""

    account: str
    livemode: bool
    synced_at: datetime
    first: int = 0


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
            self.objects.extend(_decoder(self.table).decode(b"[" + b",".join(fresh) + b"]"))
        except msgspec.DecodeError as error:
            raise self._first_fault(fresh, error) from None

    def _first_fault(self, raws: Sequence[Any], error: Exception) -> UnexpectedShape:
        one = decoder_of(struct_of(self.table))
        for raw in raws:
            try:
                one.decode(raw)
            except msgspec.DecodeError as fault:
                return UnexpectedShape(self.table.name, _id_of(raw), str(fault))
        return UnexpectedShape(self.table.name, "(no id)", str(error))


def _id_of(raw: Any) -> str:
    try:
        return NAMED.decode(raw).id
    except msgspec.DecodeError:
        return "(no id)"


@cache
def _decoder(table: Table) -> msgspec.json.Decoder[Any]:
    """Return the strict decoder of many objects of ``table``."""
    objects: Any = list[struct_of(table)]  # type: ignore[misc]  # a type made at run time
    return decoder_of(objects)
