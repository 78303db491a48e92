"""Parquet schemas of the lake, made from the declared tables."""

from collections.abc import Mapping
from functools import cache

import pyarrow as pa

from redisu_pipeline.tables.model import Column, Kind, Table

INSTANT = pa.timestamp("us", tz="UTC")
# A plain string beside the folder's `account=` breaks pandas: the file holds the type readers infer from the path.
ACCOUNT = pa.dictionary(pa.int32(), pa.string())

ARROW_TYPE: Mapping[Kind, pa.DataType] = {
    Kind.TEXT: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.MINOR: pa.int64(),
    Kind.TIME: INSTANT,
    Kind.FLAG: pa.bool_(),
    Kind.RATE: pa.decimal128(18, 8),
    Kind.TEXTS: pa.list_(pa.string()),
    Kind.MINORS: pa.list_(pa.int64()),
    Kind.TOTAL: pa.int64(),
}
LEADING = (("id", pa.string()), ("created", INSTANT), ("livemode", pa.bool_()))
BEFORE_START = "_before_start"
TRAILING = (("_synced_at", INSTANT), ("_deleted_at", INSTANT), (BEFORE_START, pa.bool_()), ("_raw", pa.string()))
SEQUENCE = "_seq"
_PERSONAL = "; personal data, null once erased"
IN_ANOTHER_CURRENCY = ("presentment_details_", "filing_")
"""How columns begin whose money is not in the row's `currency`: no sums are made of them."""
STANDARD_DOCS: Mapping[str, str] = {
    "account": "Key of the Stripe account in `redisu.toml`",
    "id": "Stripe's id, or `<parent id>:<n>`; unique with `account`",
    "created": "When Stripe made the object (a child row: its parent); the file's month is cut by it, UTC",
    "livemode": "False for sandbox and test data",
    "_synced_at": "When this state of the row was read",
    "_deleted_at": "When the object was found gone at Stripe; null while it exists",
    BEFORE_START: "Made before the account's `start` and kept because something since then refers to it: it gives tax "
    "splits but no journals. Null (in files of an older version) means false",
    "_raw": "The object's JSON as Stripe sent it; personal data (null in it once erased)",
    SEQUENCE: "Order in which we stored the events of this account: consumers keep their place by it",
}


@cache
def schema_of(table: Table) -> pa.Schema:
    """Return the schema of ``table``'s files, the same in every file; `month` stands only in the path."""
    leading = {name for name, _ in LEADING}
    fields = [pa.field("account", ACCOUNT, nullable=False)]
    fields += [pa.field(name, kind, nullable=False) for name, kind in LEADING]
    fields += [pa.field(column.name, ARROW_TYPE[column.kind]) for column in table.columns if column.name not in leading]
    if table.name == "events":
        fields.append(pa.field(SEQUENCE, pa.int64()))
    fields += [pa.field(name, kind, nullable=name != "_synced_at") for name, kind in TRAILING]
    return pa.schema(fields)


@cache
def docs_of(table: Table) -> Mapping[str, str]:
    """Return what each column of ``table`` means, for the UI and the generated DDL."""
    own = {column.name: column.doc + _PERSONAL * column.personal for column in table.columns}
    return {name: own.get(name) or STANDARD_DOCS[name] for name in schema_of(table).names}


def money_columns(table: Table) -> tuple[Column, ...]:
    """Return the columns that hold money in minor units of the row's ``currency``."""
    return tuple(
        column
        for column in table.columns
        if column.kind in (Kind.MINOR, Kind.TOTAL) and not column.name.startswith(IN_ANOTHER_CURRENCY)
    )
