"""What `redisu doctor` answers: the checks as an Outcome, and as a table for a terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from redisu_pipeline.common.reports import Outcome
from redisu_pipeline.common.settings import Settings
from redisu_pipeline.doctor.asking import Expected
from redisu_pipeline.doctor.examine import examine
from redisu_pipeline.doctor.model import Check, State, folded
from redisu_pipeline.terminal import paper, terminal

STYLES: Final = {State.OK: "green", State.WARN: "yellow", State.FAIL: "bold red", State.SKIP: "dim"}


def doctor(settings: Settings, environ: Mapping[str, str], accounts: Sequence[str], expected: Expected) -> Outcome:
    """Make the checks; each that failed is a problem."""
    with terminal().status("looking at Stripe, the lake, the database and FlockJay …"):
        checks = examine(settings, environ, expected, accounts)
    problems = tuple(check.problem() for check in checks if check.state is State.FAIL)
    fields = {"checks": [check.fields() for check in checks]}
    return Outcome(problems, fields, lambda: show(paper(), checks), tells_problems=True)


def show(console: Console, checks: Sequence[Check]) -> None:
    """Print a row for each check (alike ones in one row) with what was found and how to mend it."""
    grid = Table(box=None, pad_edge=False, header_style="underline")
    grid.add_column("", no_wrap=True)
    grid.add_column("check", overflow="fold", max_width=34)
    grid.add_column("what was found", overflow="fold")
    for row in folded(checks):
        finding = row.finding
        found = Text(finding.evidence, style="dim" if finding.state is State.SKIP else "")
        if finding.mend:
            found.append(f"\n→ {finding.mend}", style=STYLES[finding.state].replace("bold ", ""))
        grid.add_row(Text(finding.state.value, STYLES[finding.state]), Text(row.label), found)
    console.print(grid)
    console.print(f"\n{summary(checks)}", highlight=False, markup=False)


def summary(checks: Sequence[Check]) -> str:
    """Count the checks by how they ended."""
    counts = Counter(check.state for check in checks)
    words = {State.OK: "ok", State.WARN: "to look at", State.FAIL: "failed", State.SKIP: "skipped"}
    return f"{len(checks)} checks: {', '.join(f'{counts[state]} {word}' for state, word in words.items())}"
