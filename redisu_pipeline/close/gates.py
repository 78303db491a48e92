"""What stops a close, a final month or a lock: one clear line each."""

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime

import narwhals as nw

from redisu_pipeline.close.pins import Pins
from redisu_pipeline.close.stored import FINAL, LOCKED, PeriodState
from redisu_pipeline.common.money import KNOWN_CURRENCIES
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import ConfigurationError, Failed, Problem
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.controls.model import ControlRow
from redisu_pipeline.export.lint import lint
from redisu_pipeline.export.month import ClosedMonth
from redisu_pipeline.journals.books import Books
from redisu_pipeline.journals.model import Blocked

States = Mapping[Month, PeriodState]
SHOWN = 10


def month_of(text: str, account: Account, now: datetime) -> Month:
    """Return the month written YYYY-MM. Raises ConfigurationError for another form, or a month without books."""
    try:
        month = Month.parse(text)
    except ValueError:
        problem = Problem("usage", "--month", f"{text!r} is not a month", "write it like 2026-10")
        raise ConfigurationError(problem) from None
    where = f"{account.name} {month}"
    if month < account.first_month:
        mend = f"close {account.first_month} first, or set accounts.{account.name}.start earlier"
        raise ConfigurationError(Problem("before_start", where, f"the books start with {account.first_month}", mend))
    if month.bounds(account.timezone)[0] > now:
        raise ConfigurationError(Problem("future_month", where, "has not begun", "choose a month that is over"))
    return month


def earlier_is_final(account: Account, month: Month, states: States) -> None:
    """Raise Failed unless the month before is final or locked: its closing balances are this month's opening."""
    before = month.previous()
    if month <= account.first_month or (before in states and states[before].status in (FINAL, LOCKED)):
        return
    state = states[before].status if before in states else "not closed"
    mend = f"redisu close --account {account.name} --month {before}"
    raise Failed(Problem("earlier_month", f"{account.name} {month}", f"the month before, {before}, is {state}", mend))


def something_synced(account: Account, pins: Pins) -> None:
    """Raise Failed when there is nothing to derive journals from."""
    if "balance_transactions" not in pins.cursors:
        mend = f"redisu sync --account {account.name}"
        raise Failed(Problem("nothing_synced", f"account {account.name}", "the lake has no balance transactions", mend))


def known_currencies(account: Account, books: Books) -> None:
    """Raise Failed when a row of the month has a currency whose minor unit nobody knows: a guess is a factor of 100."""
    problems = []
    for table in ("transactions", "invoices", "payouts", "disputes"):
        rows = books[table].filter(nw.col("period") == books.month) if table != "disputes" else books[table]
        currencies = {row[0] for row in rows.select("currency").unique().collect().rows()}
        strange = sorted(name for name in currencies if name is not None and name not in KNOWN_CURRENCIES)
        if strange:
            ids = sorted(rows.filter(nw.col("currency").is_in(strange)).select("id").collect()["id"].to_list())
            what = f"{table} in {', '.join(strange)}, whose minor unit nobody told: {_few(ids)}"
            mend = "upgrade redisu, or look it up at Stripe and add it to redisu_pipeline/common/money.py"
            problems.append(Problem("unknown_currency", f"{account.name} {books.period}", what, mend))
    if problems:
        raise Failed(problems)


def untouched(account: Account, state: PeriodState, digest: str) -> None:
    """Raise Failed when a locked month's files are not those that were locked."""
    if state.content_hash != digest:
        what = "its journals are not those that were locked"
        mend = "restore netsuite/journal_lines and netsuite/journal_sources of the month from _history/ or a backup"
        raise Failed(Problem("locked_month_changed", f"{account.name} {state.period}", what, mend))


def first_not_locked(account: Account, states: States) -> Month:
    """Return the first month that is not locked: late changes of locked ones are posted there."""
    month = account.first_month
    while month in states and states[month].status == LOCKED:
        month = month.next()
    return month


def may_lock(account: Account, month: Month, status: str, states: States) -> list[Problem]:
    """Say why a month cannot be locked: it is not final, or the month before is not locked."""
    where, found = f"{account.name} {month}", []
    if status != FINAL:
        found.append(Problem("not_final", where, f"is {status}, so it cannot be locked", "mend what is named above"))
    before = month.previous()
    if month > account.first_month and (before not in states or states[before].status != LOCKED):
        mend = f"redisu close --account {account.name} --month {before} --lock"
        found.append(Problem("earlier_month", where, f"the month before, {before}, is not locked", mend))
    return found


def problems(
    account: Account, month: Month, controls: Sequence[ControlRow], blocked: Sequence[Blocked]
) -> tuple[Problem, ...]:
    """Say what keeps the month open: blocking controls that fail, and what no rule explains."""
    where = f"{account.name} {month}"
    found = [Problem(f"blocked_{one.kind}", where, f"{one.what}: {_few(one.ids)}", one.mend) for one in blocked]
    for row in controls:
        if row.stops:
            about = " ".join(word for word in (row.control, row.currency, row.scope) if word)
            said = f"control {about} fails: {row.detail or row.description} (difference {row.difference.normalize():f})"
            found.append(Problem("control_failed", where, said, "mend what it names, sync, and close again"))
    return tuple(found)


def refused_lines(page: ClosedMonth, states: States, used: Container[str]) -> tuple[Problem, ...]:
    """Say what NetSuite would refuse or silently change; ``used`` are the external ids of earlier months."""
    locked = frozenset(str(month) for month, state in states.items() if state.status == LOCKED)
    return lint(page, used, locked)


def decisions(settings: Settings, account: Account) -> str:
    """Return the part of the configuration that journals depend on, as one text to be hashed."""
    rates = settings.netsuite.exchange_rates
    path = None if rates is None else (rates if rates.is_absolute() else settings.folder / rates)
    told = {
        "account": repr(account),
        "chart": repr(sorted(settings.chart(account.name).items())),
        "mapping": repr(settings.journal_mapping),
        "courses": repr(sorted((slug, one.recognition, one.access_days) for slug, one in settings.courses.items())),
        "netsuite": repr((settings.netsuite.period_format, settings.netsuite.post_bank_arrivals)),
        "rates": path.read_text(encoding="utf-8") if path is not None and path.exists() else "",
    }
    return json.dumps(told, sort_keys=True)


def _few(ids: Iterable[str]) -> str:
    known = list(ids)
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return ", ".join(known[:SHOWN]) + more
