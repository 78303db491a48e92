"""Deriving `tax_by_jurisdiction` of one account: what changed since, which months that touches, and writing them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from redisu_pipeline.common.periods import Month, months_between
from redisu_pipeline.common.settings import Account
from redisu_pipeline.lake.derived import Derivation, DerivedMonth, write_months
from redisu_pipeline.lake.manifest import Cursor, Manifest, read_manifest
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tables.registry import RESOURCE_OF
from redisu_pipeline.tax.checks import CHECKS, Findings
from redisu_pipeline.tax.inputs import SOURCES, coverage_of, read_slices
from redisu_pipeline.tax.jurisdictions import Jurisdictions
from redisu_pipeline.tax.model import Coverage, JurisdictionRow
from redisu_pipeline.tax.moving_on import INVOICED, OPEN_FROM, SAID, UNDER, circumstances, moved_on, reach
from redisu_pipeline.tax.table import TAX_BY_JURISDICTION, sums_of, to_arrow
from redisu_pipeline.tax.two_sides import lateness, report_is_late
from redisu_pipeline.tax.words import SHOWN, lines_of, notes_of

LOOK_BACK = 3
"""Months before this one whose findings a sync tells; the asset checks look at all."""


@dataclass(frozen=True)
class Derived:
    """What was derived: the months whose file changed, and what the checks say of the months looked at."""

    months: tuple[str, ...]
    notes: tuple[str, ...]


def derive(derivation: Derivation, account: Account, *, only: Iterable[Month] | None = None) -> Derived:
    """Bring the table up to date: every month that a change of its sources may touch, or ``only`` some.

    Raises Failed as the lake does. Equal sources give equal files, byte for byte.
    """
    storage, now = derivation.storage, derivation.now
    sources, coverage = _fingerprints(storage, account.name), coverage_of(storage, account.name)
    manifest, _ = read_manifest(storage, TAX_BY_JURISDICTION.name, account.name, TAX_BY_JURISDICTION.area)
    moved = reach(manifest, sources, circumstances(coverage, now, account.timezone), coverage) if only is None else None
    months = moved_on(storage, manifest, moved, account.timezone) if manifest and moved else None
    if manifest is None or months is None:
        return _derived(derivation, account, manifest, sources, coverage, only)
    said = manifest.cursor.extra[SAID]
    unfinished = [Month.parse(month) for month in months]
    cursor = _cursor(sources, coverage, unfinished, account.timezone, said, now)
    changed = write_months(derivation, TAX_BY_JURISDICTION, months, cursor)
    return Derived(changed, (*_lateness(coverage, now), *said.splitlines()))


def _derived(
    derivation: Derivation,
    account: Account,
    manifest: Manifest | None,
    sources: Mapping[str, str],
    coverage: Coverage,
    only: Iterable[Month] | None,
) -> Derived:
    now = derivation.now
    this = Month.containing(now, account.timezone)
    first = min(_first_touched(manifest, sources, account.first_month), this)
    months = list(only) if only is not None else months_between(max(first, account.first_month), this)
    since = min([*months, max(this.shift(-LOOK_BACK), account.first_month)])
    rows, said = _looked_at(derivation, account, since, months)
    derived = {str(month): DerivedMonth(to_arrow(account.name, rows[month]), sums_of(rows[month])) for month in months}
    if only is None:
        cursor = _cursor(sources, coverage, months, account.timezone, "\n".join(said), now)
    else:  # the other months have not been looked at
        cursor = _unmoved(manifest)
    changed = write_months(derivation, TAX_BY_JURISDICTION, derived, cursor)
    return Derived(changed, (*_lateness(coverage, now), *said))


def _looked_at(
    derivation: Derivation, account: Account, since: Month, months: Iterable[Month]
) -> tuple[dict[Month, list[JurisdictionRow]], tuple[str, ...]]:
    """Return the rows of ``months`` and what is said from ``since`` on; each slice of the books is read once."""
    checks = [check for check in CHECKS.values() if check.find is not report_is_late]
    sums, found = Jurisdictions(months), Findings(derivation.now, checks, SHOWN)
    for books in read_slices(derivation.storage, account, since.bounds(account.timezone)[0]):
        sums.add(books)
        found.add(books)
        del books  # or it would be in memory beside the next
    return sums.rows(), lines_of(found.summaries())


def _lateness(coverage: Coverage, now: datetime) -> tuple[str, ...]:
    """Return what is to be said of the report's reach, but for what its own table says."""
    return notes_of(one for one in lateness(coverage, now) if one.message != coverage.note)


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
    if OPEN_FROM in before:
        months.append(Month.parse(before[OPEN_FROM]))
    return min(months, default=Month(9998, 1))


def _cursor(
    sources: Mapping[str, str], coverage: Coverage, months: Iterable[Month], timezone: str, said: str, now: datetime
) -> Cursor:
    """Record what the table was derived from, what was said then, and the first month that is not complete yet."""
    known = [until for until in (coverage.reported_until, coverage.invoiced_until) if until]
    until = min(known) if coverage.invoiced_until and (coverage.note or coverage.reported_until) else None
    unfinished = [month for month in months if until is None or month.bounds(timezone)[1] > until]
    extra = {**sources, UNDER: circumstances(coverage, now, timezone), SAID: said}
    if unfinished:
        extra[OPEN_FROM] = str(min(unfinished))
    if coverage.invoiced_until:
        extra[INVOICED] = coverage.invoiced_until.isoformat()
    return Cursor(complete_until=until.isoformat() if until else None, extra=extra)


def _unmoved(manifest: Manifest | None) -> Cursor:
    """Keep the place, but let the next derivation read: some rows are newer now than the cursor says."""
    if manifest is None:
        return Cursor()
    extra = {name: value for name, value in manifest.cursor.extra.items() if name != UNDER}
    return msgspec.structs.replace(manifest.cursor, extra=extra)


def status_of(storage: Storage, account: str, now: datetime) -> tuple[Coverage, int | None]:
    """Return the coverage and how many whole hours the report is behind (None without a report)."""
    coverage = coverage_of(storage, account)
    until = coverage.reported_until
    return coverage, None if until is None else int((now - until).total_seconds() // 3600)
