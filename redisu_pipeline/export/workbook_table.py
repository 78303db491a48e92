"""Sheets of the workbook: a table with a frozen head, a filter, number formats by currency, and a page set-up."""

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum, auto
from typing import Any

from openpyxl.styles import Alignment, Font, NamedStyle, PatternFill
from openpyxl.styles.fonts import DEFAULT_FONT
from openpyxl.utils import get_column_letter

from redisu_pipeline.common.money import exponent


@dataclass(frozen=True)
class Formula:
    """A formula without its equals sign; only these are formulas, text never is."""

    text: str


Cell = str | int | Decimal | date | Formula | None
Sheet = Any  # openpyxl has no types


class Kind(Enum):
    """What a column holds."""

    TEXT = auto()
    WRAPPED = auto()
    MONEY = auto()
    COUNT = auto()
    RATE = auto()
    DATE = auto()


@dataclass(frozen=True)
class Column:
    """A heading, its width in signs, and what stands under it."""

    heading: str
    width: int
    kind: Kind


_INK = "091A23"
_HEAD_FONT = Font(bold=True, color="FFFFFF")
_HEAD_FILL = PatternFill("solid", fgColor=_INK)
_TOP = Alignment(vertical="top")
_WRAPPED = Alignment(vertical="top", wrap_text=True)
_MARKS = {"fail": "F9D0CC", "warn": "FDE9B8", "list": "DCE6EC", "pass": "D5F0DD"}
_FILLS = {status: PatternFill("solid", fgColor=color) for status, color in _MARKS.items()}
_CONTROL_SIGNS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # XML cannot hold them
_LONGEST = 32_767  # signs in a cell


def put_table(sheet: Sheet, top: int, columns: Sequence[Column], rows: Sequence[tuple[str, Sequence[Cell]]]) -> None:
    """Write a table whose head is in row ``top``; each row comes with the currency of its money ("" for counts)."""
    for place, column in enumerate(columns, 1):
        cell = sheet.cell(top, place)
        _write_text(cell, column.heading)
        cell.font, cell.fill = _HEAD_FONT, _HEAD_FILL
        numeric = column.kind in (Kind.MONEY, Kind.COUNT, Kind.RATE)
        cell.alignment = Alignment(horizontal="right" if numeric else "left", vertical="center", wrap_text=True)
        letter = get_column_letter(place)
        sheet.column_dimensions[letter].width = max(column.width, sheet.column_dimensions[letter].width)
    for number, (currency, values) in enumerate(rows, top + 1):
        for place, (column, value) in enumerate(zip(columns, values, strict=True), 1):
            if value is not None:
                _put(sheet.cell(number, place), column, value, currency)


def put_list(sheet: Sheet, columns: Sequence[Column], rows: Sequence[tuple[str, Sequence[Cell]]]) -> None:
    """Write a sheet that is one table: its head stays in sight and on every printed page, and filters the rows."""
    put_table(sheet, 1, columns, rows)
    sheet.freeze_panes = "B2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{1 + max(len(rows), 1)}"
    sheet.print_title_rows = "1:1"


def put_facts(sheet: Sheet, title: str, facts: Sequence[tuple[str, str]]) -> int:
    """Write a title and names with their values, and return the row where a table may begin."""
    _write_text(sheet.cell(1, 1), title)
    sheet.cell(1, 1).font = Font(bold=True, size=16, color=_INK)
    for row, (name, value) in enumerate(facts, 3):
        _write_text(sheet.cell(row, 1), name)
        _write_text(sheet.cell(row, 2), value)
        sheet.cell(row, 1).font = Font(bold=True)
        sheet.cell(row, 2).font = Font(bold=True, color="B3261E") if value.startswith("DRAFT") else Font()
    return len(facts) + 4


def set_up_page(sheet: Sheet, name: str, status: str) -> None:
    """Print on A4 across, as wide as the page, the table's head on every page, page numbers and status below."""
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = sheet.PAPERSIZE_A4
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.oddFooter.left.text = f"{name} {sheet.title}"
    sheet.oddFooter.center.text = status
    sheet.oddFooter.right.text = "&P / &N"


def number_format(currency: str) -> str:
    """Return the format of an amount: the currency's decimals, none for a count, negatives with a minus and red."""
    places = exponent(currency) if currency else 0
    plain = "#,##0" + (f".{'0' * places}" if places else "")
    return f"{plain};[Red]-{plain}"


def _put(cell: Any, column: Column, value: str | int | Decimal | date | Formula, currency: str) -> None:
    if isinstance(value, Formula):
        cell.value = f"={value.text}"
    elif isinstance(value, str):
        _write_text(cell, value)
    else:
        cell.value = value
    status = value if column.heading == "Status" and isinstance(value, str) else ""
    cell.style = _style(cell.parent.parent, column.kind, currency if column.kind is Kind.MONEY else "", status)


def _style(book: Any, kind: Kind, currency: str, status: str) -> str:
    """Return the name of a cell's style, made once for a workbook: a style set part by part costs half the time."""
    name = " ".join(filter(None, ("redisu", kind.name.lower(), currency, status)))
    if name not in book.named_styles:
        forms = {Kind.MONEY: number_format(currency), Kind.DATE: "yyyy-mm-dd", Kind.RATE: "0.00######"}
        style = NamedStyle(name, font=copy(DEFAULT_FONT), number_format=forms.get(kind, "General"))
        style.alignment = _WRAPPED if kind is Kind.WRAPPED else _TOP
        style.fill = _FILLS.get(status, PatternFill())
        book.add_named_style(style)
    return name


def _write_text(cell: Any, text: str) -> None:
    cell.value = _CONTROL_SIGNS.sub("", text)[:_LONGEST]
    cell.data_type = "s"  # after the value: what begins with = would have become a formula
