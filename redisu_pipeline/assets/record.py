"""Tells Dagster about a lake that was made without it: `python -m redisu_pipeline.assets.record` (see `make ui`).

Each account's part of each table, and each month of its books, is recorded once a state; then every check looks at the
lake.
"""

import os
import sys
from collections.abc import Iterable, Iterator

import dagster as dg

from redisu_pipeline.assets.catalogue import key_of
from redisu_pipeline.assets.journals import materializations, stored_report
from redisu_pipeline.assets.metadata import metadata_of
from redisu_pipeline.assets.tax import materialization
from redisu_pipeline.close.stored import Stored
from redisu_pipeline.common.problems import Refusal
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.lake.manifest import Manifest, read_manifest
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.resources.pipeline import PipelineResource
from redisu_pipeline.tables.registry import EVERY_TABLE
from redisu_pipeline.tax.table import TAX_BY_JURISDICTION


def record(instance: dg.DagsterInstance, storage: Storage, accounts: Iterable[str]) -> int:
    """Report what the manifests say of every table; returns how many states Dagster did not know yet."""
    new = 0
    for account in accounts:
        for name in EVERY_TABLE:
            manifest, _ = read_manifest(storage, name, account)
            if manifest is not None and not _known(instance, manifest):
                metadata = metadata_of(storage, manifest)
                instance.report_runless_asset_event(
                    dg.AssetMaterialization(key_of(name), partition=account, metadata=metadata)
                )
                new += 1
    return new


def record_books(instance: dg.DagsterInstance, settings: Settings, storage: Storage) -> int:
    """Report every month of tax and every closed month; returns how many states Dagster did not know yet."""
    new = 0
    for account in settings.accounts.values():
        for event in _books(settings, storage, account):
            if not _recorded(instance, event):
                instance.report_runless_asset_event(event)
                new += 1
    return new


def _books(settings: Settings, storage: Storage, account: Account) -> Iterator[dg.AssetMaterialization]:
    manifest, _ = read_manifest(storage, TAX_BY_JURISDICTION.name, account.name, TAX_BY_JURISDICTION.area)
    for entry in manifest.files if manifest else ():
        yield materialization(storage, account.name, entry.month)
    for month in Stored(storage, account.name).states():
        yield from materializations(storage, stored_report(settings, storage, account.name, str(month)))


def _recorded(instance: dg.DagsterInstance, event: dg.AssetMaterialization) -> bool:
    """Tell whether the partition's last record says the same."""
    assert event.partition is not None
    wanted = dg.AssetRecordsFilter(asset_key=event.asset_key, asset_partitions=[event.partition])
    made = [one.asset_materialization for one in instance.fetch_materializations(wanted, limit=1).records]
    return any(one is not None and one.metadata == event.metadata for one in made)


def _known(instance: dg.DagsterInstance, manifest: Manifest) -> bool:
    wanted = dg.AssetRecordsFilter(asset_key=key_of(manifest.table), asset_partitions=[manifest.account])
    for found in instance.fetch_materializations(wanted, limit=1).records:
        made = found.asset_materialization
        run = made.metadata.get("sync_run") if made else None
        return isinstance(run, dg.TextMetadataValue) and run.value == manifest.run.id
    return False


def main() -> int:
    """Record the configured lake in the instance of `$DAGSTER_HOME` and check it; returns the exit code."""
    from redisu_pipeline.definitions import defs

    pipeline = PipelineResource()
    try:
        settings, storage = pipeline.settings(), pipeline.storage()
        with dg.DagsterInstance.get() as instance:
            new = record(instance, storage, settings.accounts) + record_books(instance, settings, storage)
            if new:
                defs.resolve_job_def("check_lake").execute_in_process(instance=instance, raise_on_error=False)
    except Refusal as refusal:
        sys.stderr.write(f"{refusal}\n")
        return refusal.exit_code
    sys.stderr.write(f"{new} states of tables recorded in {os.environ.get('DAGSTER_HOME', '')}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
