"""One sync: every account at once, events first, then all other resources side by side under one budget.

The same function serves the command line and the Dagster assets.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Protocol

from redisu_pipeline.common.problems import ConfigurationError, Failed, Problem, Refusal
from redisu_pipeline.common.reports import AccountReport, Progress, Silence, SyncReport, TableReport
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.common.stripe_api import API_VERSION, NotThere
from redisu_pipeline.extract import memory
from redisu_pipeline.extract.before_start import BeforeStart
from redisu_pipeline.extract.condense import OF_AN_ACCOUNT, condensed
from redisu_pipeline.extract.family import Family, shape_problem
from redisu_pipeline.extract.opening import Door, opened
from redisu_pipeline.extract.reader import Interrupted
from redisu_pipeline.extract.rows import UnexpectedShape, UnknownValue
from redisu_pipeline.extract.run import Feed, FeedStart, Outcome, Run
from redisu_pipeline.extract.tax_rates import filling_of, needs_rates
from redisu_pipeline.extract.tax_source import TaxSource, derived_tax
from redisu_pipeline.lake import history
from redisu_pipeline.lake.catalog import write_catalog
from redisu_pipeline.lake.filling import Filling, no_filling
from redisu_pipeline.lake.local_storage import failures
from redisu_pipeline.lake.manifest import Cursor, read_manifest
from redisu_pipeline.lake.storage import Storage, open_storage
from redisu_pipeline.lake_tables import every_table
from redisu_pipeline.tables.catalogue import EVENTS, TAX_RATES
from redisu_pipeline.tables.model import Resource, Scope
from redisu_pipeline.tables.registry import TABLES, resources_of
from redisu_pipeline.tables.sales import CHARGES
from redisu_pipeline.tax.table import TAX_BY_JURISDICTION


@dataclass(frozen=True)
class Request:
    """What to sync: no accounts or tables named means all of them; ``since`` lists again from that day (UTC)."""

    accounts: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    full: bool = False
    since: date | None = None


@dataclass(frozen=True)
class _Call:
    """What every account's part of one call of ``sync`` shares."""

    settings: Settings
    storage: Storage
    request: Request
    progress: Progress
    stop: threading.Event
    landing: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class _Result:
    tables: dict[str, TableReport] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    tax_months: tuple[str, ...] = ()


