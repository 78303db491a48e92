"""``redisu``: the one composition root. Commands import what they need when they run, so that ``--help`` is quick.

A command returns an Outcome or raises; only ``main`` prints problems, writes ``--json`` and chooses the exit code.
"""

import contextlib
import errno
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, NoReturn, TextIO

import typer

from redisu_pipeline.common.problems import ConfigurationError, Problem, Refusal
from redisu_pipeline.common.reports import Outcome

app = typer.Typer(
    name="redisu",
    help="Redis University: from a paid course to a closed month (Stripe, FlockJay, NetSuite).",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Config = Annotated[
    str | None,
    typer.Option("--config", metavar="PATH", help="Configuration; else $REDISU_CONFIG, else redisu.toml here."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Accounts = Annotated[
    list[str] | None, typer.Option("--account", metavar="A", help="Only this account; may be given again.")
]

# typer brings its own copy of click from 0.20 on, so its base class is found through what typer shows publicly.
_UsageError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
_INTERRUPTED = 130  # what typer returns after Ctrl-C


@app.callback()
def _root() -> None:
    """Redis University: from a paid course to a closed month (Stripe, FlockJay, NetSuite)."""


@app.command()
def sync(
    account: Accounts = None,
    table: Annotated[
        list[str] | None, typer.Option("--table", metavar="T", help="Only this table; may be given again.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read everything again, not only what is new or changed.")
    ] = False,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="Read again what was created since this day (UTC).")
    ] = None,
    as_json: Json = False,
    config: Config = None,
) -> Outcome:
    """Extract what is new or changed at Stripe into the lake."""
    from redisu_pipeline.common.settings import load
    from redisu_pipeline.extract.sync import sync as run
    from redisu_pipeline.terminal import SyncProgress, paper, show_sync, terminal

    day = _day(since, "--since")
    settings = load(config, os.environ)
    chosen = tuple(settings.account(name).name for name in account or ())
    with SyncProgress(terminal()) as progress:
        report = run(
            settings, os.environ, accounts=chosen, tables=tuple(table or ()), full=full, since=day, progress=progress
        )
    return Outcome(report.problems, report.fields(), lambda: show_sync(paper(), report))


@app.command()
def demo(
    months: Annotated[int, typer.Option("--months", min=1, max=24, help="Months of sales.")] = 3,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, another world.")] = 1,
    directory: Annotated[Path, typer.Option("--dir", file_okay=False, help="Where the demo keeps its files.")] = Path(
        "data/demo"
    ),
    as_json: Json = False,
) -> Outcome:
    """Show the whole road on local stand-ins for Stripe and FlockJay; needs no key."""
    from redisu_pipeline import demo as demonstration
    from redisu_pipeline.terminal import paper

    return demonstration.run(months=months, seed=seed, directory=directory, console=paper())


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
    """Erase a learner's personal data; ids and amounts stay."""
    from redisu_pipeline.common.settings import load
    from webhook_service import commands

    outcome, _ = commands.erase(load(config, os.environ), learner)
    return outcome


@app.command()
def sandbox(
    port: Annotated[int, typer.Option("--port", min=1, max=65534, help="Stripe's; FlockJay is on the next.")] = 8421,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, another world.")] = 1,
) -> Outcome:
    """Serve the stand-ins for Stripe and FlockJay until Ctrl-C, for playing by hand."""
    from redisu_pipeline.terminal import show_stand_ins
    from sandbox.run import Size, serve

    # Ctrl-C is how this command is meant to end.
    with contextlib.suppress(KeyboardInterrupt):
        serve(port, Size(seed=seed), show_stand_ins)
    return Outcome()


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


@app.command()
def doctor(account: Accounts = None, as_json: Json = False, config: Config = None) -> Outcome:
    """Check configuration, keys, permissions, tax, webhooks, lake, database and FlockJay; say how to mend each."""
    from redisu_pipeline.common.settings import load
    from redisu_pipeline.doctor import report
    from redisu_pipeline.doctor.asking import Expected
    from webhook_service import catalog, catalog_plan
    from webhook_service.stripe_events import SWEPT_TYPES

    settings = load(config, os.environ)
    expected = Expected(SWEPT_TYPES, lambda of, api: catalog_plan.plan(of, settings.courses, catalog.read(api, of)))
    return report.doctor(settings, os.environ, tuple(account or ()), expected)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``redisu`` and exit: 0 done, 1 something failed or a control broke, 2 usage or configuration error."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    stdout = sys.stdout
    signal.signal(signal.SIGTERM, _stop)  # a container's stop is as clean as Ctrl-C
    signal.signal(signal.SIGINT, _stop)  # also where a script's background job was started with it ignored
    as_json = "--json" in given
    # Under --json stdout carries one object, whatever a library may print.
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        outcome, code = _run(given)
        if not as_json:
            outcome.show()
        if as_json or not outcome.tells_problems:
            _complain(outcome.problems)
    if as_json:
        command = next((word for word in given if not word.startswith("-")), "")
        _write_json(stdout, command, outcome)
    raise SystemExit(code)


def _run(arguments: list[str]) -> tuple[Outcome, int]:
    """Run one command; whatever it raises becomes problems and an exit code."""
    try:
        result = app(args=arguments, prog_name="redisu", standalone_mode=False)
    except Refusal as refusal:
        return Outcome(refusal.problems), refusal.exit_code
    except _UsageError as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        return Outcome((Problem("usage", "redisu", message, "see redisu --help"),)), 2
    except KeyboardInterrupt:
        result = _INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`); the interpreter must not complain of it once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
        return Outcome(), 1
    except OSError as error:
        what = error.strerror or type(error).__name__
        where = str(error.filename) if error.filename else "redisu"
        return Outcome((Problem("operating_system", where, what, _mend(error)),)), 1
    except Exception as error:  # noqa: BLE001  (the last line of defence: a fault of ours still ends in one answer)
        traceback.print_exc()
        message = f"a fault of this program: {type(error).__name__}"
        return Outcome((Problem("internal_error", "redisu", message, "report it with the lines above"),)), 1
    if isinstance(result, Outcome):
        return result, 1 if result.problems else 0
    if result == _INTERRUPTED:
        return Outcome((Problem("interrupted", "redisu", "stopped", "run the same command again to go on"),)), 1
    return Outcome(), int(result or 0)


def _day(text: str | None, option: str) -> date | None:
    try:
        return date.fromisoformat(text) if text is not None else None
    except ValueError:
        problem = Problem("usage", option, f"{text!r} is not a date", "write it like 2026-10-01")
        raise ConfigurationError(problem) from None


def _stop(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _mend(error: OSError) -> str:
    mends = {
        errno.ENOSPC: "free space there and run again; nothing is lost",
        errno.EDQUOT: "the quota is used up: free space and run again",
        errno.EACCES: "give this user permission",
        errno.EPERM: "give this user permission",
        errno.EROFS: "the file system is read-only: choose another place",
        errno.EADDRINUSE: "choose another port, or stop what listens there",
        errno.EMFILE: "raise the limit of open files (ulimit -n)",
    }
    return mends.get(error.errno or 0, "mend that and run again")


def _complain(problems: Sequence[Problem]) -> None:
    for problem in problems:
        sys.stderr.write(f"{problem}\n")


def _write_json(stdout: TextIO, command: str, outcome: Outcome) -> None:
    problems = [
        {"code": problem.code, "where": problem.where, "message": problem.message, "mend": problem.mend}
        for problem in outcome.problems
    ]
    answer = {"command": command, "ok": not problems, "problems": problems, **outcome.fields}
    stdout.write(json.dumps(answer) + "\n")
    stdout.flush()
