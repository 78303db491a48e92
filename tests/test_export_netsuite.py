"""The files that NetSuite reads: the CSV of the import assistant, the REST bodies, the lines as Parquet."""

import csv
import io
import json
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest
from closed_months import NETSUITE, closed_month, draft_month, with_line, with_lines

from redisu_pipeline.close.line_rows import lines_of, lines_table
from redisu_pipeline.export.month import ClosedMonth
from redisu_pipeline.export.netsuite_csv import COLUMNS, amount, netsuite_csv, written_date
from redisu_pipeline.export.rest_bodies import rest_bodies
from redisu_pipeline.lake.netsuite_tables import JOURNAL_LINES

MONTH = closed_month()
ADJ = "STR-US-USD-202610-ADJ-V1"
LATE = "STR-US-USD-202609-REFUNDS-V2"


def rows(month: ClosedMonth) -> list[dict[str, str]]:
    text = netsuite_csv(month).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def journal(month: ClosedMonth, external_id: str) -> list[dict[str, str]]:
    return [row for row in rows(month) if row["External ID"] == external_id]


def test_a_journal_stands_in_the_file_word_for_word() -> None:
    lines = netsuite_csv(MONTH).decode().split("\r\n")
    assert lines[0] == (
        "External ID,Entry No.,Date,Posting Period,Subsidiary,Currency,Exchange Rate,Memo,Approved,"
        "Journal Entry - Line: Account,Journal Entry - Line: Debit,Journal Entry - Line: Credit,"
        "Journal Entry - Line: Memo,Journal Entry - Line: Department,Journal Entry - Line: Location"
    )
    head = f"{ADJ},{ADJ},10/31/2026,Oct 2026,Redis Inc.,USD,1,Stripe us 2026-10 ADJ USD,FALSE"
    assert [line for line in lines if line.startswith(ADJ)] == [
        f'{head},7900 Stripe Adjustments,3.10,,"Stripe Adjustments, USD",,',
        f'{head},1150 Stripe Clearing,,3.10,"Stripe Clearing, USD",,',
    ]
    assert lines[-1] == ""


def test_every_line_is_a_row_and_the_file_balances() -> None:
    table = rows(MONTH)
    assert len(table) == len(MONTH.lines)
    assert {tuple(row) for row in table} == {COLUMNS}
    for currency in ("USD", "JPY"):
        mine = [row for row in table if row["Currency"] == currency]
        debit = sum(Decimal(row["Journal Entry - Line: Debit"] or 0) for row in mine)
        assert debit == sum(Decimal(row["Journal Entry - Line: Credit"] or 0) for row in mine) > 0


def test_currency_and_rate_stand_on_every_row_because_netsuite_takes_one_for_a_missing_rate() -> None:
    assert {(row["Currency"], row["Exchange Rate"]) for row in rows(MONTH)} == {("USD", "1"), ("JPY", "0.0067")}


def test_the_other_side_is_empty_and_yen_have_no_decimals() -> None:
    yen = journal(MONTH, "STR-US-JPY-202610-FEES-V1")
    sides = [(row["Journal Entry - Line: Debit"], row["Journal Entry - Line: Credit"]) for row in yen]
    assert sides == [("970", ""), ("", "970")]


def test_a_delta_journal_names_the_month_and_journal_that_it_adjusts() -> None:
    memo = {row["Memo"] for row in journal(MONTH, LATE)}
    assert memo == {"Stripe us 2026-10 REFUNDS USD, adjusts 2026-09 (STR-US-USD-202609-REFUNDS-V1)"}
    part = replace(MONTH.lines[0], external_id=f"{LATE}-P3", adjusts_period="2026-09")
    assert "STR-US-USD-202609-REFUNDS-V1)" in rows(with_lines(MONTH, [part]))[0]["Memo"]


def test_a_draft_cannot_be_imported_by_accident() -> None:
    table = rows(draft_month())
    assert {row["Posting Period"] for row in table} == {"DRAFT Oct 2026"}
    assert all(row["Memo"].startswith("DRAFT ") for row in table)
    assert [row["External ID"] for row in table] == [row["External ID"] for row in rows(MONTH)]
    assert b"DRAFT" not in netsuite_csv(MONTH)


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("M/D/YYYY", "3/5/2026"),
        ("D/M/YYYY", "5/3/2026"),
        ("MM/DD/YYYY", "03/05/2026"),
        ("DD/MM/YYYY", "05/03/2026"),
        ("D.M.YYYY", "5.3.2026"),
        ("YYYY-MM-DD", "2026-03-05"),
        ("YYYY/M/D", "2026/3/5"),
        ("D-Mon-YYYY", "5-Mar-2026"),
        ("DD-Mon-YYYY", "05-Mar-2026"),
        ("DD-MONTH-YYYY", "05-March-2026"),
        ("D MONTH, YYYY", "5 March, 2026"),
        ("MONTH D, YYYY", "March 5, 2026"),
    ],
)
def test_dates_follow_the_importing_users_preference(form: str, written: str) -> None:
    assert written_date(date(2026, 3, 5), form) == written
    month = replace(MONTH, netsuite=replace(NETSUITE, date_format=form))
    assert {row["Date"] for row in rows(month)} == {written_date(date(2026, 10, 31), form)}


