"""The books as assets, a partition for each account and month: one step closes the month as `redisu close` does.

The journals are written whatever the controls say, so that people can look at them. `netsuite_export` is a step of its
own, which fails while the month is open: what stands behind it never takes a draft.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from redisu_pipeline.assets import journal_metadata
from redisu_pipeline.assets.catalogue import OWNERS, STALE_AFTER, key_of
from redisu_pipeline.assets.failures import RETRIES, as_failures, failure
from redisu_pipeline.assets.figures import FIGURE_KEYS, figures_known, figures_read
from redisu_pipeline.assets.tax import GROUP
from redisu_pipeline.assets.tax import KEY as TAX_KEY
from redisu_pipeline.close import gates
from redisu_pipeline.close.pins import SOURCES
from redisu_pipeline.close.reading import report_of
from redisu_pipeline.close.report import CloseReport
from redisu_pipeline.close.run import Signature, close
from redisu_pipeline.close.stored import OPEN
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import Problem
from redisu_pipeline.common.settings import Settings
from redisu_pipeline.lake.catalog import CatalogTable
from redisu_pipeline.lake.netsuite_tables import CONTROLS, JOURNAL_LINES, JOURNAL_SOURCES, NETSUITE_TABLES, PERIODS
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.resources.pipeline import PipelineResource

STEP = "close"
POOL = "netsuite_close"
"""Its limit is 1 (deploy/dagster.yaml). The lake's own lock refuses a second writer of an account in any case."""

TABLE_KEYS = {table.name: dg.AssetKey([table.area, table.name]) for table in NETSUITE_TABLES}
CONTROLS_KEY = TABLE_KEYS[CONTROLS.name]
REPORT_KEY = dg.AssetKey([GROUP, "close_report"])
EXPORT_KEY = dg.AssetKey([GROUP, "netsuite_export"])
KEYS = (*TABLE_KEYS.values(), REPORT_KEY, EXPORT_KEY)

REPORT_DOC = (
    "What the controller reads and signs, as a page (`close_report.html`): trial balance, sales and tax by "
    "jurisdiction, fees, payouts, controls, late changes. It says DRAFT while the month is open."
)
EXPORT_DOC = (
    "The files for NetSuite: `journal_entries.csv` for the import, `.json` for its REST interface, `.xlsx` for people, "
    "`journal_lines.parquet`. Fails while the month is open: then they say DRAFT, and nobody may import them."
)


def close_assets(partitions: dg.PartitionsDefinition, notice: str = "") -> list[dg.AssetsDefinition]:
    """Return the journals, their sources, the controls, the periods, the close report, and the exports.

    ``notice`` stands before their descriptions when something must be done first.
    """
    return [_closing(partitions, notice), _export(partitions, notice)]


