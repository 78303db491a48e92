"""A month as the last close left it in the lake: read, never derived."""

from redisu_pipeline.close.balances import trial_balance
from redisu_pipeline.close.report import CloseReport
from redisu_pipeline.close.stored import LOCKED, PeriodState, Stored
from redisu_pipeline.close.writing import exports_folder
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.lake.storage import Storage


def report_of(settings: Settings, account: Account, storage: Storage, month: Month) -> CloseReport:
    """Return what stands of a closed month. Raises Failed when it was never closed, or a file was edited by hand."""
    stored = Stored(storage, account.name)
    state = stored.states().get(month)
    if state is None:
        raise Failed(never_closed(account.name, month))
    earlier = stored.lines(before=month.next())
    own = earlier.pop(month, [])
    folder = exports_folder(account.name, month)
    return CloseReport(
        account=account.name,
        month=str(month),
        status=state.status,
        version=state.version,
        controls=stored.controls(month),
        trial_balance=trial_balance(settings, account, [line for lines in earlier.values() for line in lines], own),
        exports={entry.path.rpartition("/")[2]: storage.uri(entry.path) for entry in storage.list(folder)},
        changed=False,
        notes=_notes(state),
    )


def never_closed(account: str, month: Month) -> Problem:
    """Say that there is nothing of a month yet, and how to make it."""
    mend = f"redisu close --account {account} --month {month}"
    return Problem("not_closed", f"{account} {month}", "was never closed, so it has no journals", mend)


def _notes(state: PeriodState) -> tuple[str, ...]:
    if state.status != LOCKED:
        return ()
    return (f"locked at {state.locked_at:%Y-%m-%d %H:%M} UTC by {state.locked_by}: it never changes",)
