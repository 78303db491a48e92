"""Which months wait for a close: those that are over and not locked, and those whose sources have changed since.

Read from the manifests alone, so that a schedule may ask every few minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from redisu_pipeline.close.fingerprint import fingerprint, remembered
from redisu_pipeline.close.pins import SOURCES, listed
from redisu_pipeline.close.stored import LOCKED, PeriodState, Stored
from redisu_pipeline.common import clock
from redisu_pipeline.common.periods import Month, months_between
from redisu_pipeline.common.settings import Account, Settings, TaxMode
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.storage import Storage, open_storage
from redisu_pipeline.tax.inputs import coverage_of

TAX_REPORT = "tax_transactions"
SNAPSHOTS = ("balances",)  # of a moment: it is complete in no interval
SHOWN = 3


@dataclass(frozen=True)
class Changed:
    """A month that is to be derived again; ``because`` are the months whose sources have changed.

    ``state`` is a hash of those sources: the same change is never asked for twice.
    """

    month: Month
    because: tuple[Month, ...]
    state: str


def open_months(settings: Settings, account: str) -> list[Month]:
    """Return the account's months that are over and not locked, oldest first."""
    chosen = settings.account(account)
    states = Stored(open_storage(settings.lake.uri), chosen.name).states()
    return _over_and_not_locked(chosen, states)


def incomplete(storage: Storage, account: Account, month: Month) -> str:
    """Say in words what of ``month`` is not in the lake yet; empty when everything is.

    Stripe's tax report counts where there is one (C21).
    """
    end = month.bounds(account.timezone)[1]
    waiting = []
    for table in SOURCES:
        if table in SNAPSHOTS or (table == TAX_REPORT and not _reported(storage, account)):
            continue
        manifest, _ = read_manifest(storage, table, account.name)
        text = manifest.cursor.complete_until if manifest else None
        until = datetime.fromisoformat(text) if text else None
        if until is None or until < end:
            waiting.append(f"{table} ({until:%Y-%m-%d %H:%M} UTC)" if until else f"{table} (never synced)")
    more = f" and {len(waiting) - SHOWN} more" if len(waiting) > SHOWN else ""
    return f"complete only until: {', '.join(waiting[:SHOWN])}{more}" if waiting else ""


def changed(settings: Settings, storage: Storage, account: Account) -> Changed | None:
    """Return the first month that is over and not locked, if something changed since the months were last derived.

    That may be a locked month: its difference is posted there. None when nothing changed, or nothing was ever closed.
    """
    stored = Stored(storage, account.name)
    states = stored.states()
    waiting = _over_and_not_locked(account, states)
    if not waiting:
        return None
    seen, hashes = stored.seen(), listed(storage, account.name)
    now = {month: fingerprint(settings, account, hashes, month) for month in states}
    moved = [month for month, state in states.items() if seen.get(remembered(month, state.status)) != now[month]]
    later = [month for month in moved if states[month].status != LOCKED]
    if not moved:
        return None
    month = min(later) if later and not _locked(moved, states) else waiting[0]
    return Changed(month, tuple(moved), fingerprint(settings, account, hashes, max(month, *moved))[:16])


def _locked(months: list[Month], states: Mapping[Month, PeriodState]) -> bool:
    return any(states[month].status == LOCKED for month in months)


def _over_and_not_locked(account: Account, states: Mapping[Month, PeriodState]) -> list[Month]:
    this = Month.containing(clock.now(), account.timezone)
    past = months_between(account.first_month, this.previous())
    return [month for month in past if month not in states or states[month].status != LOCKED]


def _reported(storage: Storage, account: Account) -> bool:
    return account.tax is TaxMode.AUTOMATIC and not coverage_of(storage, account.name).note