def _closing(partitions: dg.PartitionsDefinition, notice: str) -> dg.AssetsDefinition:
    lines, controls = TABLE_KEYS[JOURNAL_LINES.name], CONTROLS_KEY
    upstream = {
        JOURNAL_SOURCES.name: [*(key_of(table) for table in SOURCES)],
        JOURNAL_LINES.name: [TABLE_KEYS[JOURNAL_SOURCES.name]],
        CONTROLS.name: [lines, TAX_KEY, *FIGURE_KEYS],
        PERIODS.name: [controls],
    }

    @dg.multi_asset(
        name=STEP,
        specs=[
            *(_table_spec(table, upstream[table.name], partitions, notice) for table in NETSUITE_TABLES),
            _spec(REPORT_KEY, REPORT_DOC, [TABLE_KEYS[PERIODS.name]], partitions, notice),
        ],
        can_subset=False,
        pool=POOL,
        retry_policy=RETRIES,
    )
    def closing(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> Iterator[dg.MaterializeResult]:
        account, month = partition_of(context)
        with as_failures(f"{account} {month}"):
            known = figures_known(pipeline.storage(), account)
            report = close(pipeline.settings(), pipeline.environ(), account, month, tell=context.log.info)
        for event in figures_read(pipeline.storage(), account, known):
            context.log_event(event)
        for problem in report.problems:
            context.log.warning(str(problem))
        for key, metadata in records(pipeline.storage(), report):
            if key != EXPORT_KEY:
                yield dg.MaterializeResult(asset_key=key, metadata=metadata)

    return closing


def _export(partitions: dg.PartitionsDefinition, notice: str) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="export",
        specs=[_spec(EXPORT_KEY, EXPORT_DOC, [TABLE_KEYS[PERIODS.name]], partitions, notice)],
    )
    def export(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> dg.MaterializeResult:
        account, month = partition_of(context)
        with as_failures(f"{account} {month}"):
            report = stored_report(pipeline.settings(), pipeline.storage(), account, month)
        if report.status == OPEN:
            raise failure(why_open(pipeline.settings(), report))
        return dg.MaterializeResult(asset_key=EXPORT_KEY, metadata=journal_metadata.of_exports(report))

    return export


def partition_of(context: dg.AssetExecutionContext) -> tuple[str, str]:
    """Return the account and the month (YYYY-MM) of the run; Failure when it has none."""
    if not context.has_partition_key:
        mend = "choose an account and a month as the partition of the run"
        raise failure([Problem("no_partition", "run", "does not say which month of which account to close", mend)])
    return names_of(context.partition_key)


def names_of(partition: str) -> tuple[str, str]:
    """Return the account and the month of a partition key."""
    assert isinstance(partition, dg.MultiPartitionKey)
    return partition.keys_by_dimension["account"], partition.keys_by_dimension["month"]


def key_for(account: str, month: str) -> dg.MultiPartitionKey:
    """Return the partition key of a month (YYYY-MM) of an account."""
    return dg.MultiPartitionKey({"account": account, "month": month})


def stored_report(settings: Settings, storage: Storage, account: str, month: str) -> CloseReport:
    """Return what the last close left of a month. Raises Failed when it was never closed."""
    return report_of(settings, settings.account(account), storage, Month.parse(month))


def why_open(settings: Settings, report: CloseReport) -> Sequence[Problem]:
    """Say what keeps a month open: the blocking controls that fail, else where the reason stands."""
    account, month = settings.account(report.account), Month.parse(report.month)
    failing = gates.problems(account, month, report.controls, ())
    mend = f"redisu close --account {report.account} --month {report.month} names the reasons"
    return failing or (Problem("not_final", f"{report.account} {report.month}", "is open: the files are drafts", mend),)


def records(storage: Storage, report: CloseReport) -> Iterator[tuple[dg.AssetKey, dict[str, dg.MetadataValue]]]:
    """Yield each asset of a closed month with its metadata, upstream first; no exports of an open one."""
    for table in (JOURNAL_SOURCES, JOURNAL_LINES, CONTROLS, PERIODS):
        metadata = journal_metadata.of_table(storage, table, report)
        yield TABLE_KEYS[table.name], metadata | (journal_metadata.of_controls(report) if table is CONTROLS else {})
    yield REPORT_KEY, journal_metadata.of_close_report(report)
    if report.status != OPEN:
        yield EXPORT_KEY, journal_metadata.of_exports(report)


def materializations(storage: Storage, report: CloseReport) -> Iterator[dg.AssetMaterialization]:
    """Yield the same as events, for what closes a month outside of these assets."""
    partition = key_for(report.account, report.month)
    for key, metadata in records(storage, report):
        yield dg.AssetMaterialization(key, partition=partition, metadata=metadata)


# -- locking ----------------------------------------------------------------------------------------------------------


class LockConfig(dg.Config):
    """Which month is locked, and who says so."""

    account: str
    month: str
    by: str


@dg.op(pool=POOL, description="Derives the month once more and locks it; a locked month never changes again.")
def lock_month(context: dg.OpExecutionContext, config: LockConfig, pipeline: PipelineResource) -> None:
    """Close and lock one month; Failure, which says why, when it may not be."""
    if not config.by.strip():
        raise failure([Problem("usage", "by", "a lock names who did it", "give a name")])
    signature = Signature.of(config.by.strip())
    settings, environ = pipeline.settings(), pipeline.environ()
    with as_failures(f"{config.account} {config.month}"):
        known = figures_known(pipeline.storage(), config.account)
        report = close(settings, environ, config.account, config.month, signature, context.log.info)
    storage = pipeline.storage()
    for event in (*figures_read(storage, config.account, known), *materializations(storage, report)):
        context.log_event(event)
    if report.problems:
        raise failure(report.problems)
    context.log.info("%s %s is locked by %s", report.account, report.month, signature.by)


@dg.job(name="lock_period", description="Lock a final month of an account for good, in the name of a person (`by`).")
def lock_period() -> None:
    """Lock one month."""
    lock_month()


# -- specs ------------------------------------------------------------------------------------------------------------


def _table_spec(
    table: CatalogTable, deps: Sequence[dg.AssetKey], partitions: dg.PartitionsDefinition, notice: str
) -> dg.AssetSpec:
    columns = journal_metadata.column_schema(table)
    metadata = {"dagster/column_schema": columns, "dagster/table_name": f"{table.area}.{table.name}"}
    spec = _spec(TABLE_KEYS[table.name], table.doc, deps, partitions, notice)
    return spec.merge_attributes(metadata=metadata)


def _spec(
    key: dg.AssetKey, doc: str, deps: Sequence[dg.AssetKey], partitions: dg.PartitionsDefinition, notice: str
) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=deps,
        description=f"{notice}\n\n{doc}" if notice else doc,
        group_name=GROUP,
        owners=list(OWNERS),
        kinds={"netsuite", "parquet" if key in TABLE_KEYS.values() else "file"},
        partitions_def=partitions,
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=STALE_AFTER),
    )
