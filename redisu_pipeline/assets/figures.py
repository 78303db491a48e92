"""Stripe's own figures of a month as assets: no step of their own makes them, a close reads what it lacks of them.

So they are told of to Dagster, not run by it: with columns, owners and checks, upstream of the controls that compare
them, and recorded by whatever closed a month.
"""

from collections.abc import Iterator, Mapping

import dagster as dg

from redisu_pipeline.assets.catalogue import key_of, spec_of
from redisu_pipeline.assets.metadata import metadata_of
from redisu_pipeline.lake.manifest import Manifest, read_manifest
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tables.figures import FIGURES

FIGURE_KEYS = tuple(key_of(one.name) for one in FIGURES)


def figure_specs(partitions: dg.PartitionsDefinition, notice: str = "") -> list[dg.AssetSpec]:
    """Return what the payouts contain and the balance reports, partitioned by account like every Stripe table."""
    return [spec_of(one.table, partitions, notice) for one in FIGURES]


def figures_known(storage: Storage, account: str) -> Mapping[str, str]:
    """Return the run that last wrote each table of figures. Raises Failed when a manifest is damaged."""
    return {manifest.table: manifest.run.id for manifest in _manifests(storage, account)}


def figures_read(storage: Storage, account: str, known: Mapping[str, str]) -> Iterator[dg.AssetMaterialization]:
    """Yield the record of each table that has been written since ``known``."""
    for manifest in _manifests(storage, account):
        if known.get(manifest.table) != manifest.run.id:
            metadata = metadata_of(storage, manifest)
            yield dg.AssetMaterialization(key_of(manifest.table), partition=account, metadata=metadata)


def _manifests(storage: Storage, account: str) -> Iterator[Manifest]:
    for one in FIGURES:
        manifest, _ = read_manifest(storage, one.name, account)
        if manifest is not None:
            yield manifest
