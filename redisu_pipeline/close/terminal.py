"""A closed month on a terminal: trial balance, controls, differences from the old report. Nothing here decides."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from redisu_pipeline.close.amounts import grouped, grouped_side
from redisu_pipeline.close.compare import Difference, Fit
from redisu_pipeline.close.report import CloseReport
from redisu_pipeline.close.stored import OPEN
from redisu_pipeline.controls.model import ControlRow, Status
from redisu_pipeline.export.month import TrialBalanceRow

Tell = Callable[[str], None]

_COLORS = {Status.PASS: "green", Status.FAIL: "bold red", Status.WARN: "yellow", Status.LIST: "cyan"}
_EVIDENCE = {
    Fit.ONE: "each alone is the difference",
    Fit.PAIR: "together they are the difference",
    Fit.LARGEST: "largest of ours",
    Fit.NOTHING: "nothing of ours on this account",
}


@contextmanager
def step_by_step(console: Console) -> Iterator[Tell]:
    """Show what a close is doing now, while the block runs; silent where no terminal is attached."""
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("closing") as status:
        yield lambda words: status.update(escape(words))


def show_close(console: Console, report: CloseReport) -> None:
    """Print a closed month: its status, trial balance, controls, what a person should know, where the exports are."""
    where = f"{report.account} {report.month} is {report.status}"
    console.print(where, style="bold" if report.status != OPEN else "bold red", highlight=False)
    show_trial_balance(console, report.trial_balance)
    show_controls(console, report.controls)
    for note in report.notes:
        console.print(f"  · {note}", style="yellow", highlight=False, soft_wrap=True, markup=False)
    said = "exports" if report.status != OPEN else "exports (DRAFT: nobody may import them yet)"
    console.print(said, highlight=False)
    for uri in report.exports.values():
        console.print(f"  {uri}", highlight=False, soft_wrap=True, markup=False)


def show_trial_balance(console: Console, rows: Sequence[TrialBalanceRow]) -> None:
    """Print the balances, a table for each currency, with their sums; amounts right-aligned and never cut."""
    ordered = sorted(rows, key=lambda row: (row.currency, row.gl_account))
    for currency, group in groupby(ordered, key=lambda row: row.currency):
        grid = _grid(f"trial balance {currency}")
        grid.add_column("account", no_wrap=True)
        grid.add_column("name", overflow="fold")
        for name in ("opening", "debit", "credit", "closing"):
            grid.add_column(name, justify="right", no_wrap=True)
        sums = [Decimal(0)] * 4
        for row in group:
            amounts = (row.opening, row.debit, row.credit, row.closing)
            sums = [before + amount for before, amount in zip(sums, amounts, strict=True)]
            shown = (grouped(amount, currency) for amount in amounts)
            grid.add_row(Text(row.gl_account), Text(row.gl_account_name), *shown)
        grid.add_row("", "total", *(grouped(amount, currency) for amount in sums), style="bold")
        console.print(grid)
    if not rows:
        console.print("trial balance: nothing was posted")


def show_controls(console: Console, rows: Sequence[ControlRow]) -> None:
    """Print every control with both sides, then in a line each what a failure or warning found."""
    grid = _grid("controls")
    for name in ("control", "status", "cur."):
        grid.add_column(name, no_wrap=True)
    grid.add_column("what is compared", overflow="fold")
    for name in ("left", "right", "difference"):
        grid.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        words = f"{row.description} ({row.scope})" if row.scope else row.description
        sides = (grouped_side(row, amount) for amount in (row.left_amount, row.right_amount, row.difference))
        status = Text(row.status.value, style=_COLORS[row.status])
        grid.add_row(row.control, status, row.currency or "", Text(words), *sides)
    console.print(grid)
    for row in rows:
        if row.status in (Status.FAIL, Status.WARN) and row.detail:
            line = f"  · {row.control} {row.currency or ''} {row.scope}".rstrip() + f": {row.detail}"
            console.print(line, style=_COLORS[row.status], highlight=False, soft_wrap=True, markup=False)


def show_compare(console: Console, differences: Sequence[Difference]) -> None:
    """Print where the old report and the journals differ, with the Stripe ids behind it."""
    if not differences:
        console.print("the old report and the journals agree on every account")
        return
    grid = _grid("old report and journals, debit positive")
    grid.add_column("account", overflow="fold")
    grid.add_column("cur.", no_wrap=True)
    for name in ("old", "ours", "ours − old"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("Stripe ids", overflow="fold")
    for found in differences:
        amounts = (grouped(amount, found.currency) for amount in (found.old, found.ours, found.difference))
        account = Text(f"{found.account} {found.name}".rstrip())
        grid.add_row(account, found.currency, *amounts, Text(_said(found)))
    console.print(grid)


def _said(found: Difference) -> str:
    ids = "\n".join(f"{part.source_id} {grouped(part.amount, found.currency)}" for part in found.evidence)
    more = found.ids - len(found.evidence)
    rest = f", of {found.ids:,}" if more > 0 and found.fit is Fit.LARGEST else ""
    return f"{_EVIDENCE[found.fit]}{rest}" + (f":\n{ids}" if ids else "")


def _grid(title: str) -> Table:
    return Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="underline")
