"""What an export shows: one closed month of one account, with everything that a page or a file needs of it.

Plain rows, made by `close`; exports read no lake and decide nothing about the books. Money is Decimal in major units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import Account, NetSuite
from redisu_pipeline.controls.model import ControlRow
from redisu_pipeline.journals.model import JournalLine


@dataclass(frozen=True, kw_only=True)
class TrialBalanceRow:
    """One GL account in one currency: opening + debit − credit = closing (debit positive).

    ``opening`` is what earlier months of these books left; for income and expense accounts too (no year-end here).
    """

    currency: str
    gl_role: str
    gl_account: str
    gl_account_name: str
    opening: Decimal
    debit: Decimal
    credit: Decimal
    closing: Decimal


@dataclass(frozen=True, kw_only=True)
class TaxRow:
    """Tax of one jurisdiction, as `netsuite/tax_by_jurisdiction` has it; presentment currency, upper case."""

    country: str
    state: str
    tax_type: str
    currency: str
    taxable: Decimal
    collected: Decimal
    refunded: Decimal
    source: str
    complete: bool


@dataclass(frozen=True, kw_only=True)
class RollForwardRow:
    """The clearing account by Stripe's reporting category: gross, fee (positive is a cost) and net."""

    currency: str
    category: str
    count: int
    gross: Decimal
    fee: Decimal
    net: Decimal


@dataclass(frozen=True, kw_only=True)
class PayoutRow:
    """One payout created in the month or returned in it."""

    id: str
    currency: str
    amount: Decimal
    status: str
    created: datetime
    arrival: datetime | None
    note: str  # "manual: contents cannot be proved", "failed: account_closed", …


@dataclass(frozen=True, kw_only=True)
class DisputeRow:
    """One dispute that is open at the month's end or moved in the month."""

    id: str
    charge: str
    currency: str
    amount: Decimal
    status: str
    reason: str
    created: datetime


@dataclass(frozen=True, kw_only=True)
class LargeInvoice:
    """An Israeli B2B invoice at or over the allocation-number threshold of its date (§4.1); no buyer's name."""

    id: str
    number: str
    day: date
    net: Decimal
    currency: str
    threshold: Decimal


@dataclass(frozen=True, kw_only=True)
class DailySales:
    """What was sold and refunded before tax on one day in one currency, for the plot; both are positive."""

    day: date
    currency: str
    revenue: Decimal
    refunds: Decimal


@dataclass(frozen=True, kw_only=True)
class ClosedMonth:
    """Everything the exports of one account and month show. ``lines`` are sorted by (external_id, line).

    ``status`` is open, final or locked: exports of an open month say DRAFT. ``blocked`` are the reasons in words.
    ``complete_until`` is how far the extraction reaches, ``derived_at`` when this was derived (UTC).
    """

    account: Account
    netsuite: NetSuite
    period: Month
    status: str
    version: int
    lines: Sequence[JournalLine]
    controls: Sequence[ControlRow]
    trial_balance: Sequence[TrialBalanceRow]
    taxes: Sequence[TaxRow] = ()
    roll_forward: Sequence[RollForwardRow] = ()
    clearing: Mapping[str, tuple[Decimal, Decimal]] = field(default_factory=dict)  # currency -> (opening, closing)
    payouts: Sequence[PayoutRow] = ()
    disputes: Sequence[DisputeRow] = ()
    large_invoices: Sequence[LargeInvoice] = ()
    sales_by_day: Sequence[DailySales] = ()
    blocked: Sequence[str] = ()
    complete_until: datetime | None = None
    derived_at: datetime | None = None
    locked_by: str | None = None
    locked_at: datetime | None = None
    courses: Mapping[str, str] = field(default_factory=dict)  # slug -> name
    brand: str = "Redis University"  # pages.brand and pages.accent_color: how the report looks
    accent_color: str = "#FF4438"

    @property
    def is_draft(self) -> bool:
        """Whether nobody may import it yet."""
        return self.status == "open"
