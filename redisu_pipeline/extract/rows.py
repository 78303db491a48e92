"""Decoded objects of one table, and what is said when they are not as documented."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
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

    def append_nested(self, raws_of: Iterable[Sequence[Any] | None]) -> None:
        """Append what is nested in each parent, in their order; None stands for nothing."""
        for parent, raws in enumerate(raws_of):
            if raws:
                self.raws += raws
                count = len(raws)
                self.parents += repeat(parent, count)
                self.positions += range(count)

    def decode(self) -> None:
        """Decode what was appended since the last call, in one go: a call for each object costs twice the time.

        As lines, whatever white space they hold: as one list the text was copied three times (a tenth of the time).
        """
        fresh = self.raws[len(self.objects) :]
        try:
            self.objects.extend(decoder_of(struct_of(self.table)).decode_lines(b"\n".join(fresh)))
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
