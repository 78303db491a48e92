"""What `redisu serve`, `redisu unlocks …` and `redisu erase` do; the command line only parses and shows."""

import gc
import logging
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Final, TextIO

from sqlalchemy import ColumnElement, select

from redisu_pipeline.common import clock, logs
from redisu_pipeline.common.opsdb.engine import database_failures
from redisu_pipeline.common.opsdb.schema import orders
from redisu_pipeline.common.problems import ConfigurationError, Failed, Problem
from redisu_pipeline.common.reports import Outcome
from redisu_pipeline.common.settings import Preset, Settings
from redisu_pipeline.common.settings.checks import nearest, shown
from webhook_service import support
from webhook_service.database import Database
from webhook_service.entitlements import State
from webhook_service.erasure import erase_learner
from webhook_service.flockjay import adapter_for
from webhook_service.orders import Order
from webhook_service.services import Services, open_support
from webhook_service.support import Entitlement, Moment
from webhook_service.sweeps import sweep
from webhook_service.work_list import WorkList

RECONCILED: Final = timedelta(days=30)
_GRACE_SECONDS: Final = 20
# The default of 5 ms is how long a commit would wait for the event loop, and the loop for it.
_SWITCH_SECONDS: Final = 0.001
_GARBAGE: Final = 2_000
"""New objects from which on garbage is looked for; the default of 700 takes a tenth of a flood's processor time."""
_COLUMNS: Final = ("order_id", "learner", "course", "account", "session_id", "state", "attempts", "last_error")


def serve(settings: Settings, environ: Mapping[str, str], host: str, port: int) -> Outcome:
    """Serve until stopped; running requests and jobs end first. Raises ConfigurationError, Failed and OSError."""
    configure_logs()
    sys.setswitchinterval(_SWITCH_SECONDS)
    with closing(_listening(host, port)) as listening:
        return _served(settings, environ, listening)


def _served(settings: Settings, environ: Mapping[str, str], listening: socket.socket) -> Outcome:
    import uvicorn

    from webhook_service.app import create_app

    with database_failures(settings.database.url):
        app = create_app(settings, environ)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        limit_concurrency=2000,
    )
    server = uvicorn.Server(config)
    gc.freeze()  # what is here now stays: a collection that walks through all of it would hold up webhooks
    gc.set_threshold(_GARBAGE, *gc.get_threshold()[1:])
    server.run([listening])
    if not server.started:
        raise Failed(Problem("not_started", "serve", "the service did not start", "see the log lines above"))
    return Outcome()


