"""Stripe's own figures of one month, for the controls: what payouts contain, and the balance reports.

Asked when a month is closed and not by a sync, whose requests are counted. What was read once is final (a reconciled
payout, a report over a month that is over), so only what is missing is asked for, and a complete month costs nothing.
Whatever keeps Stripe from answering is said in words and is no failure here: the controls decide what it means.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic
from types import MappingProxyType

import msgspec

from redisu_pipeline.common import clock
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import ConfigurationError, Problem, Refusal
from redisu_pipeline.common.reports import Progress, Silence
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.common.stripe_api import NotThere
from redisu_pipeline.common.stripe_files import StripeFiles
from redisu_pipeline.extract.balance_reports import AVAILABLE, SANDBOX_KEY, BalanceReports, ReportMonth
from redisu_pipeline.extract.figures_lake import Asked, asked_of, figures_from_lake, payouts_of
from redisu_pipeline.extract.figures_model import Figure, Figures, Standing, State
from redisu_pipeline.extract.landing import land
from redisu_pipeline.extract.opening import Door, opened
from redisu_pipeline.extract.payout_contents import PayoutReader
from redisu_pipeline.extract.reader import Interrupted
from redisu_pipeline.extract.rows import UnexpectedShape
from redisu_pipeline.extract.run import Run
from redisu_pipeline.extract.tax_source import ear
from redisu_pipeline.lake import history
from redisu_pipeline.lake.commit import Commit
from redisu_pipeline.lake.manifest import Cursor, read_manifest
from redisu_pipeline.lake.pages import PageStore
from redisu_pipeline.lake.storage import Storage, open_storage
from redisu_pipeline.tables.balance import PAYOUTS
from redisu_pipeline.tables.figures import BALANCE_REPORTS, FIGURES, PAYOUT_TRANSACTIONS
from redisu_pipeline.tables.model import Resource

REPORTS = (Figure.BALANCE, Figure.ACTIVITY, Figure.PAYOUTS)
EXAMPLES = 5
STOPPED = "stopped before it was read; close again"


@dataclass(frozen=True)
class _Whose:
    """Whose month is read, and with what."""

    settings: Settings
    account: Account
    month: Month
    key: str = field(repr=False)


@dataclass
class _Told:
    """What Stripe has told so far: how each figure stands, and lines for people."""

    standings: dict[Figure, Standing]
    problems: list[Problem]
    silent: Standing | None = None  # Stripe does not answer this key at all: nothing more is asked

    def attempt(self, figure: Figure, read: Callable[[], Standing]) -> None:
        """Set the standing of ``figure`` by ``read``, whatever becomes of that."""
        if self.silent is not None:
            self.standings[figure] = self.silent
            return
        try:
            self.standings[figure] = read()
        except Interrupted:
            self.silent = self.standings[figure] = Standing(State.NOT_READ, STOPPED)
        except Refusal as refusal:
            self._refused(figure, refusal.problems[0])
        except UnexpectedShape as fault:
            mend = "compare with Stripe's changelog and correct redisu_pipeline/extract"
            self._refused(figure, Problem("stripe_shape", f"{fault.table} {fault.object_id}", fault.detail, mend))
        except NotThere:
            self.standings[figure] = Standing(State.NOT_READ, "Stripe does not know what was asked for (404)")

    def _refused(self, figure: Figure, problem: Problem) -> None:
        state = {"report_pending": State.LATE, "stripe_permission": State.UNAVAILABLE}.get(problem.code)
        self.standings[figure] = Standing(state or State.NOT_READ, str(problem))
        if problem.code in ("stripe_unreachable", "stripe_key"):
            self.silent = self.standings[figure]
        elif state is None:
            self.problems.append(problem)


def read_figures(
    settings: Settings,
    environ: Mapping[str, str],
    account: str,
    month: Month,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Figures:
    """Return Stripe's figures for ``month`` of ``account``, asking Stripe for what the lake does not hold yet.

    A missing key, a key that may not, a Stripe that does not answer or has not got so far: all are in the standings,
    in words. Raises ConfigurationError for an unknown account, Failed when the lake is damaged or being written.
    """
    chosen = settings.account(account)
    storage = open_storage(settings.lake.uri)
    before = figures_from_lake(storage, chosen, month)
    if before.complete:
        return before
    if clock.now() < month.bounds(chosen.timezone)[1]:
        return _unread(before, Standing(State.LATE, f"{month} is not over yet"))
    try:
        key = chosen.api_key(environ).reveal()
    except ConfigurationError as missing:
        return _unread(before, Standing(State.NOT_READ, str(missing.problems[0])))
    door = Door(chosen, key, storage, settings.database.url, progress or Silence(), stop or threading.Event())
    try:
        livemode = door.livemode()
    except (Refusal, Interrupted) as fault:
        return _unread(before, Standing(State.NOT_READ, str(fault) or STOPPED))
    with opened(door, [one.name for one in FIGURES], livemode=livemode) as run:
        told = _ask(run, _Whose(settings, chosen, month, key), before)
        for one in FIGURES:
            history.purge(storage, one.name, account, run.now - settings.lake.history)
    after = figures_from_lake(storage, chosen, month)
    return replace(after, problems=(*after.problems, *told.problems))


def _unread(before: Figures, standing: Standing) -> Figures:
    """Return what is known already; what is not stands as ``standing``."""
    told = {
        figure: known if (known := before.standing(figure)).state is State.AVAILABLE else standing for figure in Figure
    }
    return replace(before, standings=told)


def _ask(run: Run, whose: _Whose, before: Figures) -> _Told:
    """Ask for everything that is not available yet, and land it."""
    told = _Told(dict(before.standings), [])
    if before.standing(Figure.PAYOUT_CONTENTS).state is not State.AVAILABLE:
        _read_payouts(run, whose, told)
    _read_reports(run, whose, told)
    return told


# -- payouts -----------------------------------------------------------------------------------------------------------


def _read_payouts(run: Run, whose: _Whose, told: _Told) -> None:
    started = monotonic()
    run.progress.table_started(run.account, PAYOUT_TRANSACTIONS.name, None)
    store = _empty_store(run, PAYOUT_TRANSACTIONS)
    reader = PayoutReader(run, store)
    payouts = payouts_of(run.storage, whose.account, whose.month)
    held = {one.id for one in figures_from_lake(run.storage, whose.account, whose.month).payouts}
    wanted = [payout for payout in payouts if payout.reconciled and payout.id not in held]

    def read() -> Standing:
        reader.run(wanted, run.pool)
        waiting = [payout.id for payout in payouts if not payout.reconciled]
        return _listed_until(run.storage, whose) or _reconciled(waiting)

    told.attempt(Figure.PAYOUT_CONTENTS, read)
    if store.pages:
        _land(run, PAYOUT_TRANSACTIONS, store, minimum=reader.minimum, started=started)
    run.progress.table_finished(run.account, PAYOUT_TRANSACTIONS.name)


def _listed_until(storage: Storage, whose: _Whose) -> Standing | None:
    """Say that the lake does not hold all payouts of the month yet; None when it does."""
    manifest, _ = read_manifest(storage, PAYOUTS.name, whose.account.name)
    until = manifest.cursor.complete_until if manifest else None
    end = whose.month.bounds(whose.account.timezone)[1]
    if until is not None and datetime.fromisoformat(until) >= end:
        return None
    reach = f"only until {until}" if until else "not yet"
    return Standing(State.LATE, f"the lake holds payouts {reach}; run `redisu sync` first")


def _reconciled(waiting: list[str]) -> Standing:
    if not waiting:
        return AVAILABLE
    shown = ", ".join(waiting[:EXAMPLES]) + (f" and {len(waiting) - EXAMPLES} more" if len(waiting) > EXAMPLES else "")
    return Standing(State.LATE, f"Stripe has not reconciled {shown} yet; sync and close again later")


# -- reports -----------------------------------------------------------------------------------------------------------


def _read_reports(run: Run, whose: _Whose, told: _Told) -> None:
    started = monotonic()
    run.progress.table_started(run.account, BALANCE_REPORTS.name, None)
    store = _empty_store(run, BALANCE_REPORTS)
    files = StripeFiles(whose.key, whose.account.stripe_files_base)
    heard = ear(whose.settings.database.url, run.account, run.now)
    over = ReportMonth(whose.month, *whose.month.unix(whose.account.timezone))
    reports = BalanceReports(run, store, files, whose.settings.tax, heard, over)
    for figure in REPORTS:
        if told.standings.get(figure) == AVAILABLE:
            continue
        if run.livemode:
            told.attempt(figure, lambda: reports.read(figure))  # noqa: B023  (called at once)
        else:  # Stripe would run it, or not, over no data of the sandbox: either says nothing (stripe.md §6.4)
            told.standings[figure] = Standing(State.UNAVAILABLE, SANDBOX_KEY)
    manifest, _ = read_manifest(run.storage, BALANCE_REPORTS.name, run.account)
    standings = {figure.value: (one.state.value, one.reason) for figure, one in told.standings.items()}
    earlier = asked_of(manifest, whose.month)
    end = reports.available_end if reports.available_end is not None else earlier.available_end
    asked = Asked(dict(sorted(standings.items())), end)
    if store.pages or asked != earlier:
        note = {str(whose.month): msgspec.json.encode(asked).decode()}
        _land(run, BALANCE_REPORTS, store, minimum=reports.minimum, started=started, note=note, available_end=end)
        reports.landed()
    run.progress.table_finished(run.account, BALANCE_REPORTS.name)


# -- landing -----------------------------------------------------------------------------------------------------------


def _empty_store(run: Run, resource: Resource) -> PageStore:
    """Return a page store without what a cut-off run left: only whole payouts and reports land."""
    store = PageStore(run.storage, run.account, resource.name)
    store.resume("")
    store.clear()
    return store


def _land(
    run: Run,
    resource: Resource,
    store: PageStore,
    *,
    minimum: int,
    started: float,
    note: Mapping[str, str] = MappingProxyType({}),
    available_end: int | None = None,
) -> None:
    """Land what ``store`` holds; ``note`` goes into the cursor, by month."""
    manifest, _ = read_manifest(run.storage, resource.name, run.account)
    before = manifest.cursor if manifest else Cursor()
    newest = max([page.newest for page in store.pages] + [before.newest_created or 0])
    until = before.complete_until if available_end is None else _later(before.complete_until, available_end)

    def cursor(_last_event: int) -> Cursor:
        start = int(run.start.timestamp())
        extra = {**before.extra, **note}
        return Cursor(newest_created=newest or None, complete_until=until, listed_from=start, extra=extra)

    commit = Commit(
        storage=run.storage,
        account=run.account,
        resource=resource,
        pages=store,
        first_month=Month.containing(run.start),
        now=run.now,
        guard=run.guard,
    )
    complete = None if until is None else datetime.fromisoformat(until)
    land(run, commit, cursor, minimum=minimum, started=started, complete_until=complete)


def _later(before: str | None, end: int) -> str:
    text = datetime.fromtimestamp(end, UTC).isoformat()
    return text if before is None else max(before, text)
