"""When nothing has landed but time: `tax_by_jurisdiction` reaches further, and everything else in it stays.

A sync without changes must not read three months of invoices to find that out. What the table was derived from is in
its cursor; only rows whose reach was the invoices' own move along with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from redisu_pipeline.common.periods import Month
from redisu_pipeline.lake.derived import DerivedMonth
from redisu_pipeline.lake.foreign import sha256_of
from redisu_pipeline.lake.manifest import FileEntry, Manifest
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tax.model import Coverage
from redisu_pipeline.tax.table import TAX_BY_JURISDICTION

UNDER, INVOICED, SAID, OPEN_FROM = "derived_under", "invoiced_until", "said", "open_from"
"""Names in the cursor's `extra`, beside `<table>/<month>` of the sources."""


@dataclass(frozen=True)
class Reach:
    """How far the invoices reached when the table was derived, and how far they do now (UTC)."""

    before: datetime
    now: datetime


def circumstances(coverage: Coverage, now: datetime, timezone: str) -> str:
    """Return all that rows and findings depend on beside the sources' files; the day, for some findings come with time.

    How far the invoices reach is not in it: that moves with every sync.
    """
    month = Month.containing(now, timezone)
    return f"{now:%Y-%m-%d} {month} {coverage.reported_from} {coverage.reported_until} {coverage.note}"


def reach(manifest: Manifest | None, sources: Mapping[str, str], under: str, coverage: Coverage) -> Reach | None:
    """Return how the invoices' reach has moved when nothing else has; None when the table must be derived again.

    ``sources`` are the hashes of the files, ``under`` the circumstances, as they are now.
    """
    extra = manifest.cursor.extra if manifest else {}
    before, until = extra.get(INVOICED), coverage.invoiced_until
    if before is None or until is None or extra.get(UNDER) != under:
        return None
    if {name: sha for name, sha in extra.items() if "/" in name} != sources:
        return None
    moved = Reach(datetime.fromisoformat(before), until)
    # A row that waits for the report shows the smaller of both: it can only be told from others below the invoices'.
    apart = coverage.reported_until is None or coverage.reported_until < moved.before
    return moved if apart else None


def moved_on(storage: Storage, manifest: Manifest, moved: Reach, timezone: str) -> dict[str, DerivedMonth] | None:
    """Return the months that were not complete, reaching further; None when a file is not as the manifest says."""
    first = manifest.cursor.extra.get(OPEN_FROM, "9999-12")
    found = {}
    with TemporaryDirectory() as folder:
        for entry in manifest.files:
            if entry.month >= first:
                rows = _rows(storage, entry, Path(folder))
                if rows is None:
                    return None
                end = Month.parse(entry.month).bounds(timezone)[1]
                found[entry.month] = DerivedMonth(_reaching(rows, moved, end), entry.sums)
    return found


def _rows(storage: Storage, entry: FileEntry, folder: Path) -> pa.Table | None:
    fetched = storage.fetch(entry.path, folder)
    if fetched is None or sha256_of(fetched[0]) != entry.sha256:
        return None
    return pq.read_table(fetched[0], schema=TAX_BY_JURISDICTION.schema, partitioning=None)


def _reaching(rows: pa.Table, moved: Reach, end: datetime) -> pa.Table:
    """Return ``rows`` of the month that ends at ``end`` with the invoices' reach as it is now."""
    kind = rows.schema.field("complete_until").type
    along = pc.fill_null(pc.equal(rows["complete_until"], pa.scalar(moved.before, kind)), False)
    until = pc.if_else(along, pa.scalar(min(moved.now, end), kind), rows["complete_until"])
    complete = pc.fill_null(pc.equal(until, pa.scalar(end, kind)), False)
    for name, values in (("complete", complete), ("complete_until", until)):
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)
    return rows
