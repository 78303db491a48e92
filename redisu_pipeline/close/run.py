"""Closing a month of one account: derive, control, write; open → final → locked. Notices what changed in earlier ones.

A locked month never changes. What today's data derive otherwise for it is posted as the difference in the first month
that is not locked. A month that is final but not locked is derived again when what it stands on has changed.
"""

import getpass
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from redisu_pipeline.close import gates, gathering, writing
from redisu_pipeline.close.balances import trial_balance
from redisu_pipeline.close.books import read_books
from redisu_pipeline.close.chart import heading_of
from redisu_pipeline.close.fingerprint import fingerprint
from redisu_pipeline.close.late_changes import (
    accounts_by_number,
    delta,
    late_journal,
    standing_of,
    totals_of,
)
from redisu_pipeline.close.pins import Pins, pin
from redisu_pipeline.close.reading import report_of
from redisu_pipeline.close.report import CloseReport
from redisu_pipeline.close.sources import Journal, journal_of
from redisu_pipeline.close.stored import FINAL, LOCKED, OPEN, PeriodState, Stored
from redisu_pipeline.close.view import MonthView, tax_rows
from redisu_pipeline.common import clock
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.controls.inputs import VersionCheck
from redisu_pipeline.controls.run import run as run_controls
from redisu_pipeline.export.files import render
from redisu_pipeline.extract.figures import read_figures
from redisu_pipeline.journals.books import Books
from redisu_pipeline.journals.derive import Derived, derive
from redisu_pipeline.journals.model import JournalLine
from redisu_pipeline.lake.catalog import write_catalog
from redisu_pipeline.lake.derived import Derivation
from redisu_pipeline.lake.locks import writer_lock
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
    with writer_lock(storage.root, chosen.name, [LOCK], settings.database.url, now) as lock:
        run_id = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        derivation = Derivation(storage, chosen.name, run_id, now, lock.check)
        report = _Desk(settings, environ, chosen, derivation, tell).close(period, signature)
        if report.changed:  # a table that had no file yet is a view of nothing in the catalogue
            write_catalog(storage, every_table())
        return report


@dataclass(frozen=True)
class _Drafted:
    """A month as it was just derived: its own journal, then late changes of locked months."""

    journals: tuple[Journal, ...]
    derived: Derived
    versions: tuple[VersionCheck, ...]

    @property
    def lines(self) -> list[JournalLine]:
        return [line for journal in self.journals for line in journal.lines]


class _Desk:
    """Everything that closing one account needs."""

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], account: Account, derivation: Derivation, tell: Tell
    ) -> None:
        self._settings, self._environ, self._account = settings, environ, account
        self._derivation, self._tell = derivation, tell
        self._stored = Stored(derivation.storage, account.name)
        self._states = self._stored.states()
        self._unchanged: dict[str, str] = {}  # what is to be remembered of locked months that were derived alike

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
        for month, state in list(self._states.items()):
            if month < period and state.status == FINAL:
                seen = self._stored.seen().get(f"final/{month}")
                if seen != self._fingerprint(pin(self._derivation.storage, self._account.name), month):
                    again = self._derive(month, ())
                    notes += [f"{month} had changed since it was final and was derived again: it is {again.status}"]
        return tuple(notes)

    def _fingerprint(self, pins: Pins, month: Month) -> str:
        return fingerprint(self._settings, self._account, pins.hashes, month)

    def _derive(self, period: Month, notes: Sequence[str]) -> CloseReport:
        settings, account = self._settings, self._account
        self._tell(f"{account.name} {period}: Stripe's own figures")
        figures = read_figures(settings, self._environ, account.name, period)
        self._tell(f"{account.name} {period}: journals")
        pins = pin(self._derivation.storage, account.name)
        gates.something_synced(account, pins)
        books = read_books(settings, account, period, pins)
        drafted = self._draft(books, pins)
        earlier = self._stored.lines(before=period)
        lines = sorted(drafted.lines, key=lambda line: (line.external_id, line.line))
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
        controls = run_controls(gathering.control_inputs(gathered))
        balances = trial_balance(settings, account, flat, lines)
        problems = gates.problems(account, period, controls, drafted.derived.blocked)
        changed = writing.write_journals(self._derivation, period, drafted.journals)
        changed = writing.write_controls(self._derivation, period, controls) or changed
        state = self._state(period, drafted.journals, final=not problems)
        page = MonthView(settings, account, books).page(
            state, lines, controls, balances, tax_rows(taxes, period), drafted.derived.blocked
        )
        problems += gates.refused_lines(page, self._states)
        if problems and state.status == FINAL:
            state = self._state(period, drafted.journals, final=False)
            page = replace(page, status=state.status)
        self._tell(f"{account.name} {period}: exports")
        exports = writing.write_exports(self._derivation, period, render(page))
        self._keep(state, {f"final/{period}": self._fingerprint(pins, period)})
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
            notes=(*notes, *dict.fromkeys(late)),
            problems=problems,
            page=page,
        )

    def _draft(self, books: Books, pins: Pins) -> _Drafted:
        """Derive the month, and for the first month that is not locked the late changes of locked ones."""
        period, derived = books.period, derive(books)
        own = self._journal(derived, period)
        journals, versions = [own], list[VersionCheck]()
        if gates.first_not_locked(self._account, self._states) == period:
            for locked in (month for month, state in self._states.items() if state.status == LOCKED):
                late, sums = self._late(locked, period, pins)
                versions += sums
                journals += [late] if late is not None else []
        return _Drafted(tuple(journals), derived, tuple(versions))

    def _late(self, locked: Month, period: Month, pins: Pins) -> tuple[Journal | None, Sequence[VersionCheck]]:
        """Return the difference between a locked month and what today's data derive for it, None when there is none."""
        seen = self._stored.seen().get(f"locked/{locked}")
        now = self._fingerprint(pins, locked)
        stored = self._stored.lines(before=period)
        standing_lines = [
            line for lines in stored.values() for line in lines if (line.adjusts_period or line.period) == str(locked)
        ]
        stands = totals_of(standing_lines)
        if seen == now:
            return None, gathering.version_checks(locked, stands, stands, "its sources have not changed")
        derived = derive(read_books(self._settings, self._account, locked, pins))
        fresh = self._journal(derived, locked)
        wanted = totals_of(fresh.lines)
        if wanted == stands:
            self._unchanged[f"locked/{locked}"] = now
            return None, gathering.version_checks(locked, wanted, stands, "")
        standing = standing_of(locked, stored, self._stored.sources(stored))
        heading = heading_of(
            self._settings,
            self._account,
            period,
            version=standing.version + 1,
            adjusts=locked,
            posted=accounts_by_number(standing.lines, fresh.lines),
        )
        late = late_journal(delta(fresh, standing), heading)
        return late, gathering.version_checks(
            locked, wanted, totals_of([*standing_lines, *late.lines]), "late changes posted"
        )

    def _journal(self, derived: Derived, period: Month) -> Journal:
        heading = heading_of(self._settings, self._account, period)
        return journal_of(derived.postings.collect().to_polars(), derived.totals, heading)

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
        writing.write_state(self._derivation, state, {**self._unchanged, **seen})
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
        pins = pin(self._derivation.storage, self._account.name)
        self._keep(state, {f"locked/{period}": self._fingerprint(pins, period)})
        return replace(report, status=LOCKED, exports=exports, page=page)