def configure_logs(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """JSON lines on stderr. Libraries say only what is wrong: their other lines name learners in addresses."""
    logs.configure(stream, level)
    for chatty in ("stripe", "httpx", "httpcore", "urllib3", "asyncio", "python_multipart"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def unlocks_list(settings: Settings, states: Sequence[str] = (), learner: str | None = None) -> Outcome:
    """List entitlements, newest first."""
    unknown = [state for state in states if state not in list(State)]
    if unknown:
        raise ConfigurationError(
            Problem("usage", "--state", f"{shown(state)} is not a state", nearest(state, State)) for state in unknown
        )
    which: list[ColumnElement[bool]] = [orders.c.state.in_(states)] if states else []
    if learner is not None:
        which.append(orders.c.learner == learner)
    with _database(settings) as database, database.read() as connection:
        return _outcome(support.entitlements(connection, *which))


def unlocks_show(settings: Settings, environ: Mapping[str, str], who: str) -> Outcome:
    """Tell the whole story of a learner, an order, a session or an e-mail address, and what FlockJay says now."""
    with _database(settings) as database, database.read() as connection:
        found = support.orders_of(connection, who)
        if not found:
            mend = "name a learner's id, an order (ord_…), a session (cs_…) or an e-mail address"
            raise Failed(Problem("not_found", "unlocks show", "there is no order of that name", mend))
        theirs = support.entitlements(connection, orders.c.order_id.in_([order.order_id for order in found]))
        moments = support.story(connection, found)
    told = _outcome(theirs, moments)
    return replace(told, fields={**told.fields, "flockjay_says": _asked(settings, environ, found)})


def unlocks_retry(settings: Settings, environ: Mapping[str, str], order_ids: Sequence[str] = ()) -> Outcome:
    """Try dead letters again, all or those of the orders named, and say what is still not unlocked."""
    with _support(settings, environ) as services:
        services.database.write(lambda connection: support.retry(connection, services.now(), order_ids))
        before = _named(services, order_ids)
        support.drain(services)
        after = _named(services, [one.order_id for one in before])
        return _outcome(after, problems=_unsolved(after))


def unlocks_done(settings: Settings, order_ids: Sequence[str]) -> Outcome:
    """Note that people have done what the work list of the `manual` preset says of these orders."""
    if settings.flockjay.preset is not Preset.MANUAL:
        mend = 'only flockjay.preset = "manual" has a work list; else use redisu unlocks retry'
        raise ConfigurationError(Problem("usage", "unlocks done", f"the preset is {settings.flockjay.preset}", mend))
    with _database(settings) as database:
        found, unknown = database.write(lambda connection: support.done(connection, order_ids, clock.now()))
        with database.read() as connection:
            after = support.entitlements(connection, orders.c.order_id.in_([order.order_id for order in found]))
    mend = "redisu unlocks list shows the orders"
    return _outcome(after, problems=tuple(Problem("not_found", one, "there is no such order", mend) for one in unknown))


def unlocks_reconcile(settings: Settings, environ: Mapping[str, str]) -> Outcome:
    """Compare 30 days of paid sessions and events at Stripe with the orders here, and unlock what lacks it."""
    problems: list[Problem] = []
    with _support(settings, environ) as services:
        with services.database.read() as connection:
            before = {one.order_id: one.state for one in support.entitlements(connection)}
        for account in services.stripe:
            swept = sweep(services, account, RECONCILED)
            if swept.error is not None:
                where, mend = f"accounts.{account}", "check the key and the network, then run it again"
                problems.append(Problem("sweep_failed", where, swept.error, mend))
        support.drain(services)
        with services.database.read() as connection:
            after = support.entitlements(connection)
        changed = [one for one in after if before.get(one.order_id) != one.state or one.state == State.PAID]
        return _outcome(changed, problems=(*problems, *_unsolved(changed)))


def emails_of(settings: Settings, learner: str) -> tuple[str, ...]:
    """The learner's e-mail addresses, as long as they are not erased: the lake is searched for them."""
    wanted = select(orders.c.email).where(orders.c.learner == learner, orders.c.email.is_not(None)).distinct()
    with _database(settings) as database, database.read() as connection:
        return tuple(sorted(connection.execute(wanted).scalars()))


def erase(settings: Settings, learner: str) -> tuple[Outcome, tuple[str, ...]]:
    """Erase a learner's personal data from the database and the work list; returns the e-mail addresses that went.

    The lake comes first: who the learner is there is found by these addresses, too.
    """
    with _database(settings) as database:
        erased = database.write(lambda connection: erase_learner(connection, learner, clock.now()))
        if not database.is_shared:
            # Else the text stays in the write-ahead log until its pages are used again.
            with closing(database.engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    listed = WorkList(settings.flockjay.work_list).forget(learner)
    fields = {"erased": {"orders": erased.orders, "events": erased.events, "work_list_rows": listed}}
    return Outcome(fields=fields), erased.emails


def _asked(settings: Settings, environ: Mapping[str, str], found: Sequence[Order]) -> dict[str, bool | None]:
    """Whether the learner has each order's course at FlockJay; None where it cannot be asked or its key is missing."""
    try:
        flockjay = adapter_for(settings, settings.flockjay.api_key(environ))
    except ConfigurationError:
        return {order.order_id: None for order in found}
    try:
        return {order.order_id: flockjay.has_access(order.learner, order.course_id) for order in found}
    finally:
        flockjay.close()


def _named(services: Services, order_ids: Sequence[str]) -> list[Entitlement]:
    with services.database.read() as connection:
        if order_ids:
            return support.entitlements(connection, orders.c.order_id.in_(order_ids))
        return support.needing_help(connection)


def _unsolved(found: Iterable[Entitlement]) -> tuple[Problem, ...]:
    mend = "see redisu unlocks show, mend the cause, then redisu unlocks retry"
    return tuple(
        Problem("not_unlocked", one.order_id, one.last_error or "is paid and not unlocked yet", mend)
        for one in found
        if one.state == State.PAID or one.last_error
    )


def _outcome(found: Sequence[Entitlement], story: Sequence[Moment] = (), problems: tuple[Problem, ...] = ()) -> Outcome:
    fields: dict[str, object] = {"entitlements": [one.fields() for one in found]}
    if story:
        fields["story"] = [moment.fields() for moment in story]
    return Outcome(problems, fields, _shower(found, story))


def _shower(found: Sequence[Entitlement], story: Sequence[Moment]) -> Callable[[], None]:
    def show() -> None:
        from rich.console import Console
        from rich.table import Table

        console = Console()
        console = console if console.is_terminal else Console(width=200)
        grid = Table(*_COLUMNS, header_style="bold")
        for one in found:
            grid.add_row(*("" if value is None else str(value) for value in one.fields().values()))
        console.print(grid)
        if story:
            told = Table("when (UTC)", "what", "detail", "correlation id", header_style="bold")
            for moment in story:
                told.add_row(f"{moment.at:%Y-%m-%d %H:%M:%S}", moment.what, moment.detail, moment.correlation_id)
            console.print(told)

    return show


@contextmanager
def _support(settings: Settings, environ: Mapping[str, str]) -> Iterator[Services]:
    with database_failures(settings.database.url):
        services = open_support(settings, environ)
        try:
            yield services
        finally:
            services.close()


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    with database_failures(settings.database.url):
        database = Database(settings.database.url)
        try:
            yield database
        finally:
            database.close()


def _listening(host: str, port: int) -> socket.socket:
    """Take the port before anything else: a port in use is said in one line, not by a half-started service."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        error.filename = f"{host}:{port}"
        raise
    made.listen(2048)
    made.set_inheritable(True)
    return made
