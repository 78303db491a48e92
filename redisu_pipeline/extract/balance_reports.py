"""Stripe's balance reports over one month of the books: run, kept as CSV in the lake, and read into rows.

A month's report is run once, when the data reach the month's end (`data_available_end`, never a fixed wait), and does
not change afterwards. Source: stripe.md §6.4, §6.7.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from redisu_pipeline.common import clock
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.common.settings import TaxReport
from redisu_pipeline.common.stripe_api import NotThere, Refused
from redisu_pipeline.common.stripe_files import StripeFiles
from redisu_pipeline.extract.balance_rows import BalanceRow, ReportFacts, balance_rows
from redisu_pipeline.extract.csv_file import Unreadable
from redisu_pipeline.extract.decode import Page
from redisu_pipeline.extract.figures_model import Figure, Standing, State
from redisu_pipeline.extract.report_runs import Fetched, Intent, ReportRuns, ReportType, Terms, keep
from redisu_pipeline.extract.rows import Origins
from redisu_pipeline.extract.run import Run
from redisu_pipeline.lake.pages import PageStore
from redisu_pipeline.tables.figures import BALANCE_REPORTS

TABLE = BALANCE_REPORTS.table
SANDBOX_KEY = "a sandbox key runs none"
AVAILABLE = Standing(State.AVAILABLE)


@dataclass(frozen=True)
class ReportMonth:
    """What the reports are over: the month, and its bounds in the books' zone as unix seconds, [start, end)."""

    month: Month
    start: int
    end: int


class BalanceReports:
    """Reads the reports of one account and month into a page store, one after the other.

    ``waiting`` says how patiently (the `[tax]` section: the waits are those of any report run).
    """

    def __init__(
        self,
        run: Run,
        store: PageStore,
        files: StripeFiles,
        waiting: TaxReport,
        heard: Callable[[str], bool],
        over: ReportMonth,
    ) -> None:
        self._run, self._store, self._files, self._waiting, self._heard = run, store, files, waiting, heard
        self._over = over
        self._read: list[ReportRuns] = []
        self.minimum = 0
        self.available_end: int | None = None

    def read(self, figure: Figure) -> Standing:
        """Read one report and say how it stands. Raises Failed for one that cannot be read, and Interrupted."""
        runs = ReportRuns(
            TABLE.name, self._run.storage, self._run.reader, self._files, self._terms(figure), self._heard
        )
        self.minimum += 1
        try:
            available = runs.available()
            standing = self._standing(available)
            if standing is not None:
                return standing
            fetched = runs.fetch(self._intent(runs, figure, available), self._target(figure))
        except Refused as refused:
            runs.done()
            return self._refusal(figure, refused)
        except NotThere:
            reason = f"Stripe has no report type {figure.value} for this account"
            return Standing(State.UNAVAILABLE, reason)
        self.minimum += 2
        self._stage(runs, fetched, self._keep(fetched, available))
        self._read.append(runs)
        return AVAILABLE

    def landed(self) -> None:
        """Forget what was asked for: its rows have landed."""
        for runs in self._read:
            runs.done()

    def _terms(self, figure: Figure) -> Terms:
        waiting = self._waiting
        return Terms(
            type=figure.value,
            columns=(),
            place=f".staging/reports/{self._run.account}/{figure.value}/{self._over.month}.json",
            attempts=waiting.attempts,
            wait_minutes=waiting.wait_minutes,
            abandon_minutes=waiting.abandon_minutes,
        )

    def _standing(self, available: ReportType) -> Standing | None:
        """Return how the report stands without being run; None when it is there to be run."""
        end = available.data_available_end
        self.available_end = end if self.available_end is None else min(self.available_end, end)
        if end < self._over.end:
            reason = f"{available.id} reaches to {_iso(end)}, the month ends {_iso(self._over.end)}; close again later"
            return Standing(State.LATE, reason)
        if available.data_available_start >= self._over.end:
            return AVAILABLE  # the account had no balance yet: nothing to compare, and Stripe would refuse the run
        return None

    def _intent(self, runs: ReportRuns, figure: Figure, available: ReportType) -> Intent:
        """Return what to run: what a cut-off close asked for when that is the same, else a new run."""
        start = max(self._over.start, available.data_available_start)
        pending = runs.pending()
        if pending is not None and (pending.start, pending.end) == (start, self._over.end):
            return pending
        return Intent(figure.value, start, self._over.end)

    def _refusal(self, figure: Figure, refused: Refused) -> Standing:
        """Tell a key that may not from a request that is wrong. Only the latter is a fault."""
        if refused.status == 403:
            return Standing(State.UNAVAILABLE, "the key may not run reports (403)")
        if refused.status == 400 and not self._run.livemode:
            return Standing(State.UNAVAILABLE, SANDBOX_KEY)
        if refused.status == 401:
            mend = "put a valid secret or restricted key into the variable it names"
            name = f"accounts.{self._run.account}.stripe_api_key_env"
            raise Failed(Problem("stripe_key", name, "Stripe does not accept the API key (401)", mend))
        message = f"Stripe refused the report run ({refused.status} {refused.code}): {refused.detail}"
        mend = "report this: the request does not fit Stripe's API"
        raise Failed(Problem("stripe_refused", f"{self._run.account}/{figure.value}", message, mend))

    # -- the file ---------------------------------------------------------------------------------------------------

    def _target(self, figure: Figure) -> Path:
        return self._run.storage.scratch() / f"{self._run.account}-{figure.value}-{self._over.month}.csv"

    def _keep(self, fetched: Fetched, available: ReportType) -> str:
        """Put the CSV into the lake; return its path."""
        path = (
            f"reports/stripe/account={self._run.account}/{fetched.intent.type}/{self._over.month}_{fetched.run.id}.csv"
        )
        keep(self._run.storage, fetched, available, path)
        return path

    def _stage(self, runs: ReportRuns, fetched: Fetched, path: str) -> None:
        """Write the file's rows as a page checkpoint; nothing of a file that cannot be read."""
        intent = fetched.intent
        created = int(datetime(self._over.month.year, self._over.month.month, 1, tzinfo=UTC).timestamp())
        facts = ReportFacts(
            period=str(self._over.month),
            report_type=intent.type,
            created=created,
            interval_start=intent.start,
            interval_end=intent.end,
            report_run=fetched.run.id,
            file=path,
        )
        try:
            with fetched.file.open(encoding="utf-8", newline="") as lines:
                rows = balance_rows(lines, facts)
        except (Unreadable, UnicodeDecodeError) as fault:
            runs.give_up(intent)
            what = str(fault) if isinstance(fault, Unreadable) else f"is not UTF-8 at byte {fault.start}"
            mend = "nothing of it landed; close again for a new run"
            raise Failed(Problem("report_unreadable", self._run.storage.uri(path), what, mend)) from None
        finally:
            fetched.file.unlink(missing_ok=True)
        if rows:
            self._save(rows, created)

    def _save(self, rows: list[BalanceRow], created: int) -> None:
        page = Page(TABLE, has_more=False)
        page.root.append([msgspec.Raw(row.values) for row in rows], parent=0)
        page.root.decode()
        page.root.raws = [msgspec.Raw(row.raw) for row in rows]
        batches = page.batches(Origins(self._run.account, self._run.livemode, clock.now()))
        self._store.save(batches, created, created, created, created)
        self._run.progress.advanced(self._run.account, TABLE.name, len(rows), 0)


def _iso(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
