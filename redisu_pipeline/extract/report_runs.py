"""Report runs: made once for what is wanted, waited for, made anew when they come to nothing (stripe.md §6.4).

What is wanted is written down before Stripe is asked (`.staging/reports/…`, see Terms.place), and the request's
idempotency key is made of the same words: a process killed at any moment finds the run it made instead of making a
second one.
"""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import msgspec

from redisu_pipeline.common import clock
from redisu_pipeline.common.decoders import decode
from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.common.stripe_api import NotThere
from redisu_pipeline.common.stripe_files import StripeFiles
from redisu_pipeline.extract.decode import Truncated
from redisu_pipeline.extract.reader import Interrupted, Reader
from redisu_pipeline.lake.foreign import sha256_of
from redisu_pipeline.lake.storage import ANY, Storage

T = TypeVar("T")
RUNS = "/v1/reporting/report_runs"
TYPES = "/v1/reporting/report_types"
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0


class ReportType(msgspec.Struct, frozen=True):
    """How far a report's data reach: [start, end] in unix seconds."""

    id: str
    data_available_start: int
    data_available_end: int


class ReportFile(msgspec.Struct, frozen=True):
    """The result of a run; ``size`` in bytes."""

    id: str
    size: int


class ReportRun(msgspec.Struct, frozen=True):
    """A run as Stripe shows it."""

    id: str
    status: str
    error: str | None = None
    result: ReportFile | None = None


class Intent(msgspec.Struct, frozen=True):
    """What was asked for: a run of ``type`` over [start, end) (unix seconds); ``revision`` counts its new attempts."""

    type: str
    start: int
    end: int
    columns: tuple[str, ...] = ()
    revision: int = 1
    run: str | None = None
    made: str | None = None

    def asks_for(self, type_: str, columns: tuple[str, ...]) -> bool:
        """Tell whether this is still the report that the configuration names."""
        return (self.type, self.columns) == (type_, columns)

    @property
    def key(self) -> str:
        """The idempotency key: the same words, the same run."""
        words = msgspec.json.encode([self.type, self.start, self.end, self.columns, self.revision])
        return f"redisu-report-{hashlib.sha256(words).hexdigest()[:40]}"

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the request. The timezone changes printed stamps only; the bounds are instants."""
        columns = {"columns": list(self.columns)} if self.columns else {}
        return {"interval_start": self.start, "interval_end": self.end, "timezone": "Etc/UTC", **columns}


@dataclass(frozen=True)
class Fetched:
    """A finished run's file on this machine."""

    intent: Intent
    run: ReportRun
    file: Path


@dataclass(frozen=True)
class Terms:
    """Which report is run, where in the lake it is noted what was asked for, and how patiently.

    ``wait_minutes`` is how long one caller waits for a run, ``abandon_minutes`` the age at which a pending one is made
    anew, ``attempts`` how many runs one caller makes at most.
    """

    type: str
    columns: tuple[str, ...]
    place: str
    attempts: int
    wait_minutes: int
    abandon_minutes: int


class _InVain(Exception):
    """The run has come to nothing; the text says how."""


