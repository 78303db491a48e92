"""The tax of an account in one go, for tests that ask for nothing else of the slices."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import Account
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tax.checks import CHECKS, Findings
from redisu_pipeline.tax.inputs import LONG_AGO, read_slices
from redisu_pipeline.tax.jurisdictions import Jurisdictions
from redisu_pipeline.tax.model import Books, Finding, JurisdictionRow


def tax_books(storage: Storage, account: Account, since: datetime = LONG_AGO) -> Books:
    """Return what the lake knows of the account's tax from ``since`` on, as one slice."""
    (books,) = read_slices(storage, account, since, number=1)
    return books


def by_jurisdiction(slices: Iterable[Books], months: Iterable[Month]) -> dict[Month, list[JurisdictionRow]]:
    """Return the rows of each of ``months``."""
    sums = Jurisdictions(months)
    for books in slices:
        sums.add(books)
    return sums.rows()


def findings_of(slices: Iterable[Books], now: datetime) -> list[Finding]:
    """Return what every check finds at ``now``."""
    found = Findings(now, CHECKS.values())
    for books in slices:
        found.add(books)
    return [finding for check in CHECKS.values() for finding in found.of(check)]
