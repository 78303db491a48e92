"""The demo's end: finance closes every month that is over, and locks all but the last.

A month that ended a moment ago waits, as everywhere: Stripe's reports over it come some hours later.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from rich.console import Console

from redisu_pipeline.close.due import open_months
from redisu_pipeline.close.report import CloseReport
from redisu_pipeline.close.run import Signature, close
from redisu_pipeline.close.stored import OPEN
from redisu_pipeline.close.terminal import show_close, step_by_step
from redisu_pipeline.common import clock
from redisu_pipeline.common.settings import Settings
from redisu_pipeline.terminal import terminal

CONTROLLER = Signature("the demo's controller")


REPORTS_TAKE = timedelta(days=2)


def close_months(settings: Settings, environ: Mapping[str, str]) -> list[CloseReport]:
    """Close what is over, oldest first; a month that does not become final ends it for its account."""
    until = clock.now() - REPORTS_TAKE
    reports: list[CloseReport] = []
    with step_by_step(terminal()) as tell:
        for account in settings.accounts:
            zone = settings.account(account).timezone
            months = [month for month in open_months(settings, account) if month.bounds(zone)[1] <= until]
            for month in months:
                signature = CONTROLLER if month < months[-1] else None
                reports.append(close(settings, environ, account, str(month), signature, tell))
                if reports[-1].status == OPEN:
                    break
    return reports


def show_closes(console: Console, reports: Sequence[CloseReport]) -> None:
    """Print a line for each month, and the last month of each account whole."""
    last = {report.account: report for report in reports}
    for report in reports:
        failed = sum(row.stops for row in report.controls)
        said = (
            f"{len(report.controls)} controls, {failed} of those that block fail" if failed else "every control holds"
        )
        console.print(f"  {report.account} {report.month} is {report.status}: {said}", highlight=False)
    if not reports:
        console.print("  no month has been over for long enough: Stripe's reports are not out yet", highlight=False)
    for report in last.values():
        console.print()
        show_close(console, report)
