"""journal_entries.csv for NetSuite's CSV Import Assistant (Transactions > Journal Entry): netsuite-journals.md §1.3.

Finance maps the headings once and saves the mapping, so ``COLUMNS`` must never change. The line columns carry the
prefix that NetSuite's own mapping expects since 2021.2; it also keeps the two memos apart: a file with a bare `Memo`
alone would land on the lines. Our journal class is no NetSuite Class, so there is no such column.

A draft must not be imported by accident: its `Posting Period` reads ``DRAFT Oct 2026``, a period that no account
has, so NetSuite refuses every journal of it, and its memo begins with DRAFT. The External ID stays as it will be: a
draft under another id, once imported, would stand beside the final journal unnoticed.

Text is written as it is, a leading ``=`` too: NetSuite reads no formulas, and an apostrophe against Excel would reach
the ledger. People who want a spreadsheet take journal_entries.xlsx, where text is text.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal

from redisu_pipeline.export.journals import DRAFT, Journal, account_reference, header_memo, journals
from redisu_pipeline.export.month import ClosedMonth
from redisu_pipeline.export.netsuite_limits import DECIMALS, WITHOUT_DECIMALS
from redisu_pipeline.journals.model import JournalLine

COLUMNS = (
    "External ID",
    "Entry No.",
    "Date",
    "Posting Period",
    "Subsidiary",
    "Currency",
    "Exchange Rate",
    "Memo",
    "Approved",
    "Journal Entry - Line: Account",
    "Journal Entry - Line: Debit",
    "Journal Entry - Line: Credit",
    "Journal Entry - Line: Memo",
    "Journal Entry - Line: Department",
    "Journal Entry - Line: Location",
)

# English whatever the machine's locale: NetSuite's sample of DD-MONTH-YYYY is 05-March-2025 (Formatting Dates).
_MONTHS = "January February March April May June July August September October November December".split()
_DATE_PARTS: Mapping[str, Callable[[date], str]] = {
    "YYYY": lambda day: f"{day.year:04d}",
    "MM": lambda day: f"{day.month:02d}",
    "M": lambda day: str(day.month),
    "MONTH": lambda day: _MONTHS[day.month - 1],
    "MON": lambda day: _MONTHS[day.month - 1][:3],
    "DD": lambda day: f"{day.day:02d}",
    "D": lambda day: str(day.day),
}


def netsuite_csv(month: ClosedMonth) -> bytes:
    """Return the import file: one row a line, the head on each; UTF-8, CRLF, RFC 4180; the headings alone if empty."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for journal in journals(month.lines):
        writer.writerows(_rows(month, journal))
    return file.getvalue().encode()


def written_date(day: date, form: str) -> str:
    """Return ``day`` in a date format as NetSuite's preferences name it: ``D-Mon-YYYY`` gives ``31-Oct-2026``."""
    return re.sub(r"[A-Za-z]+", lambda part: _DATE_PARTS[part[0].upper()](day), form)


def amount(value: Decimal | None, currency: str) -> str:
    """Return ``1234.50``: no thousands mark, as many decimals as NetSuite keeps; empty for the other side, never 0.

    A value with more decimals is written in full: the lint has refused it, and a cut would hide why.
    """
    if value is None:
        return ""
    places = 0 if currency in WITHOUT_DECIMALS else DECIMALS
    rounded = round(value, places)
    return f"{rounded:f}" if rounded == value else f"{value:f}"


def _rows(month: ClosedMonth, journal: Journal) -> Iterator[tuple[str, ...]]:
    head = journal.head
    period = f"{DRAFT} {head.posting_period}" if month.is_draft else head.posting_period
    leading = (
        journal.external_id,
        journal.external_id,  # Entry No.: NetSuite's own advice (§1.3)
        written_date(head.tran_date, month.netsuite.date_format),
        period,
        head.subsidiary,
        head.currency,
        f"{head.exchange_rate.normalize():f}",
        header_memo(month, journal),
        "FALSE",  # a person approves (§1.3)
    )
    for line in journal.lines:
        yield (*leading, *_line_cells(line))


def _line_cells(line: JournalLine) -> tuple[str, ...]:
    return (
        account_reference(line),
        amount(line.debit, line.currency),
        amount(line.credit, line.currency),
        line.memo,
        line.department or "",
        line.location or "",
    )
