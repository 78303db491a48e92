"""Deriving `tax_by_jurisdiction` of one account: what changed since, which months that touches, and writing them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from redisu_pipeline.common.periods import Month, months_between
from redisu_pipeline.common.settings import Account
from redisu_pipeline.lake.derived import Derivation, DerivedMonth, write_months
from redisu_pipeline.lake.manifest import Cursor, Manifest, read_manifest
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tables.registry import RESOURCE_OF
from redisu_pipeline.tax.checks import findings_of
from redisu_pipeline.tax.inputs import SOURCES, coverage_of, read_books
from redisu_pipeline.tax.jurisdictions import by_jurisdiction
from redisu_pipeline.tax.model import Books, Coverage, Finding, JurisdictionRow
from redisu_pipeline.tax.table import TAX_BY_JURISDICTION, sums_of, to_arrow

LOOK_BACK = 3
"""Months before this one whose findings a sync tells; the asset checks look at all."""


@dataclass(frozen=True)
class Derived:
    """What was derived: the months whose file changed, and what the checks found in the months looked at."""

    months: tuple[str, ...]
    findings: tuple[Finding, ...]
    coverage: Coverage


def derive(derivation: Derivation, account: Account, *, only: Iterable[Month] | None = None) -> Derived:
    """Bring the table up to date: every month that a change of its sources may touch, or ``only`` some.

    Raises Failed as the lake does. Equal sources give equal files, byte for byte.
    """
    storage, now = derivation.storage, derivation.now
    this = Month.containing(now, account.timezone)
    sources = _fingerprints(storage, account.name)
    manifest, _ = read_manifest(storage, TAX_BY_JURISDICTION.name, account.name, TAX_BY_JURISDICTION.area)
    first = min(_first_touched(manifest, sources, account.first_month), this)
    months = list(only) if only is not None else months_between(max(first, account.first_month), this)
    since = min([*months, max(this.shift(-LOOK_BACK), account.first_month)])
    books = read_books(storage, account, since.bounds(account.timezone)[0])
    rows = by_jurisdiction(books, months)
    derived = {str(month): DerivedMonth(to_arrow(account.name, rows[month]), sums_of(rows[month])) for month in months}
    # A single month leaves the fingerprints as they are: the others have not been looked at.
    cursor = _cursor(sources, books, rows, account.timezone) if only is None else _unmoved(manifest)
    changed = write_months(derivation, TAX_BY_JURISDICTION, derived, cursor)
    return Derived(changed, tuple(findings_of(books, now)), books.coverage)


def _fingerprints(storage: Storage, account: str) -> dict[str, str]:
    """Return the hash of each month's files of every source, as ``<table>/<month>``."""
    found = {}
    for resource in SOURCES:
        for table in RESOURCE_OF[resource].table.family():
            manifest, _ = read_manifest(storage, table.name, account)
            for entry in manifest.files if manifest else ():
                found[f"{table.name}/{entry.month}"] = entry.sha256[:12]
    return found


def _first_touched(manifest: Manifest | None, sources: Mapping[str, str], first: Month) -> Month:
    """Return the earliest month of the books that may have changed since the table was last derived.

    An object only moves tax at or after its `created`, so a changed file touches its month and later ones; and the
    one before, where the zone of the books is behind UTC.
    """
    if manifest is None or not manifest.cursor.extra:
        return first
    before = manifest.cursor.extra
    touched = [name for name in sources.keys() | before.keys() if "/" in name and sources.get(name) != before.get(name)]
    if any(name.startswith("tax_r") for name in touched):  # rates and registrations are of no month
        return first
    months = [Month.parse(name.partition("/")[2]).previous() for name in touched]
    if "open_from" in before:
        months.append(Month.parse(before["open_from"]))
    return min(months, default=Month(9998, 1))


def _cursor(
    sources: Mapping[str, str], books: Books, rows: Mapping[Month, list[JurisdictionRow]], timezone: str
) -> Cursor:
    """Record what the table was derived from, and the first month that is not complete yet."""
    coverage = books.coverage
    known = [until for until in (coverage.reported_until, coverage.invoiced_until) if until]
    until = min(known) if coverage.invoiced_until and (coverage.note or coverage.reported_until) else None
    unfinished = [month for month in rows if until is None or month.bounds(timezone)[1] > until]
    extra = {**sources, **({"open_from": str(min(unfinished))} if unfinished else {})}
    return Cursor(complete_until=until.isoformat() if until else None, extra=extra)


def _unmoved(manifest: Manifest | None) -> Cursor:
    return manifest.cursor if manifest else Cursor()


def status_of(storage: Storage, account: str, now: datetime) -> tuple[Coverage, int | None]:
    """Return the coverage and how many whole hours the report is behind (None without a report)."""
    coverage = coverage_of(storage, account)
    until = coverage.reported_until
    return coverage, None if until is None else int((now - until).total_seconds() // 3600)
