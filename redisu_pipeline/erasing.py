"""What `redisu erase` did, of the database and of the lake, as one answer."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from rich.table import Table

from redisu_pipeline.common import clock
from redisu_pipeline.common.problems import Problem
from redisu_pipeline.common.reports import Outcome
from redisu_pipeline.common.settings import Settings
from redisu_pipeline.lake.erase import AccountErasure, erase_from_lake
from redisu_pipeline.terminal import paper

STRIPE_KEEPS: Final = (
    "Stripe keeps its own copy: redact these customers there. What a later sync reads of them is blanked again."
)


def from_lake(settings: Settings, learner: str, emails: Sequence[str]) -> dict[str, AccountErasure]:
    """Erase the learner from the lake, by account. Raises Failed while a sync writes it."""
    return erase_from_lake(settings.lake.uri, settings.database.url, learner, emails, clock.now())


def outcome(learner: str, database: Outcome, lake: Mapping[str, AccountErasure]) -> Outcome:
    """Put both parts together; a learner of whom nobody knows anything is a problem: it may be a slip of the pen."""
    erased = dict(cast("Mapping[str, object]", database.fields["erased"]))
    tables = {account: {name: one.fields() for name, one in done.tables.items()} for account, done in lake.items()}
    customers = {account: list(done.customers) for account, done in lake.items() if done.customers}
    problems = database.problems
    if not any(erased.values()) and not any(done.known for done in lake.values()):
        mend = "check the id: redisu unlocks list shows the learners"
        problems = (*problems, Problem("not_found", f"--learner {learner}", "nothing is known of this learner", mend))
    fields = {"erased": {**erased, "lake": tables}, "customers": customers, "note": STRIPE_KEEPS}
    return Outcome(problems, fields, lambda: _show(erased, lake, customers))


def _show(
    database: Mapping[str, object], lake: Mapping[str, AccountErasure], customers: Mapping[str, Sequence[str]]
) -> None:
    grid = Table("where", "what", "rows", "files", "files of the history", header_style="bold")
    for name, count in database.items():
        grid.add_row("database" if name != "work_list_rows" else "work list", name, str(count), "", "")
    for account, done in lake.items():
        for name, one in done.tables.items():
            grid.add_row(f"lake, {account}", name, f"{one.rows:,}", str(one.files), str(one.history))
    console = paper()
    console.print(grid)
    for account, ids in customers.items():
        console.print(f"{account}: {', '.join(ids)}")
    console.print(STRIPE_KEEPS)
