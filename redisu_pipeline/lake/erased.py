"""Who was erased: ids only, so that what Stripe still holds of them is blanked again whenever it is read anew.

`_erased/<account>.json` in the lake. A learner who comes back is a new buyer: the objects of a later purchase are not
among these ids.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from redisu_pipeline.common.decoders import decode
from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.lake.personal import EMAIL, ERASED, decoded, without_personal_data
from redisu_pipeline.lake.storage import ABSENT, Storage
from redisu_pipeline.tables.model import Table

LEARNER: Final = "metadata_learner"
SNAPSHOTS: Final = "events"
"""The table whose rows name objects only inside their JSON."""
IDS_INSIDE: Final = re.compile(r'"((?:cus|cs|in|pi|ch|py|re|pyr|du|dp|cn)_[A-Za-z0-9_]+)"')


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of Stripe objects about erased people of one account, and hashes of the learners' ids."""

    ids: frozenset[str] = frozenset()
    learners: frozenset[str] = frozenset()

    def plus(self, ids: Iterable[str], learner: str) -> "Erased":
        """Return these and those of one more learner."""
        return Erased(ids=self.ids | frozenset(ids), learners=self.learners | {hashed(learner)})

    def blank(self, table: Table, rows: pa.Table) -> pa.Table:
        """Return ``rows`` of ``table`` with the personal data of erased people null; all other rows as they are."""
        return blanked(table, rows, self.concerns(table, rows)) if self.ids and rows.num_rows else rows

    def concerns(self, table: Table, rows: pa.Table) -> list[bool]:
        """Tell of each row whether it is about an erased person: it names an id of theirs, and no other learner."""
        named = naming(rows, self.ids)
        if table.name == SNAPSHOTS:
            for place, raw in enumerate(rows.column("_raw").to_pylist()):
                if raw is not None and (named[place] or not self.ids.isdisjoint(IDS_INSIDE.findall(raw))):
                    named[place] = self.may_concern(learner_inside(raw))
        elif LEARNER in rows.schema.names:
            learners = rows.column(LEARNER).to_pylist()
            named = [one and self.may_concern(learner) for one, learner in zip(named, learners, strict=True)]
        return named

    def may_concern(self, learner: str | None) -> bool:
        """Tell whether a row that names ``learner`` (None: nobody) can be about an erased person."""
        return learner is None or hashed(learner) in self.learners


NOBODY: Final = Erased()


def read_erased(storage: Storage, account: str) -> tuple[Erased, str | None]:
    """The account's erased people and the tag to expect when replacing them; raises Failed for a damaged file."""
    blob = storage.read(_path(account))
    if blob is None:
        return NOBODY, None
    try:
        return decode(blob.data, Erased), blob.tag
    except msgspec.DecodeError as error:
        mend = "restore the file from a backup: without it a sync would bring erased personal data back"
        raise Failed(Problem("erased_unreadable", storage.uri(_path(account)), str(error), mend)) from None


def write_erased(storage: Storage, account: str, erased: Erased, tag: str | None) -> None:
    """Replace the account's file; raises `Conflict` when another writer came first."""
    data = msgspec.json.encode({"ids": sorted(erased.ids), "learners": sorted(erased.learners)})
    storage.write(_path(account), msgspec.json.format(data, indent=1) + b"\n", expect=tag or ABSENT)


def hashed(learner: str) -> str:
    """Return the SHA-256 of a learner's id."""
    return hashlib.sha256(learner.encode()).hexdigest()


def naming(rows: pa.Table, ids: Iterable[str]) -> list[bool]:
    """Tell of each row whether one of its columns of text is one of ``ids``."""
    wanted = pa.array(sorted(ids), pa.string())
    found = pa.array([False] * rows.num_rows, pa.bool_())
    for column in _texts(rows):
        found = pc.or_(found, pc.is_in(rows.column(column).combine_chunks(), wanted))
    named: list[bool] = found.to_pylist()
    return named


def learner_inside(raw: str) -> str | None:
    """Return the learner whom the metadata of an event's object names, None when there is none."""
    value: Any = decoded(raw)
    for name in ("data", "object", "metadata", "learner"):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def blanked(table: Table, rows: pa.Table, which: list[bool]) -> pa.Table:
    """Return ``rows``, those that ``which`` marks without personal data: personal columns null, `_raw` cleaned."""
    if not any(which):
        return rows
    mask, personal = pa.array(which, pa.bool_()), {column.name for column in table.columns if column.personal}
    for place, field in enumerate(rows.schema):
        column = rows.column(place).combine_chunks()
        if field.name in personal:
            cleaned = pc.if_else(mask, pa.scalar(None, field.type), column)
        elif field.name == "_raw":
            cleaned = pa.array(_raws(column.to_pylist(), which), field.type)
        elif pa.types.is_string(field.type):
            cleaned = pc.if_else(mask, pc.replace_substring_regex(column, EMAIL, ERASED), column)
        else:
            continue
        rows = rows.set_column(place, field, cleaned)
    return rows


def _raws(raws: list[str | None], which: list[bool]) -> Iterator[str | None]:
    for raw, one in zip(raws, which, strict=True):
        yield without_personal_data(raw) if one and raw is not None else raw


def _texts(rows: pa.Table) -> list[str]:
    return [field.name for field in rows.schema if pa.types.is_string(field.type) and field.name != "_raw"]


def _path(account: str) -> str:
    return f"_erased/{account}.json"
