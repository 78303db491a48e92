"""Tax by jurisdiction as an asset, a partition for each account and month, and the checks of tax as asset checks."""

import secrets
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from redisu_pipeline.assets.catalogue import OWNERS, key_of, type_name
from redisu_pipeline.assets.failures import RETRIES, failure
from redisu_pipeline.assets.rules.model import sample
from redisu_pipeline.common import clock
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import Refusal
from redisu_pipeline.lake.derived import Derivation
from redisu_pipeline.lake.locks import writer_lock
from redisu_pipeline.lake.manifest import FileEntry, read_manifest
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.resources.pipeline import PipelineResource
from redisu_pipeline.tax.checks import CHECKS, Check, Findings
from redisu_pipeline.tax.derive import derive
from redisu_pipeline.tax.inputs import coverage_of, read_slices
from redisu_pipeline.tax.model import Coverage, Finding
from redisu_pipeline.tax.table import TAX_BY_JURISDICTION

KEY = dg.AssetKey([TAX_BY_JURISDICTION.area, TAX_BY_JURISDICTION.name])
GROUP = "netsuite"
UPSTREAM = ("tax_transactions", "invoice_taxes", "credit_note_taxes", "refunds", "tax_registrations")


def tax_asset(partitions: dg.PartitionsDefinition, notice: str = "") -> dg.AssetsDefinition:
    """Return `netsuite/tax_by_jurisdiction`; every sync derives the months that it touches as well.

    ``notice`` stands before its description when something must be done first.
    """

    @dg.asset(
        key=KEY,
        partitions_def=partitions,
        # Dagster sees by itself that the tables are cut by one of the two dimensions.
        deps=[key_of(table) for table in UPSTREAM],
        description=f"{notice}\n\n{TAX_BY_JURISDICTION.doc}" if notice else TAX_BY_JURISDICTION.doc,
        group_name=GROUP,
        owners=list(OWNERS),
        kinds={"parquet"},
        metadata={
            "dagster/column_schema": column_schema(),
            "dagster/table_name": f"{TAX_BY_JURISDICTION.area}.{TAX_BY_JURISDICTION.name}",
        },
        retry_policy=RETRIES,
    )
    def tax_by_jurisdiction(context: dg.AssetExecutionContext, pipeline: PipelineResource) -> dg.MaterializeResult:
        account, month = _partition(context)
        settings, storage, now = pipeline.settings(), pipeline.storage(), clock.now()
        run_id = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        try:
            names = [TAX_BY_JURISDICTION.name]
            with writer_lock(storage.root, account, names, settings.database.url, now) as lock:
                derivation = Derivation(storage, account, run_id, now, lock.check)
                derive(derivation, settings.account(account), only=[Month.parse(month)])
        except Refusal as refusal:
            raise failure(refusal.problems) from None
        return dg.MaterializeResult(metadata=metadata_of(storage, account, month))

    return tax_by_jurisdiction


def _partition(context: dg.AssetExecutionContext) -> tuple[str, str]:
    key = context.partition_key
    assert isinstance(key, dg.MultiPartitionKey)
    return key.keys_by_dimension["account"], key.keys_by_dimension["month"]


def materialization(storage: Storage, account: str, month: str) -> dg.AssetMaterialization:
    """Return the record of a month that a sync has derived along with its tables."""
    partition = dg.MultiPartitionKey({"account": account, "month": month})
    return dg.AssetMaterialization(KEY, partition=partition, metadata=metadata_of(storage, account, month))


