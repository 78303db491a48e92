"""``redisu demo``: the whole road on stand-ins, on this machine, without a key.

The world is built as of ten days ago; courses are sold there and everything is read. Then time moves on to the
present, old objects change, and the second sync shows that it noticed. At last every month that is over is closed.
What it leaves behind is an ordinary configuration and lake, which ``make ui`` opens.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from redisu_pipeline.common import clock
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import ConfigurationError, Problem
from redisu_pipeline.common.reports import Outcome, SyncReport
from redisu_pipeline.common.settings import Settings, load
from redisu_pipeline.demo_closing import close_months, show_closes
from redisu_pipeline.demo_selling import free_address, sell
from redisu_pipeline.extract.sync import sync
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.storage import open_storage
from redisu_pipeline.tables.registry import TABLES
from redisu_pipeline.tax.summary import tax_rows
from redisu_pipeline.terminal import SyncProgress, show_sync, show_tax, terminal

if TYPE_CHECKING:
    from sandbox.run import Started

MOVED_ON = timedelta(days=10)
CHECKOUTS = 60  # a month and account

CONFIGURATION = """\
# Written by `redisu demo`. The addresses are those of the stand-ins, which ended with the demo.
[lake]
uri = "lake"

[database]
url = "sqlite:///{folder}/redisu.db"

[service]
public_url = "{service}"

[flockjay]
api_base = "{flockjay}"

[routing]
default = "us"
IL = "il"

[accounts.us]
stripe_api_base = "{stripe}"
stripe_files_base = "{stripe}"
start = {start}
subsidiary = "Redis Inc."
base_currency = "USD"
currency = "usd"
tax = "automatic"

[accounts.il]
stripe_api_base = "{stripe}"
stripe_files_base = "{stripe}"
start = {start}
subsidiary = "Redis Israel Ltd."
base_currency = "ILS"
currency = "ils"
tax = "manual"
manual_tax_rate = {{ display_name = "VAT", percentage = 18, inclusive = false, country = "IL", tax_type = "vat" }}

[courses.redis-101]
name = "Redis for developers"
flockjay_course_id = "fj-redis-101"
tax_code = "txcd_20060058"
prices = {{ usd = 19900, ils = 69900 }}
"""


def run(*, months: int, seed: int, directory: Path, console: Console) -> Outcome:
    """Build a world of ``months`` months before this one, read it, let it change, read it again, close it.

    ``directory`` is made anew: a demo that found an older one would show that one's rows as unchanged.
    """
    from sandbox.run import start

    folder = directory.absolute()
    _start_afresh(folder)
    now = clock.now()
    first = Month.containing(now).shift(-months).first_day
    before = now - MOVED_ON
    with start(seed=seed, months=months, checkouts=CHECKOUTS, start=str(first), env=_at(before)) as stand_ins:
        path = folder / "redisu.toml"
        service = free_address()
        addresses = {"stripe": stand_ins.stripe_url, "flockjay": stand_ins.flockjay_url, "service": service}
        path.write_text(CONFIGURATION.format(folder=folder, start=first, **addresses))
        environ = _keys(stand_ins)
        settings = load(str(path), environ)
        console.print("\n[bold]1. Courses are sold[/bold] through the payment page, Stripe Checkout and the webhook.")
        sales = sell(stand_ins, path, service, {**environ, **_at(before)}, console)
        console.print(f"\n[bold]2. The first sync[/bold] reads everything since {first}.", highlight=False)
        # What was just sold was sold after `before`: the stand-ins' clock has ticked meanwhile, and ours with it.
        reports = [_sync(settings, environ, clock.now() - MOVED_ON, console)]
        now = clock.now()
        console.print(f"\n[bold]3. Ten days pass[/bold], until {now:%Y-%m-%d %H:%M} UTC; then a second sync.")
        stand_ins.control.advance(now)
        reports.append(_sync(settings, environ, now, console))
        console.print("\n[bold]4. The lake[/bold]")
        where = _show_lake(settings, console)
        console.print("\n[bold]5. The months close[/bold]: journals, controls, exports; all but the last are locked.")
        with _clock_at(now):
            closes = close_months(settings, environ)
        show_closes(console, closes)
    console.print(f"configuration {_short(settings.path)}; to look at it in Dagster: make ui", highlight=False)
    fields = {
        "sales": [asdict(sale) for sale in sales],
        "syncs": [report.fields() for report in reports],
        "closes": [report.fields() for report in closes],
        "tables": where,
    }
    problems = [report.problems for report in reports] + [report.problems for report in closes]
    return Outcome(tuple(problem for some in problems for problem in some), fields)


def _start_afresh(folder: Path) -> None:
    """Empty a former demo's folder; refuse one that holds anything else."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "redisu.toml").exists():
        mend = "name an empty or a new folder"
        raise ConfigurationError(Problem("demo_folder", "--dir", f"{folder.name} holds files of something else", mend))
    for name in ("lake", "redisu.toml", "service.log", "redisu.db", "redisu.db-wal", "redisu.db-shm"):
        target = folder / name
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def _at(instant: datetime) -> dict[str, str]:
    return {clock.VARIABLE: instant.isoformat()}


