"""What a person sees while a command runs and when it has ended; everything goes through rich, nothing decides."""

from collections.abc import Iterable, Mapping
from datetime import UTC
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from redisu_pipeline.common.reports import SyncReport, TableReport


def terminal() -> Console:
    """Return the console for what moves: stderr, so that stdout can be piped on."""
    return Console(stderr=True)


def paper() -> Console:
    """Return the console for results: stdout; wide enough for every column where no terminal says its width."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


class _Count(ProgressColumn):
    """Rows so far, of how many where that is known."""

    def render(self, task: Task) -> Text:
        """Return ``1,200/8,000``."""
        total = f"/{task.total:,.0f}" if task.total is not None else ""
        return Text(f"{task.completed:,.0f}{total} rows")


class _Rate(ProgressColumn):
    """Rows a second, lately."""

    def render(self, task: Task) -> Text:
        """Return ``2,000/s``, or nothing before there is a rate."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "")


class SyncProgress:
    """A bar per table with counts, rate and ETA; a context manager, silent where no terminal is attached.

    Implements ``common.reports.Progress``; rich's own lock makes it safe to feed from several threads.
    """

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _Count(),
            _Rate(),
            TextColumn("{task.fields[requests]:,} requests"),
            TimeRemainingColumn(),
            console=console,
            transient=True,  # the final table says the same
            disable=not console.is_terminal,
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def __enter__(self) -> "SyncProgress":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def table_started(self, account: str, table: str, estimate: int | None) -> None:
        """Show a bar; it pulses when nobody knows how many rows will come."""
        self._tasks[account, table] = self._bars.add_task(f"{account} {table}", total=estimate or None, requests=0)

    def advanced(self, account: str, table: str, rows: int, requests: int) -> None:
        """Move the bar; an estimate that proved too low grows along."""
        task = self._tasks.get((account, table))
        if task is None:
            return
        now = self._bars.tasks[self._bars.task_ids.index(task)]
        total = now.total if now.total is None else max(now.total, now.completed + rows)
        self._bars.update(task, advance=rows, total=total, requests=now.fields["requests"] + requests)

    def table_finished(self, account: str, table: str) -> None:
        """Fill the bar."""
        task = self._tasks.get((account, table))
        if task is not None:
            done = self._bars.tasks[self._bars.task_ids.index(task)].completed
            self._bars.update(task, completed=done, total=done or 1)


class StandInAccount(Protocol):
    """What is shown of an account of the stand-ins; its keys open nothing but them."""

    @property
    def name(self) -> str:
        """Key in redisu.toml."""

    @property
    def key(self) -> str:
        """API key."""

    @property
    def webhook_secret(self) -> str:
        """Signing secret."""


class StandIns(Protocol):
    """Where the stand-ins listen (``sandbox.run.Started``)."""

    @property
    def stripe_url(self) -> str:
        """Address of Stripe's stand-in: API and files."""

    @property
    def flockjay_url(self) -> str:
        """Address of FlockJay's stand-in."""

    @property
    def flockjay_key(self) -> str:
        """Key that it takes."""

    @property
    def accounts(self) -> Mapping[str, StandInAccount]:
        """Accounts by name."""


def show_stand_ins(started: StandIns) -> None:
    """Print addresses and keys of the stand-ins, as they go into redisu.toml and the environment."""
    console = paper()
    console.print(f"Stripe   {started.stripe_url}   (stripe_api_base and stripe_files_base)", soft_wrap=True)
    console.print(f"FlockJay {started.flockjay_url}   (flockjay.api_base)\n", soft_wrap=True)
    for name, account in started.accounts.items():
        console.print(f"export STRIPE_API_KEY_{name.upper()}={account.key}", soft_wrap=True)
        console.print(f"export STRIPE_WEBHOOK_SECRET_{name.upper()}={account.webhook_secret}", soft_wrap=True)
    console.print(f"export FLOCKJAY_API_KEY={started.flockjay_key}\n\nCtrl-C ends it.", soft_wrap=True)


def show_sync(console: Console, report: SyncReport) -> None:
    """Print a table for each account: rows, requests against the minimum, seconds, complete until."""
    for account, tables in report.accounts.items():
        grid = Table(
            title=f"account {account}", title_justify="left", box=None, pad_edge=False, header_style="underline"
        )
        # Where the terminal is narrow, names and instants fold; a number is never cut.
        grid.add_column("table", overflow="fold")
        for name in ("new", "changed", "unchanged", "rows", "requests\n/ least", "seconds"):
            grid.add_column(name, justify="right", no_wrap=True)
        grid.add_column("complete until", overflow="fold", justify="right")
        for table, numbers in tables.tables.items():
            grid.add_row(table, *_counts([numbers]), f"{numbers.seconds:.1f}", _until(numbers))
        grid.add_row("all", *_counts(tables.tables.values()), "", "UTC", style="bold")
        console.print(grid)
        said = [f"{table}: {numbers.note}" for table, numbers in tables.tables.items() if numbers.note]
        for line in (*said, *tables.notes):
            console.print(f"  · {line}", style="yellow", highlight=False, soft_wrap=True, markup=False)


def show_tax(console: Console, accounts: Mapping[str, Iterable[Mapping[str, str]]]) -> None:
    """Print tax by jurisdiction of each account; a month that is not complete yet says until when it is."""
    for account, rows in accounts.items():
        grid = Table(
            title=f"account {account}", title_justify="left", box=None, pad_edge=False, header_style="underline"
        )
        for name in ("month", "country", "state", "tax", "currency"):
            grid.add_column(name)
        for name in ("taxable", "collected", "refunded"):
            grid.add_column(name, justify="right", no_wrap=True)
        grid.add_column("source")
        grid.add_column("complete until", overflow="fold")
        for row in rows:
            where = (row["period"], row["country"], row["state"], row["tax_type"], row["currency"].upper())
            amounts = (row["taxable"], row["collected"], row["refunded"])
            grid.add_row(*where, *amounts, row["source"], row["until"] or "complete")
        console.print(grid)


def _counts(tables: Iterable[TableReport]) -> list[str]:
    """Return the sums over ``tables`` as cells: four of rows, and requests beside their minimum."""
    chosen = list(tables)
    rows = [f"{sum(getattr(t, name) for t in chosen):,}" for name in ("new", "changed", "unchanged", "rows")]
    return [*rows, f"{sum(t.requests for t in chosen):,}/{sum(t.minimum for t in chosen):,}"]


def _until(numbers: TableReport) -> str:
    until = numbers.complete_until
    return until.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if until else "never"
