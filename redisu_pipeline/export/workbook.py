"""journal_entries.xlsx: the month for people who check it in a spreadsheet; a summary, balances, journals, controls.

Amounts are numbers. A spreadsheet computes in doubles, 15 significant digits: NetSuite takes 12 in a line, so every
amount and every sum that anybody will see is exact. Text is always text, whatever sign it begins with.
The same month gives the same bytes (``workbook_file``).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

from openpyxl import Workbook

from redisu_pipeline.export.journals import DRAFT, account_reference, journals
from redisu_pipeline.export.month import ClosedMonth
from redisu_pipeline.export.workbook_file import workbook_bytes
from redisu_pipeline.export.workbook_table import (
    Cell,
    Column,
    Formula,
    Kind,
    put_facts,
    put_list,
    put_table,
    set_up_page,
)
from redisu_pipeline.journals.model import JournalClass, JournalLine

_TEXT, _WIDE, _MONEY, _COUNT = Kind.TEXT, Kind.WRAPPED, Kind.MONEY, Kind.COUNT
LINE_COLUMNS = (
    Column("External ID", 34, _TEXT),
    Column("Line", 6, _COUNT),
    Column("Date", 11, Kind.DATE),
    Column("Posting period", 13, _TEXT),
    Column("Currency", 9, _TEXT),
    Column("Exchange rate", 13, Kind.RATE),
    Column("Account", 34, _TEXT),
    Column("Debit", 16, _MONEY),
    Column("Credit", 16, _MONEY),
    Column("Memo", 50, _TEXT),
    Column("Course", 16, _TEXT),
    Column("Tax country", 11, _TEXT),
    Column("Tax state", 10, _TEXT),
    Column("Adjusts", 10, _TEXT),
)
_ID, _DEBIT, _CREDIT = "A", "H", "I"  # letters of the columns above that the summary's formulas sum
JOURNAL_COLUMNS = (
    Column("External ID", 34, _TEXT),
    Column("Class", 12, _TEXT),
    Column("Currency", 9, _TEXT),
    Column("Lines", 7, _COUNT),
    Column("Debit (sheet)", 16, _MONEY),
    Column("Credit (sheet)", 16, _MONEY),
    Column("Debit (derived)", 16, _MONEY),
    Column("Credit (derived)", 16, _MONEY),
    Column("Check", 12, _TEXT),
)
TOTAL_COLUMNS = (
    Column("Currency", 24, _TEXT),
    Column("Journals", 16, _COUNT),
    Column("Lines", 16, _COUNT),
    Column("Debit", 16, _MONEY),
    Column("Credit", 16, _MONEY),
    Column("Check", 12, _TEXT),
)
BALANCE_COLUMNS = (
    Column("Currency", 9, _TEXT),
    Column("Account", 12, _TEXT),
    Column("Name", 34, _TEXT),
    Column("Role", 18, _TEXT),
    Column("Opening", 16, _MONEY),
    Column("Debit", 16, _MONEY),
    Column("Credit", 16, _MONEY),
    Column("Closing", 16, _MONEY),
    Column("Check", 12, _TEXT),
)
CONTROL_COLUMNS = (
    Column("Control", 9, _TEXT),
    Column("Status", 8, _TEXT),
    Column("Blocking", 9, _TEXT),
    Column("Currency", 9, _TEXT),
    Column("Scope", 24, _TEXT),
    Column("What is compared", 50, _WIDE),
    Column("Left", 16, _MONEY),
    Column("Right", 16, _MONEY),
    Column("Difference", 14, _MONEY),
    Column("Tolerance", 12, _MONEY),
    Column("Detail", 60, _WIDE),
)


def workbook(month: ClosedMonth) -> bytes:
    """Return the workbook: Summary, Journals, Trial balance, a sheet for each class, Controls."""
    book = Workbook()
    book.properties.title = f"Journals {month.account.name} {month.period}"
    book.properties.creator = "redisu"
    summary = book.active
    summary.title = "Summary"
    top = put_facts(summary, f"Stripe journals {month.account.name} {month.period}", list(_facts(month)))
    put_table(summary, top, TOTAL_COLUMNS, list(_total_rows(month, top)))
    put_list(book.create_sheet("Journals"), JOURNAL_COLUMNS, list(_journal_rows(month)))
    put_list(book.create_sheet("Trial balance"), BALANCE_COLUMNS, list(_balance_rows(month)))
    for klass in JournalClass:  # all of them: an empty sheet says that there was nothing
        rows = [(line.currency, _line_cells(line)) for line in month.lines if line.class_ is klass]
        put_list(book.create_sheet(klass.value), LINE_COLUMNS, rows)
    put_list(book.create_sheet("Controls"), CONTROL_COLUMNS, list(_control_rows(month)))
    for sheet in book.worksheets:
        set_up_page(sheet, f"{month.account.name} {month.period}", DRAFT if month.is_draft else month.status)
    return workbook_bytes(book, month.period.last_day)


def _facts(month: ClosedMonth) -> Iterator[tuple[str, str]]:
    status = f"{DRAFT}: not to be imported" if month.is_draft else month.status
    until = month.complete_until
    counts = Counter(row.status.value for row in month.controls)
    yield "Status", status
    yield "Account", f"{month.account.name}, {month.account.subsidiary}"
    yield "Month", f"{month.period} ({month.account.timezone})"
    yield "Version", str(month.version)
    if month.locked_by is not None:
        yield "Locked by", month.locked_by
    yield "Stripe read until", f"{until:%Y-%m-%d %H:%M} UTC" if until is not None else "unknown"
    yield "Controls", ", ".join(f"{counts[name]} {name}" for name in ("fail", "warn", "list", "pass") if counts[name])
    for reason in month.blocked:
        yield "Blocked", reason


def _total_rows(month: ClosedMonth, top: int) -> Iterator[tuple[str, Sequence[Cell]]]:
    """Yield a row for each currency: its journals by formula over the sheet Journals, which ends where they end."""
    last = 1 + sum(1 for _ in journals(month.lines))
    for row, currency in enumerate(sorted({line.currency for line in month.lines}), top + 1):
        mine = [line for line in month.lines if line.currency == currency]
        debit, credit = (
            Formula(f"SUMIFS(Journals!${letter}$2:${letter}${last},Journals!$C$2:$C${last},$A{row})") for letter in "EF"
        )
        count = len({line.external_id for line in mine})
        check = Formula(f'IF(ROUND(D{row}-E{row},3)=0,"ok","CHECK")')
        yield currency, (currency, count, len(mine), debit, credit, check)


def _journal_rows(month: ClosedMonth) -> Iterator[tuple[str, Sequence[Cell]]]:
    """Yield a row for each journal: the sheet's own sums by formula beside what was derived, and whether they agree."""
    rows_of_class = Counter(line.class_ for line in month.lines)
    for row, journal in enumerate(journals(month.lines), 2):
        klass = journal.head.class_
        last = rows_of_class[klass] + 1
        debit, credit = (
            Formula(f"SUMIFS({klass}!${letter}$2:${letter}${last},{klass}!${_ID}$2:${_ID}${last},$A{row})")
            for letter in (_DEBIT, _CREDIT)
        )
        agree = f"AND(ROUND(E{row}-F{row},3)=0,ROUND(E{row}-G{row},3)=0,ROUND(F{row}-H{row},3)=0)"
        yield (
            journal.head.currency,
            (
                journal.external_id,
                klass.value,
                journal.head.currency,
                len(journal.lines),
                debit,
                credit,
                sum((line.debit or Decimal(0) for line in journal.lines), Decimal(0)),
                sum((line.credit or Decimal(0) for line in journal.lines), Decimal(0)),
                Formula(f'IF({agree},"ok","CHECK")'),
            ),
        )


