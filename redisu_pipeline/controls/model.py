"""A control as a row: both sides of its equation, so that a controller sees what was compared with what."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Status(StrEnum):
    """How a control ended. ``list`` is a work list or a side that cannot be had, not a failure."""

    PASS = "pass"
    FAIL = "fail"
    WARN = "warn"
    LIST = "list"


class Unit(StrEnum):
    """What the two sides are measured in."""

    MONEY = "money"
    COUNT = "count"


@dataclass(frozen=True, kw_only=True)
class ControlRow:
    """One equation of one account, month and currency, as `netsuite/controls` has it.

    Money is in major units, counts are whole. ``currency`` is None where there is none; ``scope`` names the payout,
    jurisdiction, … or is empty; ``detail`` says in words what differs, with Stripe ids.
    """

    account: str
    period: str
    currency: str | None
    control: str  # C1, C3a, …
    scope: str
    description: str
    unit: Unit
    left_amount: Decimal
    right_amount: Decimal
    tolerance: Decimal
    blocking: bool
    status: Status
    detail: str

    @property
    def difference(self) -> Decimal:
        """Left − right."""
        return self.left_amount - self.right_amount

    @property
    def stops(self) -> bool:
        """Whether the month cannot be final because of it."""
        return self.blocking and self.status is Status.FAIL