def _keys(stand_ins: "Started") -> dict[str, str]:
    keys = {f"STRIPE_API_KEY_{name.upper()}": account.key for name, account in stand_ins.accounts.items()}
    hooks = {f"STRIPE_WEBHOOK_SECRET_{n.upper()}": account.webhook_secret for n, account in stand_ins.accounts.items()}
    return {**keys, **hooks, "FLOCKJAY_API_KEY": stand_ins.flockjay_key}


@contextmanager
def _clock_at(instant: datetime) -> Iterator[None]:
    """Let this process live at ``instant``, as the stand-ins do."""
    outer = os.environ.get(clock.VARIABLE)
    os.environ[clock.VARIABLE] = instant.isoformat()
    try:
        yield
    finally:
        os.environ.pop(clock.VARIABLE)
        if outer is not None:
            os.environ[clock.VARIABLE] = outer


def _sync(settings: Settings, environ: Mapping[str, str], instant: datetime, console: Console) -> SyncReport:
    with _clock_at(instant), SyncProgress(terminal()) as progress:
        report = sync(settings, environ, progress=progress)
    show_sync(console, report)
    return report


def _show_lake(settings: Settings, console: Console) -> dict[str, dict[str, object]]:
    """Print what the lake holds, table by table, and where; return the same for ``--json``."""
    storage = open_storage(settings.lake.uri)
    grid = Table(header_style="bold")
    grid.add_column("table", no_wrap=True)
    for account in settings.accounts:
        grid.add_column(f"rows {account}", justify="right")
    grid.add_column("months", no_wrap=True)
    grid.add_column("folder", no_wrap=True)
    found: dict[str, dict[str, object]] = {}
    for table in TABLES:
        manifests = [read_manifest(storage, table, account)[0] for account in settings.accounts]
        rows = [manifest.rows if manifest else 0 for manifest in manifests]
        months = sorted({entry.month for manifest in manifests if manifest for entry in manifest.files})
        uri = storage.uri(f"stripe/{table}")
        shown = f"{months[0]} … {months[-1]}" if len(months) > 1 else "".join(months)
        grid.add_row(table, *(f"{count:,}" for count in rows), shown, _short(uri))
        found[table] = {"rows": dict(zip(settings.accounts, rows, strict=True)), "uri": uri}
    console.print(grid)
    console.print("\n[bold]Tax by jurisdiction[/bold] (netsuite/tax_by_jurisdiction), by Stripe's report and invoices")
    show_tax(console, {account: tax_rows(storage, account) for account in settings.accounts})
    return found


def _short(path: str) -> str:
    """A path as seen from here, when it lies below."""
    here = f"{Path.cwd()}/"
    return path.removeprefix(here)
