"""Tells Dagster about a lake that was synced without it: `python -m redisu_pipeline.assets.record` (see `make ui`).

Each account's part of each table is recorded once a state; then every check looks at the lake.
"""

import os
import sys
from collections.abc import Iterable

import dagster as dg

from redisu_pipeline.assets.catalogue import key_of
from redisu_pipeline.assets.metadata import metadata_of
from redisu_pipeline.common.problems import Refusal
from redisu_pipeline.lake.manifest import Manifest, read_manifest
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.resources.pipeline import PipelineResource
from redisu_pipeline.tables.registry import TABLES


def record(instance: dg.DagsterInstance, storage: Storage, accounts: Iterable[str]) -> int:
    """Report what the manifests say of every table; returns how many states Dagster did not know yet."""
    new = 0
    for account in accounts:
        for name in TABLES:
            manifest, _ = read_manifest(storage, name, account)
            if manifest is not None and not _known(instance, manifest):
                metadata = metadata_of(storage, manifest)
                instance.report_runless_asset_event(
                    dg.AssetMaterialization(key_of(name), partition=account, metadata=metadata)
                )
                new += 1
    return new


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
        accounts = list(pipeline.settings().accounts)
        with dg.DagsterInstance.get() as instance:
            new = record(instance, pipeline.storage(), accounts)
            if new:
                defs.resolve_job_def("check_lake").execute_in_process(instance=instance, raise_on_error=False)
    except Refusal as refusal:
        sys.stderr.write(f"{refusal}\n")
        return refusal.exit_code
    sys.stderr.write(f"{new} states of tables recorded in {os.environ.get('DAGSTER_HOME', '')}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
