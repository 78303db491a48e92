"""Journal lines as Arrow rows of `netsuite/journal_lines` and back: the same table in the lake and in the export."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pyarrow as pa

from redisu_pipeline.journals.model import JournalClass, JournalLine
from redisu_pipeline.lake.netsuite_tables import JOURNAL_LINES

_FIELD: Mapping[str, str] = MappingProxyType({"class": "class_"})  # a word that Python keeps for itself


def lines_table(lines: Sequence[JournalLine]) -> pa.Table:
    """Return ``lines`` in their order under the declared schema; ArrowInvalid for a value that does not fit it.

    A fourth decimal does not fit decimal(18,3): it is refused, never rounded away.
    """
    columns = [
        pa.array([getattr(line, _FIELD.get(field.name, field.name)) for line in lines], _plain(field.type))
        for field in JOURNAL_LINES.schema
    ]
    return pa.table(
        [column.cast(field.type) for column, field in zip(columns, JOURNAL_LINES.schema, strict=True)],
        schema=JOURNAL_LINES.schema,
    )


def lines_of(table: pa.Table) -> list[JournalLine]:
    """Return the rows of a `journal_lines` table as lines, in its order; ValueError for an unknown class."""
    columns = {name: table.column(name).to_pylist() for name in JOURNAL_LINES.schema.names}
    names = [_FIELD.get(name, name) for name in columns]
    return [
        JournalLine(**{**dict(zip(names, row, strict=True)), "class_": JournalClass(row[names.index("class_")])})
        for row in zip(*columns.values(), strict=True)
    ]


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type that Python values become first; a dictionary is made of its values."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind
