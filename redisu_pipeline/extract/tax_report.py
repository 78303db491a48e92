"""`tax_transactions`: the itemised tax report, read as far as it is available and a little before that again.

No list of tax transactions exists (stripe.md §6.1). A run covers whole availability; its CSV is kept in the lake, then
all rows of its interval are replaced in one commit, so that the table never holds a part of a report.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec

from redisu_pipeline.common import clock
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.common.reports import TableReport
from redisu_pipeline.common.settings import TaxReport
from redisu_pipeline.common.stripe_api import NotThere, Refused
from redisu_pipeline.common.stripe_files import StripeFiles
from redisu_pipeline.extract.csv_file import Unreadable
from redisu_pipeline.extract.decode import Page
from redisu_pipeline.extract.landing import land
from redisu_pipeline.extract.report_runs import Fetched, Intent, ReportRuns, ReportType, Terms, keep
from redisu_pipeline.extract.rows import Origins, UnknownValue
from redisu_pipeline.extract.run import Outcome, Run
from redisu_pipeline.extract.tax_rows import Interval, TaxRow, rows_of
from redisu_pipeline.lake.commit import Commit
from redisu_pipeline.lake.manifest import Cursor, Manifest, read_manifest
from redisu_pipeline.lake.pages import PageStore
from redisu_pipeline.tables.tax import TAX_TRANSACTIONS

PAGE_ROWS = 10_000
TABLE = TAX_TRANSACTIONS.name
INSTEAD = "automatic tax comes from the invoices"


class _Unavailable(Exception):
    """The key gets no report; the text says why, for people."""


@dataclass
class _Read:
    """What one look at the report brought: the interval replaced (None: nothing to do), and what to say about it."""

    interval: Interval | None = None
    complete_until: datetime | None = None
    extra: dict[str, str] = field(default_factory=dict)
    minimum: int = 1
    note: str = ""


class TaxReportSync:
    """Brings `tax_transactions` of one account up to date. ``heard`` is asked whether a run is known to be done."""

    def __init__(self, run: Run, settings: TaxReport, files: StripeFiles, heard: Callable[[str], bool]) -> None:
        self._run, self._settings = run, settings
        self._runs = ReportRuns(TABLE, run.storage, run.reader, files, _terms(settings, run.account), heard)
        self._store = PageStore(run.storage, run.account, TABLE)
        self._manifest: Manifest | None
        self._manifest, _ = read_manifest(run.storage, TABLE, run.account)
        self._unknown: list[UnknownValue] = []

    def sync(self) -> Outcome:
        """Read what the report has got since, land it, and say how far it reaches.

        A key that may not run reports is no failure: the table stays as it is and the outcome says why in words.
        Raises Failed for a report that came to nothing or cannot be read, and Interrupted.
        """
        started = time.monotonic()
        run = self._run
        run.progress.table_started(run.account, TABLE, None)
        self._store.resume("")  # rows that a cut-off run had read are read again: only a whole report lands
        self._store.clear()
        try:
            read = self._read()
        except _Unavailable as reason:
            read = self._unavailable(str(reason))
        report = self._land(read, started)
        if read.interval is not None:
            self._runs.done()
        run.progress.table_finished(run.account, TABLE)
        return Outcome(tables={TABLE: report}, unknown=self._unknown)

    # -- what to ask for --------------------------------------------------------------------------------------------

    def _read(self) -> _Read:
        available = self._available()
        intent = self._wanted(available)
        if intent is None:
            return _Read(None, self._until(available), {**self._extra, **_reach(available), "note": ""})
        try:
            fetched = self._runs.fetch(intent, self._run.storage.scratch() / f"{self._run.account}-tax-report.csv")
        except Refused as refused:
            self._runs.done()  # nothing was made
            raise self._refusal(refused, "make report runs") from None
        name = self._keep(fetched, available)
        interval = Interval(fetched.intent.start, fetched.intent.end)
        self._stage(fetched, name, interval)
        extra = {
            **_reach(available),
            "report_type": fetched.intent.type,
            "columns": ",".join(fetched.intent.columns),
            "report_run": fetched.run.id,
            "interval": f"{_iso(interval.start)} … {_iso(interval.end)}",
            "file": name,
            "note": "",
        }
        return _Read(interval, _utc(interval.end), extra, minimum=3)

    def _available(self) -> ReportType:
        try:
            return self._runs.available()
        except Refused as refused:
            raise self._refusal(refused, "read report types") from None
        except NotThere:
            raise _Unavailable(f"Stripe has no report type {self._settings.report_type} for this account") from None

    def _refusal(self, refused: Refused, what: str) -> Exception:
        """Tell a key that may not from a request that is wrong. Only the latter is a failure."""
        where = f"{self._run.account}/{TABLE}"
        if refused.status == 403:
            return _Unavailable(f"the key may not {what} (403)")
        if refused.status == 400 and not self._run.livemode:
            return _Unavailable("a sandbox key runs none")
        if refused.status == 401:
            mend = "put a valid secret or restricted key into the variable it names"
            name = f"accounts.{self._run.account}.stripe_api_key_env"
            return Failed(Problem("stripe_key", name, "Stripe does not accept the API key (401)", mend))
        message = f"Stripe refused the report run ({refused.status} {refused.code}): {refused.detail}"
        return Failed(Problem("stripe_refused", where, message, "check tax.report_type and tax.report_columns"))

    def _wanted(self, available: ReportType) -> Intent | None:
        """Return what to run: what a cut-off sync left, else from the last availability (less overlap) to this one."""
        run, before = self._run, self._complete_until
        again = run.full or before is None or not self._as_configured
        first = max(available.data_available_start, int(run.start.timestamp()))
        since = first if again or before is None else int((before - self._overlap).timestamp())
        if run.since is not None:
            since = min(since, int(run.since.timestamp()))
        start, end = max(first, since), available.data_available_end
        pending = self._runs.pending()
        if pending is not None and pending.start <= start and not (run.full and pending.end < end):
            return pending
        moved = before is None or end > int(before.timestamp())
        if start >= end or not (moved or again or run.since is not None):
            return None
        return Intent(self._settings.report_type, start, end, self._settings.report_columns)

    @property
    def _overlap(self) -> timedelta:
        return timedelta(days=self._settings.overlap_days)

    @property
    def _extra(self) -> dict[str, str]:
        return dict(self._manifest.cursor.extra) if self._manifest else {}

    @property
    def _complete_until(self) -> datetime | None:
        until = self._manifest.cursor.complete_until if self._manifest else None
        return datetime.fromisoformat(until) if until else None

    @property
    def _as_configured(self) -> bool:
        """Whether the rows in the lake are of the report that the configuration names."""
        columns = ",".join(self._settings.report_columns)
        return (self._extra.get("report_type"), self._extra.get("columns")) == (self._settings.report_type, columns)

    def _until(self, available: ReportType) -> datetime | None:
        """With nothing to run the table is complete as far as the report reaches, before the account's start too."""
        before, end = self._complete_until, _utc(available.data_available_end)
        return end if before is None else max(before, end)

    def _unavailable(self, reason: str) -> _Read:
        note = f"no tax report: {reason}; {INSTEAD}"
        asked = self._run.reader.requests[TABLE]
        return _Read(None, self._complete_until, {**self._extra, "note": note}, minimum=asked, note=note)

    # -- the file ---------------------------------------------------------------------------------------------------

    def _keep(self, fetched: Fetched, available: ReportType) -> str:
        """Put the CSV into the lake; return its path."""
        intent = fetched.intent
        folder = f"reports/stripe/account={self._run.account}/{intent.type}"
        path = f"{folder}/{_day(intent.start)}_{_day(intent.end)}_{fetched.run.id}.csv"
        keep(self._run.storage, fetched, available, path)
        return path

    def _stage(self, fetched: Fetched, name: str, interval: Interval) -> None:
        """Write the file's rows as page checkpoints; nothing lands before the last one could be read."""
        try:
            with fetched.file.open(encoding="utf-8", newline="") as lines:
                rows = rows_of(lines, interval)
                while chunk := list(islice(rows, PAGE_ROWS)):
                    self._save(chunk)
        except (Unreadable, UnicodeDecodeError) as fault:
            self._runs.give_up(fetched.intent)
            what = str(fault) if isinstance(fault, Unreadable) else f"is not UTF-8 at byte {fault.start}"
            mend = "nothing of it landed; sync again for a new run, or name the columns in tax.report_columns"
            raise Failed(Problem("report_unreadable", self._run.storage.uri(name), what, mend)) from None
        finally:
            fetched.file.unlink(missing_ok=True)

    def _save(self, rows: list[TaxRow]) -> None:
        page = Page(TAX_TRANSACTIONS.table, has_more=False)
        page.root.append([msgspec.Raw(row.values) for row in rows], parent=0)
        page.root.decode()
        page.root.raws = [msgspec.Raw(row.raw) for row in rows]
        batches = page.batches(Origins(self._run.account, self._run.livemode, clock.now()))
        oldest, newest = min(row.created for row in rows), max(row.created for row in rows)
        self._store.save(batches, oldest, oldest, oldest, newest)
        self._unknown.extend(page.unknown)
        self._run.progress.advanced(self._run.account, TABLE, len(rows), 0)

    # -- landing ----------------------------------------------------------------------------------------------------

    def _land(self, read: _Read, started: float) -> TableReport:
        run = self._run
        until = read.complete_until.isoformat() if read.complete_until else None

        def cursor(_last_event: int) -> Cursor:
            newest = max((page.newest for page in self._store.pages), default=None)
            before = self._manifest.cursor.newest_created if self._manifest else None
            known = [second for second in (newest, before) if second is not None]
            start = int(run.start.timestamp())
            return Cursor(
                newest_created=max(known, default=None), complete_until=until, listed_from=start, extra=read.extra
            )

        commit = Commit(
            storage=run.storage,
            account=run.account,
            resource=TAX_TRANSACTIONS,
            pages=self._store,
            first_month=Month.containing(run.start),
            now=run.now,
            guard=run.guard,
            rebuild=run.full,
            replaced=(read.interval.start, read.interval.end) if read.interval else (0, 0),
        )
        until_when = read.complete_until
        landed = land(
            run, commit, cursor, minimum=read.minimum, started=started, complete_until=until_when, note=read.note
        )
        return landed[TABLE]


def _terms(settings: TaxReport, account: str) -> Terms:
    return Terms(
        type=settings.report_type,
        columns=settings.report_columns,
        place=f".staging/reports/{account}.json",
        attempts=settings.attempts,
        wait_minutes=settings.wait_minutes,
        abandon_minutes=settings.abandon_minutes,
    )


def _reach(available: ReportType) -> dict[str, str]:
    return {
        "available_start": _iso(available.data_available_start),
        "available_end": _iso(available.data_available_end),
    }


def _utc(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _iso(second: int) -> str:
    return _utc(second).isoformat().replace("+00:00", "Z")


def _day(second: int) -> str:
    return f"{_utc(second):%Y%m%dT%H%M}"
