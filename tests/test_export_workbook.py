"""The workbook that finance opens: sheets, formats, formulas beside values, print set-up, the same bytes again."""

import io
import re
import zipfile
from dataclasses import replace
from decimal import Decimal

import openpyxl
import pytest
from closed_months import closed_month, draft_month, with_line, with_lines

from redisu_pipeline.export.month import ClosedMonth
from redisu_pipeline.export.workbook import workbook
from redisu_pipeline.export.workbook_table import number_format
from redisu_pipeline.journals.model import JournalClass

MONTH = closed_month()
BYTES = workbook(MONTH)


def opened(content: bytes = BYTES) -> openpyxl.Workbook:
    return openpyxl.load_workbook(io.BytesIO(content))


def table(sheet: openpyxl.worksheet.worksheet.Worksheet, top: int = 1) -> list[dict[str, object]]:
    """Return the rows under the head in row ``top``."""
    heads = [cell.value for cell in sheet[top]]
    rows = sheet.iter_rows(min_row=top + 1, values_only=True)
    return [dict(zip(heads, row, strict=True)) for row in rows]


def test_there_is_a_sheet_for_every_class_and_one_of_controls() -> None:
    assert opened().sheetnames == ["Summary", "Journals", "Trial balance", *map(str, JournalClass), "Controls"]


def test_every_line_stands_on_the_sheet_of_its_class() -> None:
    book = opened()
    for klass in JournalClass:
        rows = [(row["External ID"], row["Line"], row["Debit"], row["Credit"]) for row in table(book[klass])]
        assert rows == [
            (line.external_id, line.line, _number(line.debit), _number(line.credit))
            for line in MONTH.lines
            if line.class_ is klass
        ]


def _number(value: Decimal | None) -> float | int | None:
    return None if value is None else float(value)


def test_each_journals_totals_are_formulas_checked_against_the_derived_values() -> None:
    """Computed here as a spreadsheet would: SUMIFS over the range and the id that the formula names."""
    book = opened()
    rows = table(book["Journals"])
    assert len(rows) == len({line.external_id for line in MONTH.lines})
    form = r"=SUMIFS\((\w+)!\$([HI])\$2:\$\2\$(\d+),\1!\$A\$2:\$A\$\3,\$A(\d+)\)"
    for number, row in enumerate(rows, 2):
        for side in ("Debit", "Credit"):
            found = re.fullmatch(form, str(row[f"{side} (sheet)"]))
            assert found is not None and int(found[4]) == number
            sheet = book[found[1]]
            assert sheet.max_row == int(found[3]), "the range holds every row of the sheet"
            mine = [r for r in range(2, sheet.max_row + 1) if sheet[f"A{r}"].value == row["External ID"]]
            total = sum(sheet[f"{found[2]}{r}"].value or 0 for r in mine)
            assert total == pytest.approx(row[f"{side} (derived)"], abs=1e-9)
        assert str(row["Check"]).startswith("=IF(AND(ROUND(")


def test_amounts_are_numbers_with_the_currencys_decimals() -> None:
    sheet = opened()["SALES"]
    formats = {sheet[f"E{r}"].value: sheet[f"H{r}"].number_format for r in range(2, sheet.max_row + 1)}
    assert formats == {"USD": "#,##0.00;[Red]-#,##0.00", "JPY": "#,##0;[Red]-#,##0"}
    assert number_format("KWD") == "#,##0.000;[Red]-#,##0.000"
    assert all(isinstance(row["Exchange rate"], int | float) for row in table(sheet))
    assert table(sheet)[0]["Date"].date() == MONTH.period.last_day


def test_the_largest_amount_that_netsuite_takes_survives_the_spreadsheets_doubles() -> None:
    month = with_line(MONTH, 0, debit=Decimal("9999999999.99"))
    assert Decimal(str(table(opened(workbook(month))["FEES"])[0]["Debit"])) == Decimal("9999999999.99")


def test_every_sheet_prints_as_wide_as_the_page_and_its_head_stays_in_sight() -> None:
    for sheet in opened().worksheets:
        assert (sheet.page_setup.orientation, sheet.page_setup.paperSize) == ("landscape", 9)
        assert (sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight) == (1, 0)
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        assert sheet.oddFooter.center.text == "final"
        if sheet.title != "Summary":
            assert (sheet.freeze_panes, sheet.print_title_rows) == ("B2", "$1:$1")
            assert sheet.auto_filter.ref.startswith("A1:")


def test_the_summary_totals_each_currency_over_all_of_its_journals() -> None:
    book = opened()
    top = next(cell.row for cell in book["Summary"]["A"] if cell.value == "Currency")
    rows = table(book["Summary"], top)
    assert [(row["Currency"], row["Journals"], row["Lines"]) for row in rows] == [("JPY", 3, 7), ("USD", 9, 30)]
    assert f"$E${book['Journals'].max_row}," in rows[0]["Debit"]


def test_controls_carry_both_sides_and_their_status() -> None:
    rows = table(opened(workbook(draft_month()))["Controls"])
    assert len(rows) == len(MONTH.controls) >= 30
    failing = [row for row in rows if row["Status"] == "fail"]
    assert [(row["Control"], row["Left"], row["Right"]) for row in failing] == [("C2", 5192.36, 5192.35)]
    assert "txn_1Moved" in failing[0]["Detail"]


def test_a_draft_says_so_on_the_summary_and_on_every_printed_page() -> None:
    book = opened(workbook(draft_month()))
    facts = {row[0].value: row[1].value for row in book["Summary"].iter_rows(min_row=3, max_row=12)}
    assert facts["Status"] == "DRAFT: not to be imported"
    assert "network_cost" in facts["Blocked"]
    assert {sheet.oddFooter.center.text for sheet in book.worksheets} == {"DRAFT"}
    assert "1 fail" in facts["Controls"]


@pytest.mark.parametrize("text", ["=1+1", "=HYPERLINK(A1)", "+1", "-1", "@SUM(A1)", "a\x00b\x0bc", "קורס"])
def test_text_is_never_a_formula_and_never_breaks_the_file(text: str) -> None:
    sheet = opened(workbook(with_line(MONTH, 0, memo=text)))["FEES"]
    assert sheet["J2"].value == text.replace("\x00", "").replace("\x0b", "")
    assert sheet["J2"].data_type == "s"


def test_the_same_month_gives_the_same_bytes_because_no_clock_is_in_them() -> None:
    assert workbook(closed_month()) == BYTES
    with zipfile.ZipFile(io.BytesIO(BYTES)) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        core = archive.read("docProps/core.xml").decode()
    assert core.count("2026-10-31T00:00:00Z") == 2, "created and modified"


def test_another_month_gives_other_bytes() -> None:
    assert workbook(with_line(MONTH, 0, memo="another")) != BYTES


def test_a_month_without_journals_is_a_workbook_too() -> None:
    empty: ClosedMonth = replace(with_lines(MONTH, []), trial_balance=(), controls=())
    book = opened(workbook(empty))
    assert [table(book[klass]) for klass in JournalClass] == [[]] * len(JournalClass)
