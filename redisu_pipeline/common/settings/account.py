"""One Stripe account: where it is read, how its books are cut, how its sales are taxed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import partial
from zoneinfo import ZoneInfo

from redisu_pipeline.common import secrets
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.secrets import Secret
from redisu_pipeline.common.settings import chart, checks
from redisu_pipeline.common.settings.chart import GLAccount
from redisu_pipeline.common.settings.fields import derived, own_key, setting, table


class TaxMode(StrEnum):
    """Who computes the tax of a sale."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class TaxType(StrEnum):
    """Stripe's `tax_type` of a tax rate that we make."""

    VAT = "vat"
    GST = "gst"
    HST = "hst"
    IGST = "igst"
    JCT = "jct"
    PST = "pst"
    QST = "qst"
    RST = "rst"
    SALES_TAX = "sales_tax"
    SERVICE_TAX = "service_tax"


@dataclass(frozen=True, kw_only=True)
class ManualTaxRate:
    """The Stripe TaxRate that a `manual` account uses."""

    percentage: Decimal = setting("Per cent, at most 4 decimals", clean=checks.percentage)
    country: str = setting("Country whose tax it is", clean=checks.country)
    display_name: str = setting("What the buyer reads on the invoice", default="VAT", clean=checks.text)
    inclusive: bool = setting("Whether prices contain the tax", default=False)
    tax_type: TaxType = setting("Stripe's type of the tax", default=TaxType.VAT)


@dataclass(frozen=True, kw_only=True)
class Opening:
    """Balances at `start`, in minor units, when the account is older than the books kept here."""

    clearing: int = setting("Stripe balance (payments)", default=0)
    transit: int = setting("Payouts sent and not yet arrived", default=0)
    disputed: int = setting("Funds withdrawn by open disputes", default=0)


def api_key_variable(account: str) -> str:
    """Return the variable that holds an account's key when the file names no other."""
    return f"STRIPE_API_KEY_{account.upper()}"


@dataclass(frozen=True, kw_only=True)
class Account:
    """One Stripe account; its key in the file names it in the lake, in URLs and in journal ids."""

    name: str = own_key()
    stripe_api_key_env: str = derived(
        "Variable that holds the Stripe API key",
        api_key_variable,
        "STRIPE_API_KEY_<ACCT>",
        clean=checks.variable,
    )
    stripe_webhook_secret_envs: tuple[str, ...] = derived(
        "Variables that hold the webhook's signing secrets; several while a secret rolls",
        lambda name: (f"STRIPE_WEBHOOK_SECRET_{name.upper()}",),
        '["STRIPE_WEBHOOK_SECRET_<ACCT>"]',
        clean=checks.variable,
    )
    stripe_api_base: str = setting(
        "Address of Stripe's API, or of a stand-in", default="https://api.stripe.com", clean=checks.web_address
    )
    stripe_files_base: str = setting(
        "Files are read from {this}/v1/files/{id}/contents",
        default="https://files.stripe.com",
        clean=checks.web_address,
    )
    start: date = setting(
        "Extract and keep books from here, the first of a month; the default is before Stripe began: everything",
        default=date(2011, 9, 1),
        clean=checks.first_of_month,
    )
    timezone: str = setting("IANA zone in which the books cut the month", default="UTC", clean=checks.timezone)
    subsidiary: str = derived(
        "NetSuite subsidiary that the journals belong to",
        str.upper,
        "the account's key in upper case",
        clean=checks.text,
    )
    base_currency: str = setting("The subsidiary's currency", default="USD", clean=checks.base_currency)
    currency: str = setting("Currency in which courses are sold here", default="usd", clean=checks.price_currency)
    tax: TaxMode = setting(
        "Who computes the tax: Stripe Tax, or a tax rate of ours (Stripe Tax has no Israel)", default=TaxMode.AUTOMATIC
    )
    manual_tax_rate: ManualTaxRate | None = setting("The rate of a `manual` account", default=None)
    fee_tax_recoverable: bool = setting(
        "Whether VAT on Stripe's fees is claimed back: it then posts to input_vat, else to fee_tax (ours)", default=True
    )
    terms_url: str | None = setting(
        "Terms of service that Checkout asks consent to (ours); they must stand in Stripe's public details too",
        default=None,
        clean=checks.web_address,
    )
    opening: Mapping[str, Opening] = table("Opening balances by currency", clean_key=checks.price_currency)
    chart_of_accounts: Mapping[str, tuple[GLAccount, ...]] = table(
        "Overrides of [chart_of_accounts] for this account, a whole role at a time",
        clean_key=chart.role,
        whole=chart.complete,
    )

    def faults(self) -> Iterator[tuple[str, str, str]]:
        """Yield what only shows between two settings: (setting, message, mend)."""
        if self.tax is TaxMode.MANUAL and self.manual_tax_rate is None:
            mend = 'give it, like { percentage = 18, country = "IL" }'
            yield "manual_tax_rate", 'is missing though tax = "manual"', mend
        if self.tax is TaxMode.AUTOMATIC and self.manual_tax_rate is not None:
            yield "manual_tax_rate", 'would never be used: tax = "automatic"', 'leave it out or set tax = "manual"'
        if not self.stripe_webhook_secret_envs:
            yield "stripe_webhook_secret_envs", "is empty", "name at least one variable, or leave the setting out"

    @property
    def tzinfo(self) -> ZoneInfo:
        """The zone in which the books cut the month."""
        return ZoneInfo(self.timezone)

    @property
    def first_month(self) -> Month:
        """The month of ``start``."""
        return Month(self.start.year, self.start.month)

    def api_key(self, environ: Mapping[str, str]) -> Secret:
        """Return the account's Stripe key; ConfigurationError naming the variable when it is missing."""
        return secrets.read_api_key(environ, self.stripe_api_key_env, f"accounts.{self.name}.stripe_api_key_env")

    def webhook_secrets(self, environ: Mapping[str, str]) -> tuple[Secret, ...]:
        """Return every signing secret named; ConfigurationError naming all that are missing."""
        where = f"accounts.{self.name}.stripe_webhook_secret_envs"
        what = "the endpoint's signing secret, whsec_…"
        return tuple(
            secrets.gather(partial(secrets.read, environ, v, where, what) for v in self.stripe_webhook_secret_envs)
        )
