"""What is recorded with a materialization: counts, place, columns, sums and the run's proof, from the manifest alone.

No secrets and no personal data: Dagster keeps this for ever and shows it to everyone. Money is integers in minor units.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg

from redisu_pipeline.assets.catalogue import GROUP, column_schema
from redisu_pipeline.lake.manifest import Manifest
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tables.registry import EVERY_TABLE

OF_REPORTS = ("interval", "report_run", "file", "note")
"""What a table made of report runs says of the last one."""

SHOWN_FILES = 36
"""Three years of months; the manifest has them all."""


def metadata_of(storage: Storage, manifest: Manifest) -> dict[str, dg.MetadataValue]:
    """Describe one account's part of one table as its manifest has it, with the proof of its last run."""
    run, extra = manifest.run, manifest.cursor.extra
    return {
        "dagster/row_count": dg.MetadataValue.int(manifest.rows),
        "dagster/uri": dg.MetadataValue.text(storage.uri(f"{GROUP}/{manifest.table}/account={manifest.account}")),
        "dagster/column_schema": dg.MetadataValue.table_schema(column_schema(EVERY_TABLE[manifest.table])),
        "complete_until": dg.MetadataValue.text(_utc(manifest.cursor.complete_until)),
        "new": dg.MetadataValue.int(run.new),
        "changed": dg.MetadataValue.int(run.changed),
        "requests": dg.MetadataValue.int(run.requests),
        "minimum": dg.MetadataValue.int(run.minimum),
        "sums_minor_units": dg.MetadataValue.md(_sums(manifest)),
        "files": dg.MetadataValue.md(_files(storage, manifest)),
        "sync_run": dg.MetadataValue.text(run.id),
        **{name: dg.MetadataValue.text(extra[name]) for name in OF_REPORTS if extra.get(name)},
    }


def data_version(manifest: Manifest) -> dg.DataVersion:
    """Return a version that changes exactly when the table's files do."""
    text = "\n".join(f"{entry.path} {entry.sha256}" for entry in manifest.files)
    return dg.DataVersion(hashlib.sha256(text.encode()).hexdigest()[:16])


def _utc(text: str | None) -> str:
    if text is None:
        return "never"
    return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _sums(manifest: Manifest) -> str:
    """Return money columns by currency as a Markdown table."""
    currencies = sorted({currency for amounts in manifest.sums.values() for currency in amounts})
    if not currencies:
        return "no money in this table"
    rows = [
        (column, *(str(amounts.get(currency, 0)) for currency in currencies))
        for column, amounts in sorted(manifest.sums.items())
    ]
    return _table(("column", *currencies), rows, numbers=len(currencies))


def _files(storage: Storage, manifest: Manifest) -> str:
    """Return the newest files as a Markdown table; ``sha8`` begins the SHA-256 of a file."""
    newest = sorted(manifest.files, key=lambda entry: entry.month, reverse=True)[:SHOWN_FILES]
    rows = [(entry.month, storage.uri(entry.path), entry.sha256[:8], str(entry.rows)) for entry in newest]
    left = len(manifest.files) - len(newest)
    return _table(("month", "file", "sha8", "rows"), rows, numbers=1) + (f"\n\nand {left} older files" if left else "")


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], numbers: int) -> str:
    """Return a Markdown table whose last ``numbers`` columns are aligned as numbers."""
    rule = ["---"] * (len(head) - numbers) + ["---:"] * numbers
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, tuple(rule), *rows))


def plain(values: Mapping[str, int | str]) -> dict[str, dg.MetadataValue]:
    """Return counts and texts as metadata values."""
    return {
        name: dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.text(value)
        for name, value in values.items()
    }
