"""What the controls of one account and month compare: the lake's frames on one side, journals and Stripe on the other.

Minor units throughout, currencies upper case unless a field says otherwise, instants UTC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import Account
from redisu_pipeline.extract.figures_model import Figures
from redisu_pipeline.journals.books import Books
from redisu_pipeline.journals.derive import Derived
from redisu_pipeline.journals.model import JournalLine


@dataclass(frozen=True)
class BalanceHeld:
    """A row of a `/v1/balance` snapshot: ``at`` is when Stripe answered, ``kind`` its word for the part."""

    at: datetime
    kind: str
    currency: str
    amount: int


@dataclass(frozen=True)
class TaxSum:
    """A row of `netsuite/tax_by_jurisdiction` of the month, in minor units of the sale's currency."""

    country: str
    state: str
    tax_type: str
    currency: str
    collected: int
    refunded: int
    source: str
    complete: bool


@dataclass(frozen=True)
class VersionCheck:
    """A locked month: what today's data derive for a line, and what all its versions hold together (C22).

    ``scope`` names the line in words (class, role, course, …); ``detail`` what the difference is caused by.
    """

    period: Month
    currency: str
    fresh: int
    versions: int
    scope: str = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class ControlInputs:
    """Everything that `run` looks at."""

    account: Account
    books: Books
    derived: Derived
    lines: Sequence[JournalLine]
    """Every line posted in the month: its own journals, and the deltas of locked months (`adjusts_period`)."""
    line_sums: Mapping[tuple[str, int], int]
    """(external id, line) -> Σ of its journal_sources, debit positive (C2)."""
    opening: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(currency, role) -> balance at the month's start: configured opening + all lines of earlier periods."""
    opening_configured: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(currency, role) -> balance at the account's `start`, as the configuration has it."""
    previous_closing: Mapping[str, Decimal] | None = None
    """currency -> right side of last month's C3, major units; None where there was no month before."""
    figures: Figures | None = None
    balances: Sequence[BalanceHeld] = ()
    taxes: Sequence[TaxSum] = ()
    complete_until: Mapping[str, datetime | None] = field(default_factory=dict)
    """Every table that journals or controls read -> how far it is complete (its cursor); None: never synced."""
    tax_report_note: str = ""
    """Why there is no tax report (the cursor's note); empty where there is one."""
    lag: timedelta = timedelta()
    """How far past the month's end every table must be complete. Lists are exact up to their `complete_until`, and a
    payout that fails days later is a late change of the books, not a gap: no lag by default."""
    exported: Mapping[str, str] = field(default_factory=dict)
    """external id -> `content_hash` of each journal that was locked before."""
    versions: Sequence[VersionCheck] = ()
    key_livemode: bool | None = None
    """Whether the account's key is a live one; None where no key is at hand: rows are compared among themselves."""
    rates: Mapping[str, Decimal] = field(default_factory=dict)
    """currency -> exchange rate of the month into the subsidiary's base currency; absent where none is known."""

    @property
    def period(self) -> Month:
        """The month that is controlled."""
        return self.books.period

    @property
    def own(self) -> list[JournalLine]:
        """The lines of the month itself, without deltas of earlier months."""
        return [line for line in self.lines if line.adjusts_period is None]
