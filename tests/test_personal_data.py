"""What counts as personal, in a column, in the JSON beside it and inside a text; and what stays as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redisu_pipeline.lake import netsuite_tables
from redisu_pipeline.lake.catalog import CatalogTable
from redisu_pipeline.lake.personal import without_personal_data
from redisu_pipeline.lake.schemas import schema_of
from redisu_pipeline.tables.model import Kind, Origin, Table
from redisu_pipeline.tables.registry import TABLES
from redisu_pipeline.tax.table import TAX_BY_JURISDICTION

PERSONAL = {name: {c.name for c in table.columns if c.personal} for name, table in TABLES.items()}
NETSUITE = [one for one in vars(netsuite_tables).values() if isinstance(one, CatalogTable)]


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_what_a_personal_column_holds_goes_from_the_json_too(table: Table) -> None:
    for column in table.columns:
        if column.origin is not Origin.OBJECT or column.name in ("id", "metadata_learner"):
            continue
        found: Any = "12345" if column.kind in (Kind.TEXT, Kind.TEXTS) else 12345
        value = _at(column.path, found)
        cleaned = json.loads(without_personal_data(json.dumps({"object": _object(table), **value})))
        gone = "12345" not in json.dumps(cleaned)
        assert gone == column.personal, f"{table.name}.{column.name}"


def _at(path: tuple[str, ...], value: Any) -> Mapping[str, Any]:
    for part in reversed(path):
        value = {part.removesuffix("[]"): [value] if part.endswith("[]") else value}
    made: Mapping[str, Any] = value
    return made


def _object(table: Table) -> str:
    kinds = {"products": "product", "prices": "price", "customers": "customer", "tax_rates": "tax_rate"}
    return kinds.get(table.name, table.name)


def test_the_snapshot_of_an_event_is_cleaned_by_the_kind_of_its_object() -> None:
    data = {
        "object": {"object": "customer", "id": "cus_1", "name": "Ada", "address": {"line1": "Way 1", "country": "US"}},
        "previous_attributes": {"name": "Ida", "email": "ida@example.com", "balance": 5},
    }
    cleaned = json.loads(without_personal_data(json.dumps({"object": "event", "id": "evt_1", "data": data})))
    assert cleaned["data"] == {
        "object": {"object": "customer", "id": "cus_1", "name": None, "address": {"line1": None, "country": "US"}},
        "previous_attributes": {"name": None, "email": None, "balance": 5},
    }


def test_the_name_of_a_course_stays_and_an_address_inside_a_text_goes() -> None:
    raw = json.dumps({"object": "product", "name": "Redis 101", "description": "for ada@example.com, paid"})
    assert json.loads(without_personal_data(raw)) == {
        "object": "product", "name": "Redis 101", "description": "for [erased], paid",
    }  # fmt: skip


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.sampled_from(["succeeded", "usd", "in_1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["amount", "status", "x"]), inner),
)


@given(value=plain, spaces=st.sampled_from([None, 2]))
def test_json_without_personal_data_stays_as_it_is_to_the_byte(value: Any, spaces: int | None) -> None:
    raw = json.dumps(value, indent=spaces)
    assert without_personal_data(raw) == raw


def test_numbers_keep_every_digit() -> None:
    cleaned = without_personal_data('{"email": "a@b.co", "exchange_rate": 3.14159265358979323846, "percentage": 18.0}')
    assert json.loads(cleaned, parse_float=Decimal) == {
        "email": None, "exchange_rate": Decimal("3.14159265358979323846"), "percentage": Decimal("18.0"),
    }  # fmt: skip


@pytest.mark.parametrize("table", [TAX_BY_JURISDICTION, *NETSUITE], ids=lambda table: table.name)
def test_what_is_derived_for_the_books_declares_no_personal_column(table: CatalogTable) -> None:
    """A locked month can stay as it is: nothing in it tells of a person."""
    personal = {name for names in PERSONAL.values() for name in names} - {"description"}
    assert {"email", "customer_name", "address_line1", "phone"} <= personal
    assert personal.isdisjoint(table.schema.names)
    assert not [name for name in table.schema.names if name.startswith(("customer", "buyer", "learner", "metadata"))]


def test_every_personal_column_may_be_null() -> None:
    for name, personal in PERSONAL.items():
        schema: pa.Schema = schema_of(TABLES[name])
        assert all(schema.field(column).nullable for column in personal)