def _balance_rows(month: ClosedMonth) -> Iterator[tuple[str, Sequence[Cell]]]:
    for place, row in enumerate(month.trial_balance, 2):
        adds_up = Formula(f'IF(ROUND(E{place}+F{place}-G{place}-H{place},3)=0,"ok","CHECK")')
        names = (row.currency, row.gl_account, row.gl_account_name, row.gl_role)
        yield row.currency, (*names, row.opening, row.debit, row.credit, row.closing, adds_up)


def _control_rows(month: ClosedMonth) -> Iterator[tuple[str, Sequence[Cell]]]:
    for row in month.controls:
        blocking = "yes" if row.blocking else "no"
        names = (row.control, row.status.value, blocking, row.currency or "", row.scope, row.description)
        sides = (row.left_amount, row.right_amount, row.difference, row.tolerance)
        # A count has no currency and no decimals, whatever it counts.
        yield row.currency if row.unit == "money" and row.currency else "", (*names, *sides, row.detail)


def _line_cells(line: JournalLine) -> Sequence[Cell]:
    return (
        line.external_id,
        line.line,
        line.tran_date,
        line.posting_period,
        line.currency,
        line.exchange_rate,
        account_reference(line),
        line.debit,
        line.credit,
        line.memo,
        line.course,
        line.tax_country,
        line.tax_state,
        line.adjusts_period,
    )
