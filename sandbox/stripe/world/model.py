"""What the world is told (accounts, courses, buyers) and what it remembers of a sale. No Stripe objects here."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple


@dataclass(frozen=True)
class Course:
    """A course and its prices in minor units by currency; `inclusive` currencies have the tax inside the price."""

    slug: str
    name: str
    flockjay_course_id: str
    tax_code: str
    prices: dict[str, int]
    inclusive: frozenset[str] = frozenset({"eur", "jpy"})


@dataclass(frozen=True)
class AccountSpec:
    """One Stripe account of the world.

    `tax` is "automatic" (Stripe Tax) or "manual" (a TaxRate of ours, `manual_rate` percent). `markets` are the buyers'
    regions with their weight (see people.py). `tax_report_ids` decides which id the itemized tax report prints for a
    sale: "invoice" or "checkout" (Stripe was seen with both: stripe.md §6.6).
    """

    name: str
    country: str
    currency: str
    markets: tuple[tuple[str, int], ...]
    tax: str = "automatic"
    manual_rate: Decimal = Decimal(0)
    registrations: frozenset[str] = frozenset()  # "US-NY", "DE", …: where Stripe Tax collects
    livemode: bool = True
    fee_percent: Decimal = Decimal("2.9")
    fee_fixed: int = 30
    fee_tax_percent: Decimal = Decimal(0)  # VAT that Stripe adds to its fees
    dispute_fee: int = 1500
    settlement_days: int = 2
    tax_report_ids: str = "invoice"
    key: str = ""
    webhook_secret: str = ""
    courses: tuple[Course, ...] = ()


@dataclass(frozen=True)
class Buyer:
    """Who pays. `tax_exempt`: none, exempt or reverse; `tax_id` is (type, value)."""

    name: str
    email: str
    country: str
    postal_code: str
    state: str | None = None
    city: str | None = None
    line1: str | None = None
    tax_exempt: str = "none"
    tax_id: tuple[str, str] | None = None


class Levy(NamedTuple):
    """One jurisdiction's claim on a sale: what becomes a TaxRate object and one entry of `taxes`.

    `percentage` is the statutory rate, `applied` the one used (0 when not collected).
    """

    country: str
    state: str | None
    level: str | None
    jurisdiction: str | None
    tax_type: str
    display_name: str
    percentage: Decimal
    applied: Decimal
    reason: str
    inclusive: bool


class LineTax(NamedTuple):
    """The tax of one line for one jurisdiction; amounts in presentment minor units."""

    levy: Levy
    rate_id: str
    amount: int
    taxable: int


@dataclass(slots=True)
class SaleLine:
    """A line of a sale in presentment minor units; `net` is what is left of it without tax."""

    item_id: str
    price_id: str
    product_id: str
    course: str
    description: str
    tax_code: str
    quantity: int
    unit_amount: int
    subtotal: int
    discount: int
    taxes: list[LineTax]
    metadata: dict[str, str]
    line_id: str = ""

    @property
    def exclusive_tax(self) -> int:
        return sum(tax.amount for tax in self.taxes if not tax.levy.inclusive)

    @property
    def inclusive_tax(self) -> int:
        return sum(tax.amount for tax in self.taxes if tax.levy.inclusive)

    @property
    def net(self) -> int:
        return self.subtotal - self.discount - self.inclusive_tax

    @property
    def total(self) -> int:
        return self.subtotal - self.discount + self.exclusive_tax


@dataclass(frozen=True, slots=True)
class Settled:
    """A part of a sale in minor units of its settlement currency: each tax by its rate, the rest by course."""

    amount: int = 0
    taxes: dict[str, int] = field(default_factory=dict)
    net: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Returned:
    """What has gone back of a sale so far, by line, in presentment minor units, and what the ledger has of it."""

    total: int = 0
    net: list[int] = field(default_factory=list)
    taxes: list[list[int]] = field(default_factory=list)
    settled: Settled = field(default_factory=Settled)


@dataclass(slots=True)
class Sale:
    """All that a refund, a credit note or a dispute must know of the sale.

    `settled` is the balance transaction's amount in `settlement` currency and `rate` its exchange rate (None: same
    currency).
    """

    session_id: str
    currency: str
    settlement: str
    lines: list[SaleLine]
    buyer: Buyer
    metadata: dict[str, str]
    automatic_tax: bool
    customer_id: str | None = None
    payment_intent_id: str | None = None
    charge_id: str | None = None
    invoice_id: str | None = None
    invoice_number: str = ""
    invoice_at: int = 0
    settled: int = 0
    fee: int = 0
    rate: Decimal | None = None
    available_on: int = 0
    method: str = "card"
    coupon: str | None = None
    returned: Returned = field(default_factory=Returned)
    refunds: dict[str, "Share"] = field(default_factory=dict)
    disputed: bool = False
    credited: bool = False

    @property
    def total(self) -> int:
        return sum(line.total for line in self.lines)


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a sale that goes back: by line the net and each tax, in presentment minor units."""

    amount: int
    net: list[int]
    taxes: list[list[int]]
    settled: Settled
