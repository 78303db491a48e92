"""How the assets are cut: Stripe's tables by account, the books by account and month (`us|2026-10`).

Accounts come from the configuration, so keys are never typed.
"""

from collections.abc import Iterable
from datetime import date

import dagster as dg


def by_account(accounts: Iterable[str]) -> dg.StaticPartitionsDefinition:
    """Return one partition for each configured account."""
    return dg.StaticPartitionsDefinition(list(accounts))


def by_account_and_month(accounts: Iterable[str], start: date) -> dg.MultiPartitionsDefinition:
    """Return one partition for each account and month, from that of ``start`` to the running one."""
    months = dg.MonthlyPartitionsDefinition(start_date=f"{start:%Y-%m}", fmt="%Y-%m", end_offset=1)
    return dg.MultiPartitionsDefinition({"account": by_account(accounts), "month": months})
