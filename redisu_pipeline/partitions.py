"""How the assets are cut: Stripe's tables by account. Accounts come from the configuration, so keys are never typed."""

from collections.abc import Iterable

import dagster as dg


def by_account(accounts: Iterable[str]) -> dg.StaticPartitionsDefinition:
    """Return one partition for each configured account."""
    return dg.StaticPartitionsDefinition(list(accounts))
