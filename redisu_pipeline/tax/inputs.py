"""The lake's tables as the books that tax is derived from, whole or in slices of whole sales: decides nothing.

Returns are few and held whole; of invoices and report rows only those from ``since`` on, and the invoices that a
return belongs to.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from redisu_pipeline.common.settings import Account
from redisu_pipeline.lake.manifest import Cursor, read_manifest
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tax.model import Books, Coverage
from redisu_pipeline.tax.scanning import Scan
from redisu_pipeline.tax.slicing import Slicing

SOURCES = (
    "tax_transactions",
    "invoices",
    "credit_notes",
    "refunds",
    "invoice_payments",
    "balance_transactions",
    "checkout_sessions",
    "tax_rates",
    "tax_registrations",
)
"""The tables behind `tax_by_jurisdiction`; a family's other tables land with its first."""

INVOICED = ("invoices", "credit_notes", "refunds", "invoice_payments", "balance_transactions", "tax_rates")
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
SALES_A_SLICE = 25_000
"""How many sales are Python objects at a time: 2 KB each with all that is worked out from them. Smaller costs time."""


def read_slices(
    storage: Storage, account: Account, since: datetime = LONG_AGO, *, number: int | None = None
) -> Iterator[Books]:
    """Yield what the lake knows of the account's tax from ``since`` on, in slices: whole sales, each in one of them.

    There are as many slices as the rows need, or ``number``. Whoever lets go of a slice before asking for the next
    holds one at a time.
    """
    rows = max(_rows_since(storage, table, account.name, since) for table in ("invoices", "tax_transactions"))
    slices = number or max(1, -(-rows // SALES_A_SLICE))
    with TemporaryDirectory() as folder:
        slicing = Slicing(Scan(storage, account.name), account, since, slices, Path(folder))
        yield from slicing.slices(coverage_of(storage, account.name), rows)


def _rows_since(storage: Storage, table: str, account: str, since: datetime) -> int:
    manifest, _ = read_manifest(storage, table, account)
    return sum(entry.rows for entry in manifest.files if entry.month >= f"{since:%Y-%m}") if manifest else 0


def coverage_of(storage: Storage, account: str) -> Coverage:
    """Return how far the report and the invoices of ``account`` reach, by their manifests."""
    report = _cursor(storage, "tax_transactions", account)
    untils = [_cursor(storage, table, account).complete_until for table in INVOICED]
    known = [datetime.fromisoformat(until) for until in untils if until]
    start = report.extra.get("available_start")
    return Coverage(
        reported_from=datetime.fromisoformat(start) if start else None,
        reported_until=datetime.fromisoformat(report.complete_until) if report.complete_until else None,
        invoiced_until=min(known) if len(known) == len(untils) else None,
        note=report.extra.get("note", ""),
    )


def _cursor(storage: Storage, table: str, account: str) -> Cursor:
    manifest, _ = read_manifest(storage, table, account)
    return manifest.cursor if manifest else Cursor()
