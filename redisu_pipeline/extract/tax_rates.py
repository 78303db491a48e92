"""Whose tax it is, on each tax of an invoice or a credit note: looked up among the account's tax rates as it lands."""

import hashlib
from typing import Any

import pyarrow as pa

from redisu_pipeline.lake.filling import NO_FILLING, Filling
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.reading import scan
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tables.catalogue import TAX_RATES
from redisu_pipeline.tables.model import OF_TAX_RATE, Resource

COLUMNS = tuple(column.name for column in OF_TAX_RATE)


def needs_rates(resource: Resource) -> bool:
    """Tell whether one of the resource's tables repeats what its tax rate says."""
    return any(column in table.columns for table in resource.table.family() for column in OF_TAX_RATE)


def filling_of(storage: Storage, account: str) -> Filling:
    """Return what completes the tax columns of ``account`` by the rates that are in the lake now."""
    manifest, _ = read_manifest(storage, TAX_RATES.name, account)
    if manifest is None:
        return NO_FILLING
    source = ("id", *(column.path[0] for column in OF_TAX_RATE))
    rates: dict[str, Any] = {}
    for rows in scan(storage, manifest, source):
        rates.update({row["id"]: row for row in rows.to_pylist()})

    def fill(rows: pa.Table) -> pa.Table:
        if "tax_rate" not in rows.schema.names:
            return rows
        found = [rates.get(rate, {}) for rate in rows.column("tax_rate").to_pylist()]
        for column in OF_TAX_RATE:
            index = rows.schema.get_field_index(column.name)
            field = rows.schema.field(index)
            values = pa.array([rate.get(column.path[0]) for rate in found], field.type)
            rows = rows.set_column(index, field, values)
        return rows

    version = hashlib.sha256("\n".join(entry.sha256 for entry in manifest.files).encode()).hexdigest()[:16]
    return Filling(("tax_rate", *COLUMNS), fill, version)
