"""The commands of the service and its shop: pages, webhooks, unlocks, courses at Stripe, erasure of personal data."""

import contextlib
import os
from typing import Annotated

import typer

from redisu_pipeline.cli_options import Config, Json
from redisu_pipeline.common.reports import Outcome

app = typer.Typer()


@app.command()
def serve(
    host: Annotated[str, typer.Option("--host", metavar="H", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="P", min=1, max=65535, help="Port to listen on.")] = 8000,
    as_json: Json = False,
    config: Config = None,
) -> Outcome:
    """Serve payment pages, Stripe webhooks and unlock delivery until stopped."""
    from redisu_pipeline.common.settings import load
    from webhook_service import commands

    with contextlib.suppress(KeyboardInterrupt):  # a stop by signal is how it is meant to end
        return commands.serve(load(config, os.environ), os.environ, host, port)
    return Outcome()


@app.command()
def migrate(as_json: Json = False, config: Config = None) -> Outcome:
    """Bring the operations database to this version's tables; stop what uses it first, and back it up."""
    from redisu_pipeline.common.opsdb.migrate import migrate as bring_up
    from redisu_pipeline.common.opsdb.schema import HEAD
    from redisu_pipeline.common.settings import load
    from redisu_pipeline.terminal import paper

    found = bring_up(load(config, os.environ).database.url)
    said = "was there already" if found == HEAD else f"from {found}" if found else "created"
    fields = {"database": {"revision": HEAD, "before": found}}
    return Outcome((), fields, lambda: paper().print(f"The operations database is at revision {HEAD} ({said})."))


unlocks = typer.Typer(help="Support's view of entitlements: who paid, what is unlocked, what went wrong.")
app.add_typer(unlocks, name="unlocks")


@unlocks.command("list")
def unlocks_list(
    state: Annotated[
        list[str] | None, typer.Option("--state", metavar="S", help="Only this state; may be given again.")
    ] = None,
    learner: Annotated[str | None, typer.Option("--learner", metavar="ID", help="Only this learner.")] = None,
    as_json: Json = False,
    config: Config = None,
) -> Outcome:
    """List entitlements with state, attempts and last error, newest first."""
    from redisu_pipeline.common.settings import load
    from webhook_service import commands

    return commands.unlocks_list(load(config, os.environ), state or (), learner)


@unlocks.command("show")
def unlocks_show(
    who: Annotated[str, typer.Argument(metavar="WHO", help="A learner, an order, a session or an e-mail address.")],
    as_json: Json = False,
    config: Config = None,
) -> Outcome:
    """Tell the whole story: click, session, events, attempts, answers."""
    from redisu_pipeline.common.settings import load
    from webhook_service import commands

    return commands.unlocks_show(load(config, os.environ), os.environ, who)


@unlocks.command("retry")
def unlocks_retry(
    order: Annotated[list[str] | None, typer.Argument(metavar="[ORDER]...", help="Only these orders.")] = None,
    as_json: Json = False,
    config: Config = None,
) -> Outcome:
    """Try dead letters again, and what waits."""
    from redisu_pipeline.common.settings import load
    from webhook_service import commands

    return commands.unlocks_retry(load(config, os.environ), os.environ, order or ())


@unlocks.command("done")
def unlocks_done(
    order: Annotated[list[str], typer.Argument(metavar="ORDER...", help="Orders of lines that are worked through.")],
    as_json: Json = False,
    config: Config = None,
) -> Outcome:
    """Say that people have done what the work list of the `manual` preset asks for these orders."""
    from redisu_pipeline.common.settings import load
    from webhook_service import commands

    return commands.unlocks_done(load(config, os.environ), order)


@unlocks.command("reconcile")
def unlocks_reconcile(as_json: Json = False, config: Config = None) -> Outcome:
    """Find what was paid at Stripe in the last 30 days and lacks its unlock, and unlock it."""
    from redisu_pipeline.common.settings import load
    from webhook_service import commands

    return commands.unlocks_reconcile(load(config, os.environ), os.environ)


@app.command()
def erase(
    learner: Annotated[str, typer.Option("--learner", metavar="ID", help="The learner whose personal data go.")],
    as_json: Json = False,
    config: Config = None,
) -> Outcome:
    """Erase a learner's personal data from database, lake and history; ids and amounts stay."""
    from redisu_pipeline import erasing
    from redisu_pipeline.common.settings import load
    from webhook_service import commands

    settings = load(config, os.environ)
    lake = erasing.from_lake(settings, learner, commands.emails_of(settings, learner))
    database, _ = commands.erase(settings, learner)
    return erasing.outcome(learner, database, lake)


catalog = typer.Typer(help="The courses as Stripe's products and prices.", rich_markup_mode=None)
app.add_typer(catalog, name="catalog")


@catalog.command("apply")
def catalog_apply(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    as_json: Json = False,
    config: Config = None,
) -> Outcome:
    """Make the courses exist as Products and Prices in each account; repeated, it changes nothing."""
    from redisu_pipeline.common.settings import load
    from webhook_service.catalog import apply

    return apply(load(config, os.environ), os.environ, dry_run)
