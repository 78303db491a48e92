"""Closing a month of one account: derive, control, write; open → final → locked. Notices what changed in earlier ones.

A locked month never changes. What today's data derive otherwise for it is posted as the difference in the first month
that is not locked. A month that is final but not locked is derived again when what it stands on has changed.
"""

import getpass
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from redisu_pipeline.close import gates, gathering, writing
from redisu_pipeline.close.balances import trial_balance
from redisu_pipeline.close.books import read_books
from redisu_pipeline.close.draft import Drafter
from redisu_pipeline.close.fingerprint import fingerprint, remembered
from redisu_pipeline.close.pins import listed, pins_of
from redisu_pipeline.close.reading import report_of
from redisu_pipeline.close.report import CloseReport
from redisu_pipeline.close.sources import Journal
from redisu_pipeline.close.stored import FINAL, LOCKED, OPEN, PeriodState, Stored
from redisu_pipeline.close.view import MonthView, tax_rows
from redisu_pipeline.common import clock
from redisu_pipeline.common.collector import uncollected
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.controls.run import run as run_controls
from redisu_pipeline.export.files import render
from redisu_pipeline.extract.figures_model import Figures
from redisu_pipeline.lake import history
from redisu_pipeline.lake.catalog import write_catalog
from redisu_pipeline.lake.derived import Derivation
from redisu_pipeline.lake.locks import writer_lock
from redisu_pipeline.lake.netsuite_tables import NETSUITE_TABLES
from redisu_pipeline.lake.storage import open_storage
from redisu_pipeline.lake_tables import every_table

LOCK = "netsuite/journals"


@dataclass(frozen=True)
class Signature:
    """Who locks a month."""

    by: str

    @classmethod
    def of(cls, name: str | None) -> "Signature":
        """Return the signature of ``name``, or of the user of this machine."""
        return cls(name or getpass.getuser())


def _figures(
    settings: Settings, environ: Mapping[str, str], account: str, period: Month, stop: threading.Event
) -> Figures:
    """Ask Stripe; what asks is loaded here, beside the journals, as it takes a quarter of a second."""
    from redisu_pipeline.extract.figures import read_figures

    return read_figures(settings, environ, account, period, stop=stop)


Tell = Callable[[str], None]
"""Hears in words what a close is doing now."""


def _silent(_: str) -> None:
    """Say nothing."""


def close(
    settings: Settings,
    environ: Mapping[str, str],
    account: str,
    month: str,
    signature: Signature | None = None,
    tell: Tell = _silent,
) -> CloseReport:
    """Close ``month`` (YYYY-MM) of ``account``; with a ``signature`` lock it once it is final.

    Raises ConfigurationError (unknown account, no such month, a configuration that cannot be used) or Failed (the
    month before is not final, a file was edited by hand, nothing synced yet). A control that breaks raises nothing:
    the report's problems say so, and the month stays open.
    """
    chosen = settings.account(account)
    period = gates.month_of(month, chosen, clock.now())
    storage = open_storage(settings.lake.uri)
    storage.probe()
    now = clock.now()
    held = writer_lock(storage.root, chosen.name, [LOCK], settings.database.url, now)
    with uncollected(), held as lock:
        run_id = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        derivation = Derivation(storage, chosen.name, run_id, now, lock.check)
        report = _Desk(settings, environ, chosen, derivation, tell).close(period, signature)
        if report.changed:  # a table that had no file yet is a view of nothing in the catalogue
            write_catalog(storage, every_table())
        for table in NETSUITE_TABLES:
            history.purge(storage, table.name, chosen.name, now - settings.lake.history, table.area)
        return report


