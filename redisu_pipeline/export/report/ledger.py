"""Sections about the books: trial balance, clearing roll-forward, late changes, the list of journals."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal

from redisu_pipeline.export.journals import Journal, journals
from redisu_pipeline.export.month import ClosedMonth, RollForwardRow, TrialBalanceRow
from redisu_pipeline.export.report import plots
from redisu_pipeline.export.report.tables import Row, Section, Table, base_first, cut, money, total


def trial_balance(month: ClosedMonth) -> Section:
    """Return each currency's balances; debits equal credits, and closing is opening and what moved."""
    tables = []
    intro = "Opening + debit − credit = closing; debit is positive. Each currency has its own books."
    for currency in base_first(month, (row.currency for row in month.trial_balance)):
        rows = sorted((row for row in month.trial_balance if row.currency == currency), key=lambda row: row.gl_account)
        heads = ("Account", "Name", "#Opening", "#Debit", "#Credit", "#Closing")
        tables.append(cut(f"Trial balance {currency}", heads, [_balance(row) for row in rows], [_balances(rows)]))
        intro += "".join(_why(row, month) for row in rows if row.closing)
        if total(row.opening for row in rows):
            intro += f" Opening balances {currency} of redisu.toml have no other side here, so their sum is not zero."
    return Section("trial-balance", "Trial balance", intro, tables=tuple(tables))


def _why(row: TrialBalanceRow, month: ClosedMonth) -> str:
    """Say of a balance that looks odd at first sight why it stands there."""
    name = f"{row.gl_account_name} {row.currency}"
    if row.gl_role == "in_flight":
        return (
            f" {name}: invoice and money fall into different months; a credit is money whose invoice comes later (C9)."
        )
    if row.gl_role == "transit" and not month.netsuite.post_bank_arrivals:
        return f" {name}: all payouts so far, as those that have arrived are cleared by NetSuite's bank matching (C7)."
    return ""


def _balance(row: TrialBalanceRow) -> Row:
    amounts = _amounts(row.currency, row.opening, row.debit, row.credit, row.closing)
    return Row((row.gl_account, row.gl_account_name, *amounts))


def _balances(rows: Sequence[TrialBalanceRow]) -> Row:
    sums = (total(getattr(row, name) for row in rows) for name in ("opening", "debit", "credit", "closing"))
    return Row(("", "Total", *_amounts(rows[0].currency, *sums)), "total")


def roll_forward(month: ClosedMonth) -> Section:
    """Return the money at Stripe from opening to closing by reporting category, and the same as a plot."""
    of_currency: dict[str, list[RollForwardRow]] = defaultdict(list)
    for row in month.roll_forward:
        of_currency[row.currency].append(row)
    tables, drawn = [], []
    for currency in base_first(month, (*of_currency, *month.clearing)):
        opening, closing = month.clearing.get(currency, (Decimal(0), Decimal(0)))
        rows = of_currency[currency]
        tables.append(_roll_table(currency, opening, rows, closing))
        drawn.append(plots.waterfall(currency, opening, [(row.category, row.net) for row in rows], closing))
    intro = "The payments balance at Stripe: what stood there, what every reporting category moved, what is left (C3)."
    return Section("clearing", "Clearing roll-forward", intro, tables=tuple(tables), plots=tuple(filter(None, drawn)))


def _roll_table(currency: str, opening: Decimal, rows: list[RollForwardRow], closing: Decimal) -> Table:
    shown = [Row(("Opening", "", "", "", money(opening, currency)), "total")]
    shown += [Row((row.category, f"{row.count:,}", *_amounts(currency, row.gross, row.fee, row.net))) for row in rows]
    left = opening + total(row.net for row in rows) - closing
    ends = [Row(("Closing", "", "", "", money(closing, currency)), "total")]
    if left:
        ends.append(Row(("Not explained", "", "", "", money(-left, currency)), "fail"))
    heads = ("Category", "#Rows", "#Gross", "#Fee", "#Net")
    return cut(f"Clearing account {currency}", heads, shown, ends)


def late_changes(month: ClosedMonth) -> Section:
    """Return the lines that change a locked month, by original month and journal; they are posted in this one."""
    rows = [
        Row(
            (
                line.adjusts_period,
                line.external_id,
                str(line.line),
                f"{line.gl_account} {line.gl_account_name}",
                line.currency,
                "" if line.debit is None else money(line.debit, line.currency),
                "" if line.credit is None else money(line.credit, line.currency),
                line.memo,
            )
        )
        for line in sorted(month.lines, key=lambda line: (line.adjusts_period or "", line.external_id, line.line))
        if line.adjusts_period is not None
    ]
    heads = ("Month", "Journal", "#Line", "Account", "Cur.", "#Debit", "#Credit", "Memo")
    intro = (
        "Months that were locked do not change. What Stripe changed in them afterwards is posted here, as the "
        "difference only; the table journal_sources links each line to its cause."
    )
    table = cut("Lines that adjust earlier months", heads, rows)
    empty = "No locked month changed."
    return Section("late", "Late changes", intro if rows else "", empty=empty, tables=(table,) if rows else ())


def journal_list(month: ClosedMonth) -> Section:
    """Return the journals that the import file holds, with their totals."""
    rows = list(_journal_rows(list(journals(month.lines))))
    heads = ("External ID", "Class", "#Lines", "Cur.", "#Debit", "#Credit")
    table = cut("Journals in journal_entries.csv", heads, rows)
    intro = (
        f"Dated {month.period.last_day.isoformat()}; compare these totals with what NetSuite shows after the import."
    )
    return Section("journals", "Journals", intro if rows else "", tables=(table,) if rows else ())


def _journal_rows(whole: list[Journal]) -> Iterator[Row]:
    for journal in whole:
        currency = journal.head.currency
        debit = total(line.debit or Decimal(0) for line in journal.lines)
        credit = total(line.credit or Decimal(0) for line in journal.lines)
        names = (journal.external_id, journal.head.class_.value, f"{len(journal.lines):,}", currency)
        yield Row((*names, *_amounts(currency, debit, credit)), "" if debit == credit else "fail")


def _amounts(currency: str, *values: Decimal) -> tuple[str, ...]:
    return tuple(money(value, currency) for value in values)
