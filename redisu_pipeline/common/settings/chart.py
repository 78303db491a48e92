"""Which NetSuite account each role of a journal line posts to, with the defaults of netsuite-journals.md §2.1."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.common.settings import checks
from redisu_pipeline.common.settings.fields import Fault, setting


@dataclass(frozen=True, kw_only=True)
class GLAccount:
    """A NetSuite account for one role, optionally only for some of its lines."""

    number: str = setting("The account's number, as *Account Number* shows it", clean=checks.text)
    name: str = setting("The account's name, exactly as NetSuite writes it", clean=checks.text)
    course: str | None = setting("Only lines of this course", default=None, clean=checks.text)
    state: str | None = setting("Only lines taxed in this state, like NY", default=None, clean=checks.text)
    country: str | None = setting("Only lines taxed in this country, like US", default=None, clean=checks.country)
    currency: str | None = setting("Only lines in this currency", default=None, clean=checks.price_currency)
    since: date | None = setting("Only lines dated on or after this day", default=None, key="from")
    department: str | None = setting("NetSuite department of such a line", default=None, clean=checks.text)
    location: str | None = setting("NetSuite location of such a line", default=None, clean=checks.text)

    @property
    def is_general(self) -> bool:
        """Whether it takes every line of its role."""
        return not any((self.course, self.state, self.country, self.currency, self.since))

    @property
    def condition(self) -> tuple[object, ...]:
        """What lines it takes; two entries of one role must differ here."""
        return (self.course, self.state, self.country, self.currency, self.since)

    def takes(
        self, course: str | None, state: str | None, country: str | None, currency: str | None, on: date | None
    ) -> bool:
        """Whether a line with these attributes posts here (a more specific entry goes first)."""
        return (
            self.course in (None, course)
            and self.state in (None, state)
            and self.country in (None, country)
            and self.currency in (None, currency and currency.lower())
            and (self.since is None or (on is not None and on >= self.since))
        )

    @property
    def specificity(self) -> tuple[bool, bool, bool, bool, date]:
        """Order of preference: course before state before country before currency before the later date."""
        return (
            self.course is not None,
            self.state is not None,
            self.country is not None,
            self.currency is not None,
            self.since or date.min,
        )


Chart = Mapping[str, tuple[GLAccount, ...]]

# role: (number, name, what is booked there)
_DEFAULTS = {
    "bank": ("1010", "Operating Bank", "money that arrived at the bank"),
    "clearing": ("1150", "Stripe Clearing", "the payments balance at Stripe, per account and settlement currency"),
    "reserve": ("1151", "Stripe Reserves", "reserves and prefunding held by Stripe"),
    "in_flight": ("1155", "Stripe Receivable in Flight", "bridges invoice date and cash row over a cut-off"),
    "offline_receivable": ("1156", "Receivable outside Stripe", "invoices paid outside Stripe"),
    "transit": ("1160", "Cash in Transit", "payouts on their way to the bank"),
    "disputed": ("1170", "Disputed Funds", "funds withdrawn while a dispute is open"),
    "input_vat": ("1300", "VAT on Stripe Fees", "recoverable VAT that Stripe charges on its fees"),
    "customer_credit": ("2100", "Customer Credits", "balances owed to customers"),
    "credit_out_of_band": ("2110", "Credits out of Band", "credit notes paid back outside Stripe"),
    "sales_tax": ("2210", "Sales Tax Payable", "US sales tax, per state"),
    "vat_il": ("2220", "Output VAT Israel", "Israeli VAT"),
    "vat": ("2230", "Output VAT other Countries", "VAT and GST of other countries"),
    "deferred": ("2300", "Deferred Course Revenue", "ratable courses: revenue not yet earned"),
    "revenue": ("4000", "Course Revenue", "revenue without tax"),
    "discounts": ("4090", "Discounts", "contra revenue, only under gross presentation"),
    "refunds": ("4900", "Refunds and Credits", "contra revenue"),
    "fee_processing": ("6100", "Processing Fees", "Stripe's fees on payments"),
    "fee_product": ("6110", "Stripe Product Fees", "Tax, Invoicing, Radar and other monthly fees"),
    "fee_dispute": ("6120", "Dispute Fees", "fees of disputes"),
    "fee_fx": ("6130", "Conversion Fees", "Stripe's currency conversion fees"),
    "fee_tax": ("6140", "Tax on Stripe Fees", "tax on fees that is not recoverable"),
    "dispute_loss": ("6200", "Dispute Losses", "disputes lost"),
    "fx": ("7100", "Realised FX", "exchange gains and losses"),
    "rounding": ("7190", "Rounding", "rounding differences"),
    "adjustments": ("7900", "Stripe Adjustments", "what finance maps here by [[journal_mapping]]"),
}
ROLES: Mapping[str, str] = MappingProxyType({role: doc for role, (_, _, doc) in _DEFAULTS.items()})
DEFAULT_CHART: Chart = MappingProxyType(
    {role: (GLAccount(number=number, name=name),) for role, (number, name, _) in _DEFAULTS.items()}
)


def gl_account(
    chart: Chart,
    role: str,
    *,
    course: str | None = None,
    state: str | None = None,
    country: str | None = None,
    currency: str | None = None,
    on: date | None = None,
) -> GLAccount:
    """Return the account that a line of ``role`` posts to: the most specific entry that takes it.

    ``on`` is the line's date in the books. KeyError for an unknown role; Failed when no entry takes the line, which
    a loaded configuration excludes.
    """
    fitting = [entry for entry in chart[role] if entry.takes(course, state, country, currency, on)]
    if not fitting:
        where = f"chart_of_accounts.{role}"
        raise Failed(Problem("no_gl_account", where, "no entry takes this line", "add an entry without conditions"))
    return max(fitting, key=lambda entry: entry.specificity)


def role(name: str) -> str:
    """Check that ``name`` is a role of the chart of accounts."""
    if name not in ROLES:
        raise Fault(f"{checks.shown(name)} is not a role of the chart of accounts", checks.nearest(name, ROLES))
    return name


def complete(entries: tuple[GLAccount, ...]) -> tuple[GLAccount, ...]:
    """Check that a role has an account for every line, and only one for each."""
    conditions = [entry.condition for entry in entries]
    for place, entry in enumerate(entries):
        if entry.condition in conditions[:place]:
            mend = "keep one, or tell them apart by course, state, country, currency or from"
            raise Fault(f"has two entries for the same lines ({entry.number} is the second)", mend)
    if not any(entry.is_general for entry in entries):
        mend = "add an entry with only number and name: it takes the lines that no other entry takes"
        raise Fault("is a role without a GL account for the remaining lines", mend)
    return entries
