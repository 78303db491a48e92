"""From Stripe's JSON to typed columns: nulls, unknown fields, any text, exact decimals, and clear refusals."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import source
from hypothesis import given
from hypothesis import strategies as st

from redisu_pipeline.extract.decode import Overflow, Truncated, open_object, open_page
from redisu_pipeline.extract.rows import Origins, UnexpectedShape
from redisu_pipeline.lake.schemas import schema_of
from redisu_pipeline.tables.model import Column, Kind, Origin, Scope, Table
from redisu_pipeline.tables.registry import RESOURCE_OF, RESOURCES

ORIGINS = Origins("us", livemode=True, synced_at=datetime(2026, 3, 20, tzinfo=UTC))
MONEY = st.integers(-(2**62), 2**62)
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: st.text(max_size=8),
    Kind.INTEGER: st.integers(-(2**62), 2**62),
    Kind.MINOR: MONEY,
    Kind.TIME: st.integers(0, 4_000_000_000),
    Kind.FLAG: st.booleans(),
    Kind.RATE: st.decimals(-999, 9_999, places=6).map(float),
    Kind.TEXTS: st.text(max_size=8),
    Kind.MINORS: MONEY,
    Kind.TOTAL: st.integers(-(2**40), 2**40),
}
LISTED = [resource for resource in RESOURCES if resource.scope not in (Scope.SNAPSHOT, Scope.REPORT)]


@st.composite
def objects(draw: st.DrawFn, table: Table, number: int) -> dict[str, Any]:
    """An object of a table: any value, null or nothing wherever that is allowed, and fields nobody declared."""
    made: dict[str, Any] = {"object": "anything", "a_field_of_next_year": {"deep": [1, None]}}
    nested = {children.path for children in table.children}
    for column in table.columns:
        if column.origin is Origin.OBJECT and column.path[0].removesuffix("[]") not in nested:
            plant(draw, made, column)
    if table.own_id:
        made["id"] = f"{table.name}_{number}"
    for children in table.children:
        rows = [draw(objects(children.table, number * 10 + n)) for n in range(draw(st.integers(0, 2)))]
        made[children.path] = {"object": "list", "data": rows, "has_more": False} if children.is_list_object else rows
    return made


def plant(draw: st.DrawFn, made: dict[str, Any], column: Column) -> None:
    *branches, leaf = column.path
    if not column.required and draw(st.integers(0, 3)) == 0:
        return
    for branch in branches:
        if branch.endswith("[]"):
            many = made.setdefault(branch[:-2], [{} for _ in range(draw(st.integers(0, 3)))])
            for one in many:
                one[leaf] = draw(VALUES[column.kind])
            return
        made = made.setdefault(branch, {})
    may_be_null = not column.required
    made[leaf] = draw(st.one_of(st.none(), VALUES[column.kind]) if may_be_null else VALUES[column.kind])


def body_of(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps({"object": "list", "data": rows, "has_more": False, "url": "/v1/x"}, ensure_ascii=False).encode()


@given(st.data())
def test_any_page_becomes_the_rows_that_a_plain_reading_finds(data: st.DataObject) -> None:
    resource = data.draw(st.sampled_from(LISTED))
    rows = [data.draw(objects(resource.table, number)) for number in range(data.draw(st.integers(0, 3)))]
    batches = open_page(resource.table, body_of(rows)).batches(ORIGINS)
    exact = json.loads(body_of(rows), parse_float=Decimal)["data"]
    expected = source.rows_of(resource, exact, "us", True)
    for table in resource.table.family():
        assert batches[table.name].schema == schema_of(table)
        found = {row["id"]: row for row in batches[table.name].to_pylist()}
        assert found.keys() == expected[table.name].keys()
        for one, want in expected[table.name].items():
            filled = {column.name for column in table.columns if column.origin is Origin.TAX_RATE}
            for name in want.keys() - {"_raw"} - filled:
                assert found[one][name] == want[name], (table.name, name)


def charge(**fields: Any) -> dict[str, Any]:
    base = {"id": "ch_1", "object": "charge", "created": 1_700_000_000, "livemode": True, "currency": "usd"}
    return {**base, "amount": 100, "status": "succeeded", **fields}


CHARGES = RESOURCE_OF["charges"].table


@given(st.text())
def test_any_text_survives_in_its_column_and_in_the_raw_object(text: str) -> None:
    (row,) = open_page(CHARGES, body_of([charge(description=text)])).batches(ORIGINS)["charges"].to_pylist()
    assert row["description"] == text
    assert json.loads(row["_raw"])["description"] == text


def test_the_raw_object_is_kept_byte_for_byte() -> None:
    raw = (
        '{ "id":"ch_1",  "created":1700000000,"livemode":true,"currency":"usd","amount":1,"status":"failed","x":1.50 }'
    )
    page = open_page(CHARGES, f'{{"data":[{raw}],"has_more":false}}'.encode())
    assert page.batches(ORIGINS)["charges"].column("_raw").to_pylist() == [raw]


@pytest.mark.parametrize(
    ("printed", "kept"),
    [("0.1", "0.10000000"), ("1.123456785", "1.12345678"), ("1.123456795", "1.12345680"), ("3", "3.00000000")],
)
def test_rates_are_decimal_and_never_pass_through_a_float(printed: str, kept: str) -> None:
    table = RESOURCE_OF["balance_transactions"].table
    money = (
        '"amount":1,"fee":0,"net":1,"type":"charge","reporting_category":"charge","status":"pending","available_on":1'
    )
    raw = f'{{"id":"txn_1","created":1,"currency":"usd",{money},"exchange_rate":{printed},"fee_details":[]}}'
    page = open_page(table, f'{{"data":[{raw}],"has_more":false}}'.encode())
    assert page.batches(ORIGINS)["balance_transactions"].column("exchange_rate").to_pylist() == [Decimal(kept)]


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": "12"},
        {"amount": 1.5},
        {"amount": None},
        {"created": None},
        {"created": "1"},
        {"paid": "yes"},
        {"outcome": []},
    ],
)
def test_another_type_names_the_object_and_the_field(fields: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedShape) as fault:
        open_page(CHARGES, body_of([charge(id="ch_0"), charge(**fields)]))
    assert fault.value.object_id == "ch_1"
    assert next(iter(fields)) in fault.value.detail


def test_an_amount_that_no_column_holds_is_refused_by_name() -> None:
    with pytest.raises(UnexpectedShape, match="amount"):
        open_page(CHARGES, body_of([charge(amount=2**63)])).batches(ORIGINS)


@given(st.integers(0, 10_000))
def test_a_body_cut_anywhere_is_truncated_and_never_a_shorter_page(at: int) -> None:
    body = body_of([charge(), charge(id="ch_2", description="Grüße ✓")])
    with pytest.raises(Truncated):
        open_page(CHARGES, body[: at % len(body)])


def test_json_that_is_no_list_is_an_unexpected_shape() -> None:
    with pytest.raises(UnexpectedShape):
        open_page(CHARGES, b'{"object":"charge","id":"ch_1"}')


def test_undocumented_values_are_noted_with_an_example_and_kept() -> None:
    page = open_page(CHARGES, body_of([charge(), charge(id="ch_2", status="odd", currency="xxx")]))
    rows = page.batches(ORIGINS)["charges"].to_pylist()
    assert [row["status"] for row in rows] == ["succeeded", "odd"]
    noted = {(one.column, one.value, one.object_id) for one in page.unknown}
    assert noted == {("status", "odd", "ch_2"), ("currency", "xxx", "ch_2")}


def test_a_deleted_object_is_no_page() -> None:
    customers = RESOURCE_OF["customers"].table
    assert open_object(customers, b'{"id":"cus_1","object":"customer","deleted":true}') is None


def test_lines_of_later_pages_go_on_counting_under_their_own_parent() -> None:
    table = RESOURCE_OF["invoices"].table

    def invoice(number: int, more: bool) -> dict[str, Any]:
        lines = {"data": [line(number, 0), line(number, 1)], "has_more": more, "url": f"/v1/invoices/in_{number}/lines"}
        money = {"subtotal": 2, "total": 2, "currency": "usd", "created": number, "livemode": True}
        return {"id": f"in_{number}", "lines": lines, **money}

    def line(number: int, position: int) -> dict[str, Any]:
        tax = {"amount": position, "taxable_amount": 5}
        money = {"amount": 1, "currency": "usd", "livemode": True, "taxes": [tax, tax]}
        return {"id": f"il_{number}_{position}", **money}

    page = open_page(table, body_of([invoice(1, True), invoice(2, True)]))
    assert page.overflows == [
        Overflow(0, "/v1/invoices/in_1/lines", "il_1_1"),
        Overflow(1, "/v1/invoices/in_2/lines", "il_2_1"),
    ]
    for overflow in page.overflows:
        number = overflow.parent + 1
        more = {"data": [line(number, 2)], "has_more": True, "url": overflow.url}
        following = page.add(overflow, json.dumps(more).encode())
        assert following == Overflow(overflow.parent, overflow.url, f"il_{number}_2")
        assert page.add(following, body_of([line(number, 3)])) is None
    batches = page.batches(ORIGINS)
    lines = {row["id"]: (row["invoice"], row["position"]) for row in batches["invoice_lines"].to_pylist()}
    assert lines == {f"il_{n}_{p}": (f"in_{n}", p) for n in (1, 2) for p in range(4)}
    taxes = {row["id"]: (row["invoice"], row["invoice_line"]) for row in batches["invoice_taxes"].to_pylist()}
    assert taxes == {f"il_{n}_{p}:{t}": (f"in_{n}", f"il_{n}_{p}") for n in (1, 2) for p in range(4) for t in (0, 1)}


def test_a_cut_page_of_lines_leaves_nothing_half() -> None:
    table = RESOURCE_OF["invoices"].table
    lines = {
        "data": [{"id": "il_1", "amount": 1, "currency": "usd", "livemode": True}],
        "has_more": True,
        "url": "/v1/l",
    }
    one = {"id": "in_1", "subtotal": 1, "total": 1, "currency": "usd", "created": 1, "livemode": True, "lines": lines}
    page = open_page(table, body_of([one]))
    with pytest.raises(Truncated):
        page.add(page.overflows[0], b'{"data":[{"id":"il_2"')
    assert page.batches(ORIGINS)["invoice_lines"].num_rows == 1