def sync(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    accounts: Sequence[str] = (),
    tables: Sequence[str] = (),
    full: bool = False,
    since: date | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> SyncReport:
    """Bring the lake up to date with Stripe and report what was done, table by table.

    Raises ConfigurationError before anything is read (unknown account or table, a missing key). What fails later is
    in the report's problems; every table that succeeded has landed. Setting ``stop``, or Ctrl-C, ends it cleanly.
    """
    request = Request(tuple(accounts), tuple(tables), full, since)
    _refuse_unknown_tables(request.tables)
    keys = settings.api_keys(environ, request.accounts)
    memory.modest()
    storage = open_storage(settings.lake.uri)
    storage.probe()
    call = _Call(settings, storage, request, progress or Silence(), stop or threading.Event())
    with ThreadPoolExecutor(max_workers=len(keys), thread_name_prefix="account") as pool:
        running = {
            name: pool.submit(_sync_account, call, settings.account(name), key.reveal()) for name, key in keys.items()
        }
        _wait(running.values(), call.stop)
    results = {name: future.result() for name, future in running.items()}
    problems = [problem for result in results.values() for problem in result.problems]
    if call.stop.is_set():
        mend = "run it again: it goes on where it was"
        problems.append(Problem("interrupted", "sync", "stopped before it was complete", mend))
    problems = condensed([*problems, *_refresh_catalog(storage, results.values())])
    reports = {
        name: AccountReport(_in_order(result.tables), result.notes, result.tax_months)
        for name, result in results.items()
    }
    return SyncReport(accounts=reports, problems=tuple(problems))


def _refresh_catalog(storage: Storage, results: Iterable[_Result]) -> Sequence[Problem]:
    if not any(result.tables for result in results):
        return ()
    try:
        write_catalog(storage, every_table())
    except Refusal as refusal:
        return refusal.problems
    return ()


def _in_order(tables: Mapping[str, TableReport]) -> dict[str, TableReport]:
    return {name: tables[name] for name in TABLES if name in tables}


def _refuse_unknown_tables(tables: Iterable[str]) -> None:
    unknown = [name for name in tables if name not in TABLES]
    if unknown:
        known = ", ".join(TABLES)
        raise ConfigurationError(
            Problem("unknown_table", "--table", f"there is no table {', '.join(unknown)}", f"choose from {known}")
        )


def _wait(running: Iterable[Future[_Result]], stop: threading.Event) -> None:
    """Wait for all accounts; the first Ctrl-C asks them to stop after the page at hand."""
    pending = set(running)
    while pending:
        try:
            _, pending = wait(pending, timeout=0.2)
        except KeyboardInterrupt:
            stop.set()


def _sync_account(call: _Call, account: Account, key: str) -> _Result:
    request, storage = call.request, call.storage
    result = _Result()
    resources = _with_rates(resources_of(request.tables))
    tables = list(dict.fromkeys(t.name for resource in (EVENTS, *resources) for t in resource.table.family()))
    tables.append(TAX_BY_JURISDICTION.name)
    since = None if request.since is None else datetime.combine(request.since, time(), UTC)
    database = call.settings.database.url
    door = Door(account, key, storage, database, call.progress, call.stop, call.landing)
    try:
        with opened(door, tables, livemode=door.livemode(), full=request.full, since=since) as run:
            _refuse_other_mode(run)
            _sync_resources(run, resources, TaxSource(call.settings, account, key), result)
            _attempt(run, CHARGES, lambda _: BeforeStart(run, account, result.tables), result)
            if not call.stop.is_set():
                result.tax_months, result.notes = derived_tax(run, account)
            for table in tables:
                area = TAX_BY_JURISDICTION.area if table == TAX_BY_JURISDICTION.name else "stripe"
                history.purge(storage, table, account.name, run.now - call.settings.lake.history, area)
    except Refusal as refusal:
        result.problems.extend(refusal.problems)
    except Interrupted:
        pass
    return result


def _refuse_other_mode(run: Run) -> None:
    """Raise Failed where the account's rows were read with a key of the other mode: live and test data never mix."""
    events, _ = read_manifest(run.storage, EVENTS.name, run.account)
    known = events.cursor.extra.get("mode", run.mode) if events else run.mode
    if known != run.mode:
        what = f"the lake holds {known} data of this account, and the key reads {run.mode} data"
        mend = f"give a {known} key, or sync the {run.mode} data into a lake of its own"
        raise Failed(Problem("key_mode", f"accounts.{run.account}", what, mend))


def _with_rates(resources: tuple[Resource, ...]) -> tuple[Resource, ...]:
    """Sync the tax rates along with what repeats them: a tax that lands before its rate would lack its jurisdiction."""
    if TAX_RATES in resources or not any(needs_rates(resource) for resource in resources):
        return resources
    return (*resources, TAX_RATES)


def _sync_resources(run: Run, resources: Sequence[Resource], report: TaxSource, result: _Result) -> None:
    """Start with the newest events, then read everything side by side; changes are looked up once all events are in."""
    others = [resource for resource in resources if resource is not EVENTS]
    with ThreadPoolExecutor(max_workers=len(others) + 1, thread_name_prefix=f"tables-{run.account}") as pool:
        try:
            events = Family(run, EVENTS, FeedStart(), Feed)
        except Refusal as refusal:  # a damaged manifest: without a place in the feed nothing can be complete
            result.problems.extend(refusal.problems)
            return
        landed = pool.submit(_attempt, run, EVENTS, lambda _: events, result)
        while not (events.begun.wait(0.05) or landed.done()):
            pass
        if any(problem.code in OF_AN_ACCOUNT for problem in result.problems):
            return  # the others would only say the same
        before = FeedStart(seq=events.position, newest=events.newest)
        running: dict[str, Future[Outcome | None]] = {}

        def feed() -> Feed:
            return _feed_of(run, landed.result())

        def filling() -> Filling:
            if TAX_RATES.name in running:
                running[TAX_RATES.name].result()
            return filling_of(run.storage, run.account)

        def begin(resource: Resource) -> _Step:
            if resource.scope is Scope.REPORT:
                return report.sync(run)
            return Family(run, resource, before, feed, filling if needs_rates(resource) else no_filling)

        # The rates first: what refers to them waits for them before it lands.
        for resource in sorted(others, key=lambda one: one is not TAX_RATES):
            running[resource.name] = pool.submit(_attempt, run, resource, begin, result)
        landed.result()
        for future in running.values():
            future.result()


class _Step(Protocol):
    """Brings one resource up to date."""

    def sync(self) -> Outcome:
        """Read and land everything; returns what was done."""


def _attempt(run: Run, resource: Resource, begin: Callable[[Resource], _Step], result: _Result) -> Outcome | None:
    """Sync one resource; a failure is noted and leaves the others alone."""
    try:
        with failures(run.storage.uri(f"stripe/{resource.name}")):
            outcome = begin(resource).sync()
    except Interrupted:
        return None
    except Refusal as refusal:
        result.problems.extend(refusal.problems)
        return None
    except UnexpectedShape as fault:
        result.problems.append(shape_problem(run.account, fault))
        return None
    except NotThere:
        mend = f"check accounts.{run.account}.stripe_api_base; if it is Stripe's, sync again"
        problem = Problem("stripe_address", f"{run.account}/{resource.name}", "a list does not exist there (404)", mend)
        result.problems.append(problem)
        return None
    result.tables.update(outcome.tables)
    result.problems.extend(_unknown_problems(run.account, outcome.unknown))
    return outcome


def _feed_of(run: Run, outcome: Outcome | None) -> Feed:
    if outcome is None:  # events could not be read: the others keep their place in the feed
        manifest, _ = read_manifest(run.storage, EVENTS.name, run.account)
        cursor = manifest.cursor if manifest else Cursor()
    else:
        cursor = outcome.cursor
    newest = datetime.fromtimestamp(cursor.newest_created or 0, UTC)
    return Feed(head=cursor.events_seq, gap=int(cursor.extra.get("gap_seq", 0)), stripe_now=newest)


def _unknown_problems(account: str, unknown: Iterable[UnknownValue]) -> Iterable[Problem]:
    """Return one line for each undocumented value, with an example; the rows have landed as they came."""
    seen: dict[tuple[str, str, str], UnknownValue] = {}
    for value in unknown:
        seen.setdefault((value.table, value.column, value.value), value)
    for value in seen.values():
        code = "unknown_currency" if value.column == "currency" else "unknown_value"
        where = f"{account}/{value.table}.{value.column}"
        sent = f"Stripe sent {value.value!r} ({value.object_id}), which {API_VERSION} does not document; stored as sent"
        mend = "decide what it means for the books and add it to redisu_pipeline/tables (currencies: common/money.py)"
        yield Problem(code, where, sent, mend)
