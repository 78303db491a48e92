"""Extraction against the stand-in at 100 ms a request with a live key, decoding on one core, memory at a million rows.

The million rows take about ten minutes, because a live key may ask 20 times a second.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.measured import measured
from bench.model import Row
from redisu_pipeline.common import clock
from redisu_pipeline.common.periods import Month
from redisu_pipeline.extract.budget import LIVE
from redisu_pipeline.extract.decode import open_page
from redisu_pipeline.extract.rows import Origins
from redisu_pipeline.tables.sales import INVOICES
from sandbox.client import Control
from sandbox.run import start

MONTHS = 3
CHECKOUTS = 4000  # a month and account: more than 100,000 objects in one account
LATENCY = 0.1
MILLION = 1_000_000

CONFIGURATION = """
[lake]
uri = "lake"
[database]
url = "sqlite:///{folder}/redisu.db"
[flockjay]
api_base = "http://127.0.0.1:9"
[routing]
default = "us"
[accounts.us]
stripe_api_base = "{url}"
stripe_files_base = "{url}"
start = {start}
[courses.redis-101]
name = "Redis for developers"
flockjay_course_id = "fj-redis-101"
tax_code = "txcd_20060058"
prices = {{ usd = 19900 }}
"""


@dataclass(frozen=True)
class _Synced:
    """One run of the command: its JSON, wall seconds from start to exit, and peak memory in MB."""

    report: Mapping[str, Any]
    seconds: float
    peak_mb: int

    @property
    def tables(self) -> Mapping[str, Any]:
        tables: Mapping[str, Any] = self.report["accounts"]["us"]["tables"]
        return tables


def run() -> Iterator[Row]:
    """Measure the extraction; see the module's docstring for how long that takes."""
    yield from _world()
    yield from _million()


def _world() -> Iterator[Row]:
    first = Month.containing(clock.now()).shift(-MONTHS).first_day
    with start(months=MONTHS, checkouts=CHECKOUTS, start=str(first)) as stand_ins:
        control = stand_ins.control
        yield _decoding(stand_ins.stripe_url, stand_ins.accounts["us"].key)
        with _folder(stand_ins.stripe_url, str(first)) as config:
            # Once for nothing: the stand-in shares our cores, and makes each object's JSON when it is first asked.
            _sync(config, stand_ins.accounts["us"].key)
        control.faults(latency=LATENCY)
        control.reset_requests()
        with _folder(stand_ins.stripe_url, str(first)) as config:
            key = stand_ins.accounts["us"].key
            with _watch(control) as seen:
                whole = _sync(config, key)
            again = _sync(config, key)
    rows = sum(table["rows"] for table in whole.tables.values())
    requests = sum(table["requests"] for table in whole.tables.values())
    minimum = sum(table["minimum"] for table in whole.tables.values())
    share = seen.share_of_allowed()
    objects = f"{rows:,} rows, {requests:,} requests in {seen.seconds:.1f} s = {requests / seen.seconds:.0f}/s"
    yield Row("extraction rate at 100 ms", f"{share:.0%} of what is allowed ({objects})", "≥ 90 %", share >= 0.9)
    yield Row("requests", f"{requests / minimum:.3f} × the minimum", "≤ 1.10 ×", requests <= 1.1 * minimum)
    yield Row("whole command, first sync", f"{whole.seconds:.1f} s, {whole.peak_mb} MB", "", None)
    yield Row("sync without changes", f"{again.seconds:.2f} s", "< 3 s", again.seconds < 3)


def _million() -> Iterator[Row]:
    command = [sys.executable, "-m", "bench.ledger", "--rows", str(MILLION)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        first = Month.containing(clock.now()).shift(-MONTHS).first_day
        with _folder(url, str(first)) as config:
            synced = _sync(config, "rk_live_ledger")
    finally:
        server.kill()
        server.communicate()
    landed = synced.tables["balance_transactions"]["rows"]
    figure = f"{synced.peak_mb} MB ({landed:,} rows, {synced.seconds:.0f} s)"
    small = landed == MILLION and synced.peak_mb < 600
    yield Row("peak memory at 1M balance transactions", figure, "< 600 MB", small)


def _decoding(url: str, key: str) -> Row:
    import httpx

    listed = httpx.get(f"{url}/v1/invoices", params={"limit": 100}, headers={"Authorization": f"Bearer {key}"})
    body, origins = listed.content, Origins("us", livemode=True, synced_at=datetime.now(UTC))
    best = 0.0
    for _ in range(5):
        begun = time.process_time()
        for _ in range(40):
            open_page(INVOICES.table, body).batches(origins)
        best = max(best, 4000 / (time.process_time() - begun))
    kilobytes = len(body) / 100 / 1000
    figure = f"{best:,.0f} invoices/s with lines, taxes and _raw ({kilobytes:.1f} kB each)"
    return Row("decoding on one core", figure, "≥ 20,000/s", best >= 20000)


@contextmanager
def _folder(url: str, start_day: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "redisu.toml")
        path.write_text(CONFIGURATION.format(folder=folder, url=url, start=start_day))
        yield path


def _sync(config: Path, key: str) -> _Synced:
    command = [sys.executable, "-c", "from redisu_pipeline.cli import main; main()", "sync", "--json"]
    synced = measured([*command, "--config", str(config)], {"STRIPE_API_KEY_US": key})
    report = json.loads(synced.output)
    if not report["ok"]:
        raise RuntimeError(f"the sync failed: {report['problems']}")
    return _Synced(report, synced.seconds, round(synced.mebibytes * 2**20 / 10**6))


class _Watch:
    """Request counts by endpoint over time, as the server saw them."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, dict[str, int]]] = []

    @property
    def seconds(self) -> float:
        """From the first request seen to the last."""
        begun, ended = self._ends()
        return self.samples[ended][0] - self.samples[begun][0]

    def share_of_allowed(self) -> float:
        """Requests made, against min(80/s, 20/s × endpoints that still had work left) summed over time."""
        begun, ended = self._ends()
        final = self.samples[-1][1]
        allowed = 0.0
        for (at, counts), (later, _) in pairwise(self.samples[begun : ended + 1]):
            busy = sum(counts.get(endpoint, 0) < total for endpoint, total in final.items())
            allowed += (later - at) * min(LIVE.account, LIVE.endpoint * busy)
        made = sum(final.values()) - sum(self.samples[begun][1].values())
        return made / allowed

    def _ends(self) -> tuple[int, int]:
        totals = [sum(counts.values()) for _, counts in self.samples]
        begun = max(index for index, total in enumerate(totals) if total == 0)
        ended = totals.index(totals[-1])
        return begun, ended


@contextmanager
def _watch(control: Control) -> Iterator[_Watch]:
    watch, stop = _Watch(), threading.Event()

    def sample() -> None:
        while not stop.wait(0.1):
            endpoints: Mapping[str, Mapping[str, int]] = control.requests()["endpoints"]
            watch.samples.append((time.monotonic(), {name: seen["count"] for name, seen in endpoints.items()}))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()