@pytest.mark.parametrize(
    ("value", "currency", "written"),
    [
        (None, "USD", ""),
        (Decimal("1234.500"), "USD", "1234.50"),
        (Decimal("9999999999.99"), "USD", "9999999999.99"),
        (Decimal("1E+3"), "JPY", "1000"),
        (Decimal("14430.000"), "JPY", "14430"),
        (Decimal("3.120"), "KWD", "3.12"),
        (Decimal("3.125"), "KWD", "3.125"),  # the lint refuses it; a cut would hide why
    ],
)
def test_an_amount_has_a_point_and_no_thousands_mark(value: Decimal | None, currency: str, written: str) -> None:
    assert amount(value, currency) == written


@pytest.mark.parametrize("memo", ['a "quoted", memo', "two\r\nlines", "=1+1", "קורס רדיס", "; | \t"])
def test_any_memo_comes_back_from_the_csv_as_it_went_in(memo: str) -> None:
    assert rows(with_line(MONTH, 0, memo=memo))[0]["Journal Entry - Line: Memo"] == memo


def test_department_and_location_stand_on_their_line_only() -> None:
    table = rows(with_line(MONTH, 0, department="Education", location="Tel Aviv"))
    places = [(row["Journal Entry - Line: Department"], row["Journal Entry - Line: Location"]) for row in table[:2]]
    assert places == [("Education", "Tel Aviv"), ("", "")]


IDS = {
    "subsidiary": {"Redis Inc.": "3"},
    "currency": {"USD": "1", "JPY": "5"},
    "postingPeriod": {"Oct 2026": "214"},
    "account": {line.gl_account: f"9{line.gl_account}" for line in MONTH.lines},
}
WITH_IDS = replace(MONTH, netsuite=replace(NETSUITE, ids=IDS))


def requests(month: ClosedMonth) -> dict[str, dict[str, object]]:
    document = json.loads(rest_bodies(month), parse_float=Decimal, parse_int=Decimal)
    return {request["body"]["tranId"]: request for request in document["requests"]}


def test_a_request_is_an_upsert_that_replaces_the_lines() -> None:
    request = requests(WITH_IDS)[ADJ]
    assert (request["method"], request["sendable"], request["reasons"]) == ("PUT", True, [])
    assert request["path"] == f"/services/rest/record/v1/journalEntry/eid:{ADJ}?replace=line"
    assert request["headers"]["X-NetSuite-PropertyNameValidation"] == "Error"
    assert request["body"] == {
        "tranId": ADJ,
        "subsidiary": {"id": "3"},
        "currency": {"id": "1"},
        "exchangeRate": Decimal(1),
        "tranDate": "2026-10-31",
        "postingPeriod": {"id": "214"},
        "memo": "Stripe us 2026-10 ADJ USD",
        "approved": False,
        "line": {
            "items": [
                {"account": {"id": "97900"}, "debit": Decimal("3.10"), "memo": "Stripe Adjustments, USD"},
                {"account": {"id": "91150"}, "credit": Decimal("3.10"), "memo": "Stripe Clearing, USD"},
            ]
        },
    }


def test_without_an_internal_id_the_body_carries_the_name_and_is_not_sendable() -> None:
    ids = {**IDS, "account": {"7900": "97900"}}
    request = requests(replace(MONTH, netsuite=replace(NETSUITE, ids=ids)))[ADJ]
    assert request["sendable"] is False
    assert request["reasons"] == ['netsuite.ids.account has no "1150"']
    assert request["body"]["line"]["items"][1]["account"] == {"refName": "1150 Stripe Clearing"}


def test_department_and_location_are_references_too() -> None:
    month = with_line(WITH_IDS, 0, department="Education", location="Tel Aviv")
    request = next(iter(requests(month).values()))
    assert request["body"]["line"]["items"][0]["department"] == {"refName": "Education"}
    assert len(request["reasons"]) == 2


def test_a_draft_is_never_sendable() -> None:
    month = replace(draft_month(), netsuite=replace(NETSUITE, ids=IDS))
    assert b'"status": "DRAFT"' in rest_bodies(month)
    assert not any(request["sendable"] for request in requests(month).values())


def test_numbers_are_exact_decimals_not_floats() -> None:
    debit, credit = (line for line in WITH_IDS.lines if line.external_id == ADJ)
    month = with_lines(
        WITH_IDS, [replace(debit, debit=Decimal("9999999999.990")), replace(credit, credit=Decimal("9999999999.990"))]
    )
    text = rest_bodies(month).decode()
    assert '"debit": 9999999999.99,' in text
    assert '"exchangeRate": 0.0067,' in rest_bodies(WITH_IDS).decode()
    assert "E+" not in text


def test_the_idempotency_key_changes_with_the_body_and_only_then() -> None:
    key = "X-NetSuite-Idempotency-Key"
    before, again = requests(WITH_IDS), requests(WITH_IDS)
    changed = requests(with_line(WITH_IDS, 0, memo="another"))
    first, second, *_ = before
    assert before[first]["headers"][key] == again[first]["headers"][key] != before[second]["headers"][key]
    assert before[first]["headers"][key] != changed[first]["headers"][key]
    assert before[second]["headers"][key] == changed[second]["headers"][key]


def test_lines_become_rows_of_the_declared_schema_and_come_back() -> None:
    table = lines_table(MONTH.lines)
    assert table.schema.equals(JOURNAL_LINES.schema)
    assert lines_of(table) == list(MONTH.lines)
    assert lines_of(lines_table([])) == []
    assert table.column("account").to_pylist() == ["us"] * len(MONTH.lines)


def test_a_fourth_decimal_is_refused_not_rounded() -> None:
    with pytest.raises(pa.ArrowInvalid):
        lines_table([replace(MONTH.lines[0], debit=Decimal("1.0001"))])
