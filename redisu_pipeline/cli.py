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
from pathlib import Path
from typing import Annotated, NoReturn, TextIO

import typer

from redisu_pipeline import cli_close, cli_service
from redisu_pipeline.cli_options import Accounts, Config, Json, day_of
from redisu_pipeline.common.problems import Problem, Refusal
from redisu_pipeline.common.reports import Outcome

app = typer.Typer(
    name="redisu",
    help="Redis University: from a paid course to a closed month (Stripe, FlockJay, NetSuite).",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

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

    day = day_of(since, "--since")
    settings = load(config, os.environ)
    chosen = tuple(settings.account(name).name for name in account or ())
    with SyncProgress(terminal()) as progress:
        report = run(
            settings, os.environ, accounts=chosen, tables=tuple(table or ()), full=full, since=day, progress=progress
        )
    return Outcome(report.problems, report.fields(), lambda: show_sync(paper(), report))


app.add_typer(cli_close.app)


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


app.add_typer(cli_service.app)


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