class ReportRuns:
    """The report runs of one account. ``heard`` tells that the run is known to be done, so that polling may hurry."""

    def __init__(
        self,
        table: str,
        storage: Storage,
        reader: Reader,
        files: StripeFiles,
        terms: Terms,
        heard: Callable[[str], bool],
    ) -> None:
        self._table, self._storage, self._reader, self._files = table, storage, reader, files
        self._terms, self._heard = terms, heard

    def available(self) -> ReportType:
        """Ask how far the report reaches. Raises Refused when the key may not, NotThere when there is no such type."""
        path = f"{TYPES}/{self._terms.type}"
        return self._reader.attempt(self._table, path, lambda api: _decoded(api.get(path, {}), ReportType))

    def pending(self) -> Intent | None:
        """Return what an earlier sync asked for and has not landed."""
        blob = self._storage.read(self._terms.place)
        if blob is None:
            return None
        try:
            intent = decode(blob.data, Intent)
        except msgspec.DecodeError:  # cut off by a power failure: asking anew costs a run, not a row
            return None
        return intent if intent.asks_for(self._terms.type, self._terms.columns) else None

    def done(self) -> None:
        """Forget what was asked for: it has landed."""
        self._storage.delete(self._terms.place)

    def give_up(self, intent: Intent) -> None:
        """Let the next sync make this run anew: its file cannot be used."""
        self._keep(msgspec.structs.replace(intent, revision=intent.revision + 1, run=None, made=None))

    def fetch(self, intent: Intent, target: Path) -> Fetched:
        """Have the run made, wait for it and download its file to ``target``.

        Raises Refused when Stripe does not take the request, Failed when it came to nothing too often or is still
        pending after ``wait_minutes`` (the next sync takes it up), and Interrupted.
        """
        reasons = []
        for _ in range(self._terms.attempts):
            try:
                intent, run = self._made(intent)
                return Fetched(intent, self._downloaded(self._waited_for(run, intent), target), target)
            except _InVain as reason:
                reasons.append(str(reason))
                intent = msgspec.structs.replace(intent, revision=intent.revision + 1, run=None, made=None)
                self._keep(intent)
        mend = "sync again later; if it stays so, ask Stripe's support about this report"
        message = f"no report run of {intent.type} came to an end in {len(reasons)} attempts ({'; '.join(reasons)})"
        raise Failed(Problem("report_failed", f"{self._reader.account}/{self._table}", message, mend))

    def _keep(self, intent: Intent) -> None:
        self._storage.write(self._terms.place, msgspec.json.encode(intent), expect=ANY)

    def _made(self, intent: Intent) -> tuple[Intent, ReportRun]:
        """Return the run of ``intent``, making it when nobody has."""
        if intent.run is not None:
            return intent, self._look(intent.run)
        self._keep(intent)  # before Stripe is asked: from here on the key leads to this run and no other
        body = {"report_type": intent.type, "parameters": intent.parameters}
        run = self._reader.attempt(self._table, RUNS, lambda api: _decoded(api.post(RUNS, body, intent.key), ReportRun))
        intent = msgspec.structs.replace(intent, run=run.id, made=clock.now().isoformat())
        self._keep(intent)
        return intent, run

    def _look(self, run: str) -> ReportRun:
        path = f"{RUNS}/{run}"
        try:
            return self._reader.attempt(self._table, path, lambda api: _decoded(api.get(path, {}), ReportRun))
        except NotThere:
            raise _InVain(f"{run} is not known any more") from None

    def _waited_for(self, run: ReportRun, intent: Intent) -> ReportRun:
        """Ask again and again, ever more slowly, until the run has ended."""
        give_up = monotonic() + self._terms.wait_minutes * 60
        pause = FIRST_PAUSE
        while run.status == "pending":
            if intent.made and clock.now() - datetime.fromisoformat(intent.made) > self._patience:
                raise _InVain(f"{run.id} was still pending after {self._terms.abandon_minutes} minutes")
            if monotonic() + pause > give_up:
                message = f"report run {run.id} is still pending after {self._terms.wait_minutes} minutes"
                where = f"{self._reader.account}/{self._table}"
                raise Failed(Problem("report_pending", where, message, "sync again later: it takes the same run up"))
            self._pause(run.id, pause)
            run, pause = self._look(run.id), min(pause * 2, LONGEST_PAUSE)
        if run.status != "succeeded" or run.result is None:
            raise _InVain(f"{run.id} {run.status}: {run.error or 'without a reason'}")
        return run

    @property
    def _patience(self) -> timedelta:
        return timedelta(minutes=self._terms.abandon_minutes)

    def _pause(self, run: str, seconds: float) -> None:
        """Wait, but not once the webhook service has heard that the run is done."""
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0 and not self._heard(run):
            if self._reader.stop.wait(min(left, 1.0)):
                raise Interrupted

    def _downloaded(self, run: ReportRun, target: Path) -> ReportRun:
        assert run.result is not None
        file = run.result
        path = f"/v1/files/{file.id}/contents"

        def download(_api: object) -> None:
            if self._files.download(file.id, target) != file.size:
                raise Truncated(self._table)

        try:
            self._reader.attempt(self._table, path, download)
        except NotThere:
            raise _InVain(f"the file of {run.id} has expired") from None
        return run


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return decode(body, kind)
    except msgspec.ValidationError as error:
        raise Failed(_strange(kind, error)) from None
    except msgspec.DecodeError:
        raise Truncated(kind.__name__) from None


def _strange(kind: type[Any], error: Exception) -> Problem:
    mend = "compare with Stripe's changelog and correct redisu_pipeline/extract/report_runs.py"
    return Problem("stripe_shape", f"reporting {kind.__name__}", str(error), mend)


def keep(storage: Storage, fetched: Fetched, available: ReportType, path: str) -> None:
    """Put a report's CSV at ``path`` in the lake as Stripe sent it, with its origin beside it."""
    copy = fetched.file.with_suffix(".kept")
    shutil.copyfile(fetched.file, copy)
    storage.publish(path, copy, expect=ANY)
    storage.write(f"{path}.json", _origin(fetched, available, sha256_of(fetched.file)), expect=ANY)


def _origin(fetched: Fetched, available: ReportType, sha256: str) -> bytes:
    """Return what is kept beside the CSV: where it comes from, in words and numbers a person can check."""
    intent, run = fetched.intent, fetched.run
    size = run.result.size if run.result else 0
    facts = {
        "report_type": intent.type,
        "report_run": run.id,
        "parameters": intent.parameters,
        "revision": intent.revision,
        "data_available_start": available.data_available_start,
        "data_available_end": available.data_available_end,
        "file": run.result.id if run.result else None,
        "bytes": size,
        "sha256": sha256,
    }
    return msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n"
