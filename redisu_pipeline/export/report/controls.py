"""Sections about what was proved: what blocks the month, the controls with both sides, what each of them means."""

from collections.abc import Mapping
from decimal import Decimal

from redisu_pipeline.controls.model import ControlRow, Status, Unit
from redisu_pipeline.export.month import ClosedMonth
from redisu_pipeline.export.report.meanings import MEANINGS
from redisu_pipeline.export.report.tables import MOST_ROWS, Row, Section, cut, money

_FIRST = {Status.FAIL: 0, Status.WARN: 1}  # what somebody must look at stands above the rest


def blocking(month: ClosedMonth) -> tuple[str, ...]:
    """Return what keeps the month from being final, in words: things without a rule, then failed controls."""
    failed = [row for row in month.controls if row.stops]
    said = [*month.blocked, *(_failure(row) for row in failed)]
    if len(said) > MOST_ROWS:
        said[MOST_ROWS:] = [f"and {len(said) - MOST_ROWS:,} more, see the controls in journal_entries.xlsx"]
    return tuple(said)


def controls(month: ClosedMonth) -> Section:
    """Return every equation with both of its sides; failures and warnings first, the rest in order."""
    rows = sorted(month.controls, key=lambda row: _FIRST.get(row.status, 2))
    heads = ("Control", "Status", "Cur.", "What is compared", "#Left", "#Right", "#Difference", "Detail")
    intro = (
        "Each control is an equation. “fail” of a blocking control stops the month; “warn” asks for a look; “list” is "
        "a work list, or a side that only finance or Stripe's reports can give. Its number leads to its meaning below."
    )
    table = cut("Controls of the month, both sides", heads, [_row(row) for row in rows])
    return Section("controls", "Controls", intro, empty="No control ran.", tables=(table,) if rows else ())


def footnotes(month: ClosedMonth) -> Mapping[str, str]:
    """Return the meaning of each control that the report shows, in the order of their numbers."""
    shown = {row.control: row.description for row in month.controls}
    return {control: MEANINGS.get(control, shown[control]) for control in sorted(shown, key=_number)}


def _row(row: ControlRow) -> Row:
    scope = f"{row.description} ({row.scope})" if row.scope else row.description
    sides = [_amount(row, value) for value in (row.left_amount, row.right_amount, row.difference)]
    blocks = "" if row.blocking else "not blocking"
    detail = "; ".join(part for part in (blocks, row.detail) if part)
    return Row((row.control, row.status.value, row.currency or "", scope, *sides, detail), row.status.value)


def _failure(row: ControlRow) -> str:
    where = " ".join(part for part in (row.currency, row.scope) if part)
    sides = f"{_amount(row, row.left_amount)} against {_amount(row, row.right_amount)}"
    words = f"{row.control}{f' ({where})' if where else ''}: {row.description}: {sides}"
    return f"{words}. {row.detail}" if row.detail else words


def _amount(row: ControlRow, value: Decimal) -> str:
    if row.unit is Unit.MONEY and row.currency is not None:
        return money(value, row.currency)
    return f"{value.normalize():,f}"


def _number(control: str) -> tuple[int, str]:
    digits = "".join(sign for sign in control if sign.isdigit())
    return int(digits or 0), control
