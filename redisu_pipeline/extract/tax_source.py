"""What a sync does for tax beside reading lists: where the report comes from, and what follows once all has landed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from redisu_pipeline.common.opsdb.seen_events import event_seen
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.common.stripe_files import StripeFiles
from redisu_pipeline.extract.run import Run
from redisu_pipeline.extract.tax_report import TaxReportSync
from redisu_pipeline.lake.derived import Derivation
from redisu_pipeline.tax.derive import derive

ENDED = ("reporting.report_run.succeeded", "reporting.report_run.failed")
REMEMBERED = timedelta(days=1)
"""How far back the webhook service's events are looked through for the end of a report run."""


@dataclass(frozen=True)
class TaxSource:
    """Where the tax report of an account is read, and with which key."""

    settings: Settings
    account: Account
    key: str = field(repr=False)

    def sync(self, run: Run) -> TaxReportSync:
        """Return the step that brings `tax_transactions` up to date."""
        files = StripeFiles(self.key, self.account.stripe_files_base)
        heard = ear(self.settings.database.url, self.account.name, run.now)
        return TaxReportSync(run, self.settings.tax, files, heard)


def ear(database_url: str, account: str, now: datetime) -> Callable[[str], bool]:
    """Return what tells whether the webhook service has heard that a report run (by id) is done."""

    def heard(report_run: str) -> bool:
        return event_seen(database_url, account, ENDED, report_run, now - REMEMBERED)

    return heard


def derived_tax(run: Run, account: Account) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Bring tax by jurisdiction up to what has landed; return the months that changed, and what its checks say."""
    derived = derive(Derivation(run.storage, run.account, run.run_id, run.now, run.guard), account)
    return derived.months, derived.notes
