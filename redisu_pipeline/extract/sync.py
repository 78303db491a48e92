"""One sync: every account at once, events first, then all other resources side by side under one budget.

The same function serves the command line and the Dagster assets.
"""

import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import msgspec
import pyarrow as pa

from redisu_pipeline.common import clock
from redisu_pipeline.common.problems import ConfigurationError, Problem, Refusal
from redisu_pipeline.common.reports import AccountReport, Progress, Silence, SyncReport, TableReport
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.common.stripe_api import API_VERSION, StripeApi, is_live
from redisu_pipeline.extract.budget import LIVE, SANDBOX, Budget
from redisu_pipeline.extract.decode import UnexpectedShape, UnknownValue
from redisu_pipeline.extract.family import Family, shape_problem
from redisu_pipeline.extract.reader import Interrupted, Reader
from redisu_pipeline.extract.run import Feed, FeedStart, Outcome, Run
from redisu_pipeline.lake import history
from redisu_pipeline.lake.locks import writer_lock
from redisu_pipeline.lake.manifest import Cursor, read_manifest
from redisu_pipeline.lake.storage import Storage, open_storage
from redisu_pipeline.tables.catalogue import EVENTS
from redisu_pipeline.tables.model import Resource
from redisu_pipeline.tables.registry import TABLES, resources_of

PAGE_THREADS = 24
"""Pages under way at once: enough for 80 a second at 200 ms, with some threads waiting for an endpoint's turn."""


@dataclass(frozen=True)
class Request:
    """What to sync: no accounts or tables named means all of them; ``since`` lists again from that day (UTC)."""

    accounts: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    full: bool = False
    since: date | None = None


@dataclass
class _Result:
    tables: dict[str, TableReport] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


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
    # Pages are small and short-lived: Arrow's own pool kept a third more memory than the system's for them.
    pa.set_memory_pool(pa.system_memory_pool())
    storage = open_storage(settings.lake.uri)
    storage.probe()
    stop = stop or threading.Event()
    with ThreadPoolExecutor(max_workers=len(keys), thread_name_prefix="account") as pool:
        running = {
            name: pool.submit(
                _sync_account, settings, settings.account(name), key.reveal(), storage, request, progress, stop
            )
            for name, key in keys.items()
        }
        _wait(running.values(), stop)
    results = {name: future.result() for name, future in running.items()}
    problems = [problem for result in results.values() for problem in result.problems]
    if stop.is_set():
        mend = "run it again: it goes on where it was"
        problems.append(Problem("interrupted", "sync", "stopped before it was complete", mend))
    reports = {name: AccountReport(tables=_in_order(result.tables)) for name, result in results.items()}
    return SyncReport(accounts=reports, problems=tuple(dict.fromkeys(problems)))


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


def _sync_account(
    settings: Settings,
    account: Account,
    key: str,
    storage: Storage,
    request: Request,
    progress: Progress | None,
    stop: threading.Event,
) -> _Result:
    result = _Result()
    now = clock.now()
    resources = resources_of(request.tables)
    tables = list(dict.fromkeys(t.name for resource in (EVENTS, *resources) for t in resource.table.family()))
    live = is_live(key)
    budget = Budget(SANDBOX if live is False else LIVE)
    reader = Reader(account.name, StripeApi(key, account.stripe_api_base), budget, stop)
    try:
        with (
            writer_lock(storage.root, account.name, tables, settings.database.url, now) as lock,
            ThreadPoolExecutor(max_workers=PAGE_THREADS, thread_name_prefix=f"pages-{account.name}") as pool,
        ):
            run = Run(
                account=account.name,
                start=account.first_month.bounds(account.timezone)[0],
                storage=storage,
                reader=reader,
                pool=pool,
                progress=progress or Silence(),
                guard=lock.check,
                now=now,
                run_id=f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
                livemode=live if live is not None else _ask_livemode(reader),
                full=request.full,
                since=None if request.since is None else datetime.combine(request.since, time(), UTC),
            )
            _sync_resources(run, resources, result)
            for table in tables:
                history.purge(storage, table, account.name, now - timedelta(days=settings.lake.history_days))
    except Refusal as refusal:
        result.problems.extend(refusal.problems)
    except Interrupted:
        pass
    return result


def _sync_resources(run: Run, resources: Sequence[Resource], result: _Result) -> None:
    """Start with the newest events, then read everything side by side; changes are looked up once all events are in."""
    others = [resource for resource in resources if resource is not EVENTS]
    with ThreadPoolExecutor(max_workers=len(others) + 1, thread_name_prefix=f"tables-{run.account}") as pool:
        try:
            events = Family(run, EVENTS, FeedStart(), Feed)
        except Refusal as refusal:  # a damaged manifest: without a place in the feed nothing can be complete
            result.problems.extend(refusal.problems)
            return
        landed = pool.submit(_attempt, run, events, EVENTS, result)
        while not (events.begun.wait(0.05) or landed.done()):
            pass
        if any(problem.code == "stripe_key" for problem in result.problems):
            return
        before = FeedStart(seq=events.position, newest=events.newest)
        running = [pool.submit(_sync_other, run, resource, before, landed, result) for resource in others]
        landed.result()
        for future in running:
            future.result()


def _sync_other(
    run: Run, resource: Resource, before: FeedStart, events: "Future[Outcome | None]", result: _Result
) -> None:
    def feed() -> Feed:
        return _feed_of(run, events.result())

    try:
        family = Family(run, resource, before, feed)
    except Refusal as refusal:
        result.problems.extend(refusal.problems)
        return
    _attempt(run, family, resource, result)


def _attempt(run: Run, family: Family, resource: Resource, result: _Result) -> Outcome | None:
    """Sync one resource; a failure is noted and leaves the others alone."""
    try:
        outcome = family.sync()
    except Interrupted:
        return None
    except Refusal as refusal:
        result.problems.extend(refusal.problems)
        return None
    except UnexpectedShape as fault:
        result.problems.append(shape_problem(run.account, fault))
        return None
    except OSError as error:
        mend = "mend that and sync again: it goes on where it was"
        what = f"{error.strerror or type(error).__name__}"
        result.problems.append(Problem("operating_system", f"{run.account}/{resource.name}", what, mend))
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


def _ask_livemode(reader: Reader) -> bool:
    class Mode(msgspec.Struct):
        livemode: bool

    decode: Callable[[bytes], Mode] = msgspec.json.Decoder(Mode).decode
    return reader.get("balances", "/v1/balance", {}, decode).livemode
