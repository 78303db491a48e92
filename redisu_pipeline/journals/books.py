"""What journals are derived from: the lake's tables as frames, with the month of the books already beside each row.

Frames are lazy and of any engine that narwhals speaks (Polars here, Spark on a cluster); `close/books.py` makes them.
Currencies are upper case, amounts integers in minor units, `rate_e8` an exchange rate × 10^8 (null: none needed).
`period` is the month in the books' time zone as a number (202610), `day` the books' day as days since 1970-01-01.
Children of a table carry the id of their parent under its name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import narwhals as nw

from redisu_pipeline.common.periods import Month

Frame = nw.LazyFrame[Any]

COLUMNS: Mapping[str, str] = {
    "transactions": "id created period day currency amount fee net type category source description rate_e8 "
    "balance_type livemode",
    "fees": "transaction amount type",
    "charges": "id period currency amount amount_captured amount_refunded payment_intent status livemode transaction "
    "failure_transaction",
    "invoice_payments": "invoice payment_intent charge status",
    "invoices": "id created period day currency status total total_excluding_tax tax_amount amount_paid "
    "amount_overpaid amount_paid_off_stripe pre_payment_credit_notes_amount metadata_course automatic sent livemode "
    "test_clock",
    "invoice_lines": "id invoice created position amount discount_amount product metadata_course",
    "invoice_taxes": "invoice invoice_line created amount tax_behavior tax_rate country state tax_type",
    "products": "id metadata_course",
    "refunds": "id charge amount status created period day transaction failure_transaction livemode",
    "credit_notes": "id invoice total status created period day voided_at void_period void_day to_balance pre_payment",
    "credit_note_refunds": "credit_note refund amount",
    "credit_note_taxes": "credit_note tax_rate amount",
    "credit_note_lines": "credit_note invoice_line amount discount_amount inclusive_tax",
    "report_refunds": "source_id country state tax_type currency amount",
    "disputes": "id charge amount currency status closed_period livemode",
    "dispute_transactions": "dispute transaction position",
    "payouts": "id currency amount status automatic period arrival_period transaction failure_transaction "
    "failure_period livemode",
    "checkout_sessions": "id period status payment_status invoice amount_total livemode",
}
"""The frames of Books and their columns.

`period` is of `created`; of an invoice it is when its revenue counts: `effective_at`, or when it was paid where it was
sent to be paid later. `closed_period` tells when a lost dispute was lost.
"""


@dataclass(frozen=True)
class CourseTerms:
    """When a course's revenue is earned: at the sale, or day by day over ``access_days``."""

    access_days: int | None


@dataclass(frozen=True)
class Policy:
    """The decisions that rules need, taken from the settings of one account."""

    account: str
    courses: Mapping[str, CourseTerms]
    map_transaction: Callable[[str, str, str], str | None]  # (category, type, description) -> role
    recoverable_fee_tax: bool = True
    bank_leg: bool = False  # whether we post arrivals at the bank (event 13), or NetSuite's bank matching does


def month_number(month: Month) -> int:
    """Return 202610 for October 2026."""
    return month.year * 100 + month.month


@dataclass(frozen=True)
class Books:
    """Everything one account's journals of ``period`` are derived from."""

    period: Month
    policy: Policy
    frames: Mapping[str, Frame]
    make: Callable[[Mapping[str, str], Sequence[tuple[Any, ...]]], Frame] = field(repr=False)
    """Makes a frame of this engine from rows; the mapping is column -> "string" or "int64"."""
    keep: Callable[[Frame], Frame] = field(repr=False)
    """Works a frame out once, where several rules stand on it."""
    gather: Callable[[Sequence[Frame]], Frame] = field(repr=False)
    """Works the postings of all rules out as one frame; their texts in postings.FEW may become categories in it."""

    @property
    def month(self) -> int:
        """The month as the frames' `period` has it."""
        return month_number(self.period)

    def __getitem__(self, table: str) -> Frame:
        """Return a table's frame."""
        return self.frames[table]