class _Desk:
    """Everything that closing one account needs."""

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], account: Account, derivation: Derivation, tell: Tell
    ) -> None:
        self._settings, self._environ, self._account = settings, environ, account
        self._derivation, self._tell = derivation, tell
        self._stored = Stored(derivation.storage, account.name)
        self._states = self._stored.states()
        self._posted: Mapping[str, str] = {}  # what the late changes of the last derivation were derived from

    def close(self, period: Month, signature: Signature | None) -> CloseReport:
        notes = self._refresh_earlier(period)
        gates.earlier_is_final(self._account, period, self._states)
        state = self._states.get(period)
        if state is not None and state.status == LOCKED:
            return self._already_locked(state, notes)
        report = self._derive(period, notes)
        if signature is None:
            return report
        return self._lock(report, period, signature)

    # -- deriving --------------------------------------------------------------------------------------------------

    def _refresh_earlier(self, period: Month) -> tuple[str, ...]:
        """Derive earlier months again that are final, not locked, and whose sources have changed since."""
        notes: list[str] = []
        hashes = listed(self._derivation.storage, self._account.name)
        for month, state in list(self._states.items()):
            if month < period and state.status == FINAL:
                now = fingerprint(self._settings, self._account, hashes, month)
                if self._stored.seen().get(remembered(month, FINAL)) != now:
                    again = self._derive(month, ())
                    notes += [f"{month} had changed since it was final and was derived again: it is {again.status}"]
        return tuple(notes)

    def _derive(self, period: Month, notes: Sequence[str]) -> CloseReport:
        settings, account = self._settings, self._account
        self._tell(f"{account.name} {period}: Stripe's own figures")
        with self._asking(period) as asked:
            self._tell(f"{account.name} {period}: journals")
            pins = pins_of(settings, self._derivation.storage, account.name)
            gates.something_synced(account, pins)
            books = read_books(settings, account, period, pins)
            drafter = Drafter(settings, account, self._stored, self._states, pins)
            drafted = drafter.draft(books)
            figures = asked.result()
        self._posted = drafted.posted
        earlier, lines = self._stored.lines(before=period), drafted.lines
        flat = [line for of_month in earlier.values() for line in of_month]
        storage = self._derivation.storage
        taxes = gathering.taxes_of(storage, account.name, period)
        gathered = gathering.Gathered(
            settings=settings,
            account=account,
            books=books,
            derived=drafted.derived,
            journals=drafted.journals,
            lines=lines,
            earlier=earlier,
            figures=figures,
            pins=pins,
            versions=drafted.versions,
            stored=self._stored,
            environ=self._environ,
            taxes=taxes,
            storage=storage,
        )
        self._tell(f"{account.name} {period}: controls")
        with ThreadPoolExecutor(1) as beside:  # writing is Arrow's work, controlling is Polars'
            written = beside.submit(writing.write_journals, self._derivation, period, drafted.journals)
            controls = run_controls(gathering.control_inputs(gathered))
        changed = written.result()
        changed = writing.write_controls(self._derivation, period, controls) or changed
        balances = trial_balance(settings, account, flat, lines)
        problems = gates.problems(account, period, controls, drafted.blocked)
        state = self._state(period, drafted.journals, final=not problems)
        page = MonthView(settings, account, books, gathering.read_until(pins)).page(
            state, lines, controls, balances, tax_rows(taxes, period), drafted.blocked
        )
        problems += gates.refused_lines(page, self._states, {line.external_id for line in flat})
        if problems and state.status == FINAL:
            state = self._state(period, drafted.journals, final=False)
            page = replace(page, status=state.status)
        self._tell(f"{account.name} {period}: exports")
        exports = writing.write_exports(self._derivation, period, render(page))
        self._keep(state, {**drafted.unchanged, remembered(period, FINAL): drafter.fingerprint(period)})
        late = [f"late changes of {one.adjusts_period}: {one.external_id}" for one in lines if one.adjusts_period]
        return CloseReport(
            account=account.name,
            month=str(period),
            status=state.status,
            version=state.version,
            controls=controls,
            trial_balance=balances,
            exports=exports,
            changed=changed,
            notes=(*notes, *dict.fromkeys(late), *(str(problem) for problem in figures.problems)),
            problems=problems,
            page=page,
        )

    @contextmanager
    def _asking(self, period: Month) -> Iterator[Future[Figures]]:
        """Ask for Stripe's own figures beside the block, as only controls need them; they are left when it fails."""
        stop = threading.Event()
        with ThreadPoolExecutor(1) as beside:
            name = self._account.name
            asked = beside.submit(_figures, self._settings, self._environ, name, period, stop)
            try:
                yield asked
            finally:
                stop.set()

    # -- states ----------------------------------------------------------------------------------------------------

    def _state(self, period: Month, journals: Sequence[Journal], *, final: bool) -> PeriodState:
        before = self._states.get(period)
        digest = writing.content_hash(self._derivation, period)
        kept = before is not None and before.status == FINAL and before.content_hash == digest
        at: datetime | None = None
        if final:
            at = before.final_at if kept and before is not None else self._derivation.now
        own = [line.version for journal in journals for line in journal.lines if not line.adjusts_period]
        return PeriodState(period, FINAL if final else OPEN, max(own, default=1), digest, at)

    def _keep(self, state: PeriodState, seen: Mapping[str, str]) -> None:
        writing.write_state(self._derivation, state, seen)
        self._states[state.period] = state

    def _already_locked(self, state: PeriodState, notes: Sequence[str]) -> CloseReport:
        """Say what stands; what has changed since is posted when the first open month is closed."""
        gates.untouched(self._account, state, writing.content_hash(self._derivation, state.period))
        report = report_of(self._settings, self._account, self._derivation.storage, state.period)
        return replace(report, notes=(*notes, *report.notes))

    def _lock(self, report: CloseReport, period: Month, signature: Signature) -> CloseReport:
        """Lock a final month; the exports say so, and nothing of it is ever written again."""
        problems = [*report.problems, *gates.may_lock(self._account, period, report.status, self._states)]
        if problems:
            return replace(report, problems=tuple(problems))
        state = replace(self._states[period], status=LOCKED, locked_at=self._derivation.now, locked_by=signature.by)
        assert report.page is not None
        page = replace(report.page, status=LOCKED, locked_by=state.locked_by, locked_at=state.locked_at)
        exports = writing.write_exports(self._derivation, period, render(page))
        # What it was derived from, not what lies there by now: a sync may have come between.
        derived_from = self._stored.seen()[remembered(period, FINAL)]
        self._keep(state, {**self._posted, remembered(period, LOCKED): derived_from})
        return replace(report, status=LOCKED, exports=exports, page=page)
