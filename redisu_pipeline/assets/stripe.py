"""The Stripe tables of the lake as assets: one step syncs the chosen tables of one account, as `redisu sync` does."""

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import dagster as dg

from redisu_pipeline.assets.catalogue import in_graph_order, key_of, spec_of
from redisu_pipeline.assets.failures import RETRIES, failing, failure
from redisu_pipeline.assets.metadata import data_version, metadata_of
from redisu_pipeline.assets.tax import materialization
from redisu_pipeline.common.problems import Problem, Refusal
from redisu_pipeline.common.reports import SyncReport
from redisu_pipeline.extract.sync import sync
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.resources.pipeline import PipelineResource
from redisu_pipeline.tables.registry import TABLES

POOL = "stripe_sync"
"""Its limit is 1 (deploy/dagster.yaml). The lake's own lock refuses a second writer of an account in any case."""

STEP = "stripe_sync"


def stripe_assets(partitions: dg.PartitionsDefinition, notice: str = "") -> dg.AssetsDefinition:
    """Return every Stripe table as one subsettable step, partitioned by account."""

    @dg.multi_asset(
        name=STEP,
        specs=[spec_of(table, partitions, notice) for table in TABLES.values()],
        can_subset=True,
        pool=POOL,
        retry_policy=RETRIES,
    )
    def stripe_sync(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Iterator[dg.MaterializeResult]:
        account = _account(context)
        chosen = [name for name in TABLES if key_of(name) in context.selected_asset_keys]
        report = _sync(context, pipeline, account, chosen)
        for problem in report.problems:
            context.log.warning(str(problem))
        synced = report.accounts[account].tables if account in report.accounts else {}
        yield from _results(context, pipeline, account, in_graph_order(synced))
        if account in report.accounts:
            for month in report.accounts[account].tax_months:
                context.log_event(materialization(pipeline.storage(), account, month))
            for note in report.accounts[account].notes:
                context.log.warning(note)
        missing = [name for name in chosen if name not in synced]
        problems = failing(report.problems) or tuple(_unexplained(account, name) for name in missing)
        if problems:
            raise failure(problems)

    return stripe_sync


def _account(context: dg.AssetExecutionContext) -> str:
    if not context.has_partition_key:
        mend = "choose an account as the partition of the run"
        raise failure([Problem("no_account", "run", "does not say which account to sync", mend)])
    return str(context.partition_key)


def _sync(
    context: dg.AssetExecutionContext, pipeline: PipelineResource, account: str, tables: Sequence[str]
) -> SyncReport:
    """Run the sync beside this thread, which logs its progress and hands a termination on to it."""
    progress, stop = _Heard(), threading.Event()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="sync") as pool:
        running: Future[SyncReport] = pool.submit(
            lambda: sync(
                pipeline.settings(),
                pipeline.environ(),
                accounts=(account,),
                tables=tables,
                progress=progress,
                stop=stop,
            )
        )
        try:
            while not wait([running], timeout=0.5).done:
                progress.tell(context.log)
        except BaseException:
            stop.set()  # a terminated run ends after the page at hand; the next one goes on from there
            raise
    progress.tell(context.log)
    try:
        return running.result()
    except Refusal as refusal:
        raise failure(refusal.problems) from None
    except Exception as error:
        message = f"a fault of this program: {type(error).__name__}"
        problem = Problem("internal_error", account, message, "report it with the run's log")
        raise failure([problem]) from error


def _results(
    context: dg.AssetExecutionContext, pipeline: PipelineResource, account: str, tables: Sequence[str]
) -> Iterator[dg.MaterializeResult]:
    """Record each table that landed: those asked for as results, those synced along with them as events."""
    storage = pipeline.storage()
    for name in tables:
        manifest, _ = read_manifest(storage, name, account)
        if manifest is None:
            continue
        metadata = metadata_of(storage, manifest)
        if key_of(name) in context.selected_asset_keys:
            yield dg.MaterializeResult(asset_key=key_of(name), metadata=metadata, data_version=data_version(manifest))
        else:
            context.log_event(dg.AssetMaterialization(key_of(name), partition=account, metadata=metadata))


def _unexplained(account: str, table: str) -> Problem:
    where = f"{account}/{table}"
    return Problem("not_synced", where, "was not synced, and nothing says why", "report it with the run's log")


class _Heard:
    """A Progress that keeps what it hears: only the step's own thread may write Dagster's log."""

    def __init__(self) -> None:
        self._finished: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}
        self._lock = threading.Lock()

    def table_started(self, account: str, table: str, estimate: int | None) -> None:
        """Say nothing: most tables are done within a second."""

    def advanced(self, account: str, table: str, rows: int, requests: int) -> None:
        """Add up."""
        with self._lock:
            before = self._counts.get((account, table), (0, 0))
            self._counts[account, table] = (before[0] + rows, before[1] + requests)

    def table_finished(self, account: str, table: str) -> None:
        """Remember one line."""
        rows, requests = self._counts.get((account, table), (0, 0))
        self._finished.put(f"{account}/{table}: {rows} rows read by {requests} requests")

    def tell(self, log: dg.DagsterLogManager) -> None:
        """Write what was heard since the last call."""
        while not self._finished.empty():
            log.info(self._finished.get())
