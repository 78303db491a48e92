"""Balances by role and by GL account: what earlier months left, and the trial balance of a month."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal

from redisu_pipeline.common.money import to_major, to_minor
from redisu_pipeline.common.settings import Account, Settings, gl_account
from redisu_pipeline.export.month import TrialBalanceRow
from redisu_pipeline.journals.lines import ORDER
from redisu_pipeline.journals.model import JournalLine

OPENING_ROLES = ("clearing", "transit", "disputed")
Balances = Mapping[tuple[str, str], int]
"""(currency, role) -> minor units, debit positive."""


def configured(account: Account) -> dict[tuple[str, str], int]:
    """Return the balances that the account had at `start`."""
    return {
        (currency.upper(), role): getattr(opening, role)
        for currency, opening in account.opening.items()
        for role in OPENING_ROLES
        if getattr(opening, role)
    }


def opening_of(account: Account, earlier: Iterable[JournalLine]) -> dict[tuple[str, str], int]:
    """Return the balances that ``earlier`` lines leave, on top of the configured ones."""
    found: dict[tuple[str, str], int] = defaultdict(int, configured(account))
    for line in earlier:
        found[line.currency, line.gl_role] += to_minor(line.amount, line.currency)
    return dict(found)


def trial_balance(
    settings: Settings, account: Account, earlier: Iterable[JournalLine], lines: Iterable[JournalLine]
) -> list[TrialBalanceRow]:
    """Return one row per currency and GL account: opening + debit − credit = closing, in major units."""
    sums: dict[tuple[str, str, str, str], list[Decimal]] = {}
    chart = settings.chart(account.name)
    for (currency, role), minor in configured(account).items():
        entry = gl_account(chart, role, currency=currency)
        _row(sums, (currency, role, entry.number, entry.name))[0] += to_major(minor, currency)
    for line in earlier:
        _row(sums, _about(line))[0] += line.amount
    for line in lines:
        row = _row(sums, _about(line))
        row[1] += line.debit or Decimal(0)
        row[2] += line.credit or Decimal(0)
    rows = [
        TrialBalanceRow(
            currency=currency,
            gl_role=role,
            gl_account=number,
            gl_account_name=name,
            opening=opening,
            debit=debit,
            credit=credit,
            closing=opening + debit - credit,
        )
        for (currency, role, number, name), (opening, debit, credit) in sums.items()
        if opening or debit or credit
    ]
    return sorted(rows, key=lambda row: (row.currency, row.gl_account, _turn(row.gl_role)))


def _about(line: JournalLine) -> tuple[str, str, str, str]:
    return line.currency, line.gl_role, line.gl_account, line.gl_account_name


def _row(sums: dict[tuple[str, str, str, str], list[Decimal]], about: tuple[str, str, str, str]) -> list[Decimal]:
    return sums.setdefault(about, [Decimal(0), Decimal(0), Decimal(0)])


def _turn(role: str) -> int:
    return ORDER.index(role) if role in ORDER else -1
