"""The CSV of the tax report: every form Stripe documents is read exactly, everything else refused with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redisu_pipeline.common.money import KNOWN_CURRENCIES, to_major
from redisu_pipeline.extract.csv_file import BOM, Unreadable
from redisu_pipeline.extract.tax_rows import Interval, rows_of

DAY = datetime(2026, 10, 5, tzinfo=UTC)
INTERVAL = Interval(int(DAY.timestamp()), int(DAY.timestamp()) + 86_400)
ROW = {
    "id": "in_1",
    "type": "invoice",
    "line_item_id": "il_1",
    "transaction_date": "2026-10-05 12:30:00",
    "currency": "usd",
    "total": "108.25",
    "tax_amount": "8.25",
    "tax_name": "New York State Sales Tax",
    "tax_rate": "0.0825",
    "jurisdiction_level": "state",
    "jurisdiction_name": "New York",
    "country_code": "US",
    "state_code": "NY",
}


def csv_of(*rows: Mapping[str, str]) -> list[str]:
    head = list(ROW)
    return [f"{','.join(head)}\n", *(f"{','.join(row[name] for name in head)}\n" for row in rows)]


def read(*rows: Mapping[str, str]) -> list[dict[str, Any]]:
    return values(rows_of(csv_of(*rows), INTERVAL))


def values(rows: Any) -> list[dict[str, Any]]:
    return [json.loads(row.values) for row in rows]


def fault(lines: list[str]) -> str:
    with pytest.raises(Unreadable) as caught:
        list(rows_of(lines, INTERVAL))
    return str(caught.value)


def test_amounts_become_minor_units_and_stamps_utc_seconds() -> None:
    (row,) = read(ROW)
    assert (row["total"], row["tax_amount"], row["tax_rate"]) == (10825, 825, "0.0825")
    assert row["created"] == row["transaction_date"] == int(datetime(2026, 10, 5, 12, 30, tzinfo=UTC).timestamp())
    assert row["source_id"] == "in_1"


@given(st.sampled_from(sorted(KNOWN_CURRENCIES)), st.integers(-(10**12), 10**12))
def test_any_amount_of_any_currency_comes_back_as_it_was(currency: str, minor: int) -> None:
    printed = f"{to_major(minor, currency):f}"
    (row,) = read({**ROW, "currency": currency, "tax_amount": printed, "total": printed})
    assert (row["tax_amount"], row["currency"]) == (minor, currency.lower())


def test_a_byte_order_mark_and_dos_line_ends_change_nothing() -> None:
    lines = csv_of(ROW)
    assert values(rows_of([BOM + lines[0], *lines[1:]], INTERVAL)) == read(ROW)
    assert values(rows_of([line.replace("\n", "\r\n") for line in lines], INTERVAL)) == read(ROW)


def test_a_column_nobody_knows_is_kept_as_it_was_printed() -> None:
    lines = [line.replace("\n", ",colour\n" if line.startswith("id") else ',"red, or blue"\n') for line in csv_of(ROW)]
    (row,) = rows_of(lines, INTERVAL)
    assert json.loads(row.raw) == {**ROW, "colour": "red, or blue"}


def test_the_id_is_the_grain_whatever_the_order_of_columns_and_rows() -> None:
    other = {**ROW, "jurisdiction_name": "New York City", "tax_amount": "4.50"}
    first, second = read(ROW, other)
    assert first["id"] != second["id"]
    assert [row["id"] for row in read(other, ROW)] == [second["id"], first["id"]]
    head = list(reversed(ROW))
    turned = [f"{','.join(head)}\n", f"{','.join(ROW[name] for name in head)}\n"]
    assert values(rows_of(turned, INTERVAL))[0]["id"] == first["id"]


def test_rows_that_are_alike_in_all_that_tells_rows_apart_are_numbered() -> None:
    first, second = read(ROW, {**ROW, "tax_amount": "1.00"})
    assert second["id"] == f"{first['id']}:1"


def test_a_refund_that_failed_later_is_another_row_than_the_refund() -> None:
    back = {**ROW, "id": "re_1", "type": "refund", "tax_amount": "-8.25", "total": "-108.25"}
    undone = {**back, "tax_amount": "8.25", "total": "108.25", "transaction_date": "2026-10-05 18:00:00"}
    first, second = read(back, undone)
    assert first["id"] != second["id"]


def test_a_header_alone_is_an_empty_report() -> None:
    assert read() == []


REFUSED = {
    "a comma decimal": (csv_of({**ROW, "tax_amount": '"8,25"'}), "line 2, column tax_amount: '8,25' is not a decimal"),
    "thousands": (csv_of({**ROW, "total": '"1,108.25"'}), "line 2, column total: '1,108.25' is not a decimal"),
    "an exponent": (csv_of({**ROW, "total": "1E2"}), "line 2, column total: '1E2' is not a decimal"),
    "not a number": (csv_of({**ROW, "total": "NaN"}), "line 2, column total: 'NaN' is not a decimal"),
    "half a cent": (csv_of({**ROW, "total": "1.005"}), "line 2, column total: 1.005 USD has more than 2 decimals"),
    "an unknown currency": (
        csv_of({**ROW, "currency": "abc"}),
        "column total: currency 'abc' is not in Stripe's table",
    ),
    "no tax amount": (csv_of(ROW, {**ROW, "tax_amount": ""}), "line 3, column tax_amount: is empty"),
    "a strange date": (csv_of({**ROW, "transaction_date": "10/05/26"}), "line 2, column transaction_date: '10/05/26'"),
    "another day": (
        csv_of({**ROW, "transaction_date": "2026-10-06 00:00:00"}),
        "2026-10-06 00:00:00 was not asked for",
    ),
    "a missing column": (
        [line.rpartition(",")[0] + "\n" for line in csv_of(ROW)],
        "line 1: column state_code is missing",
    ),
    "a column twice": ([line.replace("\n", ",id\n") for line in csv_of(ROW)], "line 1: column id stands there twice"),
    "a row cut off": ([*csv_of(ROW), "in_2,invoice\n"], "line 3: has 2 cells where the header has 13"),
    "a last line cut off": ([*csv_of(ROW)[:-1], csv_of(ROW)[-1].rstrip("\n")], "its last line has no end"),
    "a quote left open": ([*csv_of(ROW), '"in_2,invoice\n'], "line 3: is no CSV"),
    "nothing at all": ([], "line 1: is empty"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_right_is_refused_with_line_and_column(case: str) -> None:
    lines, words = REFUSED[case]
    assert words in fault(lines)