def metadata_of(storage: Storage, account: str, month: str) -> dict[str, dg.MetadataValue]:
    """Describe one month from its manifest: rows, place, sums, and how far report and invoices reach."""
    manifest, _ = read_manifest(storage, TAX_BY_JURISDICTION.name, account, TAX_BY_JURISDICTION.area)
    entry = next((one for one in manifest.files if one.month == month), None) if manifest else None
    coverage = coverage_of(storage, account)
    return {
        "dagster/row_count": dg.MetadataValue.int(entry.rows if entry else 0),
        "dagster/uri": dg.MetadataValue.text(storage.uri(f"{TAX_BY_JURISDICTION.folder}/account={account}")),
        "dagster/column_schema": dg.MetadataValue.table_schema(column_schema()),
        "interval_covered": dg.MetadataValue.text(covered(coverage)),
        "sums_minor_units": dg.MetadataValue.md(_sums(entry)),
    }


def covered(coverage: Coverage) -> str:
    """Say in words how far the two sources reach."""
    report = coverage.note
    if not report:
        until = coverage.reported_until
        report = f"report until {until:%Y-%m-%d %H:%M} UTC" if until else "no report read yet"
    until = coverage.invoiced_until
    return f"{report}; invoices until {until:%Y-%m-%d %H:%M} UTC" if until else f"{report}; invoices not read yet"


def _sums(entry: FileEntry | None) -> str:
    amounts = entry.sums if entry else {}
    rows = [
        f"| {column} | {currency} | {amount} |"
        for column, by_currency in sorted(amounts.items())
        for currency, amount in sorted(by_currency.items())
    ]
    return "\n".join(["| column | currency | minor units |", "| --- | --- | ---: |", *rows]) if rows else "no tax"


def column_schema() -> dg.TableSchema:
    """Return the table's columns with their types and meaning, as the UI shows them."""
    docs, schema = TAX_BY_JURISDICTION.docs, TAX_BY_JURISDICTION.schema
    return dg.TableSchema(
        [
            dg.TableColumn(
                field.name,
                type_name(field.type),
                docs[field.name],
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in schema
        ]
    )


# -- checks -----------------------------------------------------------------------------------------------------------


def tax_checks() -> dg.AssetChecksDefinition:
    """Return the checks of tax: one step, which looks at every account over all its months."""

    @dg.multi_asset_check(
        name="tax_checks",
        can_subset=True,
        specs=[dg.AssetCheckSpec(check.name, asset=KEY, description=check.doc) for check in CHECKS.values()],
    )
    def checks(context: dg.AssetCheckExecutionContext, pipeline: PipelineResource) -> Iterator[dg.AssetCheckResult]:
        settings, storage, now = pipeline.settings(), pipeline.storage(), clock.now()
        chosen = [CHECKS[key.name] for key in context.selected_asset_check_keys]
        found = {account: Findings(now, chosen) for account in settings.accounts}
        try:
            for name, account in settings.accounts.items():
                for books in read_slices(storage, account):
                    found[name].add(books)
                    del books  # or it would be in memory beside the next
        except Refusal as refusal:
            raise dg.Failure(description=str(refusal), allow_retries=False) from None
        for check in chosen:
            yield check_result(check, {name: findings.of(check) for name, findings in found.items()})

    return checks


def check_result(check: Check, found: Mapping[str, Sequence[Finding]]) -> dg.AssetCheckResult:
    """Return one result for all accounts; each difference stands in the metadata with its ids."""
    findings = [(account, one) for account, many in found.items() for one in many]
    said = " · ".join(f"{account}: {one.message}" for account, one in findings[:3])
    more = f" · and {len(findings) - 3} more" if len(findings) > 3 else ""
    rows = [f"| {account} | {one.month} | {one.message} | {sample(one.ids)} |" for account, one in findings]
    table = "\n".join(["| account | month | finding | ids |", "| --- | --- | --- | --- |", *rows])
    return dg.AssetCheckResult(
        asset_key=KEY,
        check_name=check.name,
        passed=not findings,
        severity=dg.AssetCheckSeverity.ERROR if check.severe else dg.AssetCheckSeverity.WARN,
        description=said + more if findings else f"nothing found in {', '.join(found)}",
        metadata={"findings": len(findings), **({"ids": dg.MetadataValue.md(table)} if findings else {})},
    )
