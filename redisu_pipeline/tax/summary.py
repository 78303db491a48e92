"""`tax_by_jurisdiction` as it stands in the lake, for people: plain rows, amounts as text with their decimals."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq

from redisu_pipeline.common.money import exponent
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tax.table import TAX_BY_JURISDICTION


def tax_rows(storage: Storage, account: str) -> list[dict[str, str]]:
    """Return every row of ``account``, by month; ``until`` is empty where the month is complete."""
    manifest, _ = read_manifest(storage, TAX_BY_JURISDICTION.name, account, TAX_BY_JURISDICTION.area)
    found = []
    with TemporaryDirectory() as folder:
        for entry in manifest.files if manifest else ():
            fetched = storage.fetch(entry.path, Path(folder))
            for row in pq.read_table(fetched[0], partitioning=None).to_pylist() if fetched else ():
                until, decimals = row["complete_until"], exponent(row["currency"])
                found.append(
                    {
                        **{name: row[name] for name in ("period", "country", "state", "tax_type", "currency")},
                        **{name: f"{row[name]:,.{decimals}f}" for name in ("taxable", "collected", "refunded")},
                        "source": row["source"],
                        "until": "" if row["complete"] else f"{until:%Y-%m-%d %H:%M}" if until else "unknown",
                    }
                )
    return found
