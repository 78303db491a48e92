"""The whole configuration as frozen structures; docs/configuration.md is generated from what stands here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from types import MappingProxyType

from redisu_pipeline.common import secrets
from redisu_pipeline.common.problems import ConfigurationError, Problem
from redisu_pipeline.common.secrets import Secret
from redisu_pipeline.common.settings import chart, checks
from redisu_pipeline.common.settings.account import Account
from redisu_pipeline.common.settings.chart import DEFAULT_CHART, Chart, GLAccount
from redisu_pipeline.common.settings.course import Course
from redisu_pipeline.common.settings.fields import own_key, section, setting, table
from redisu_pipeline.common.settings.journals import Journals
from redisu_pipeline.common.settings.pages import Pages
from redisu_pipeline.common.settings.tax import TaxReport


@dataclass(frozen=True, kw_only=True)
class Lake:
    """Where the Parquet files are."""

    uri: str = setting(
        "A folder, or s3://…, gs://…, abfss://… (credentials and endpoints: the cloud's standard variables)",
        default="data/lake",
        clean=checks.lake_uri,
    )
    history_days: int = setting("How long replaced files are kept", default=90, clean=checks.at_least(1, "days"))

    @property
    def history(self) -> timedelta:
        """How long replaced files are kept."""
        return timedelta(days=self.history_days)

    @property
    def is_local(self) -> bool:
        """Whether the lake is a folder of this machine."""
        return "://" not in self.uri


@dataclass(frozen=True, kw_only=True)
class Database:
    """Operations: leases, events, orders, entitlements, jobs."""

    url: str = setting(
        "sqlite:///file, or postgresql+psycopg://host/name (password: PGPASSWORD or ~/.pgpass)",
        default="sqlite:///data/redisu.db",
        clean=checks.database_url,
    )


class PartialRefund(StrEnum):
    """What a refund of a part of the price does to the course."""

    KEEP = "keep"
    REVOKE = "revoke"


@dataclass(frozen=True, kw_only=True)
class Service:
    """The webhook service."""

    public_url: str = setting(
        "Address under which buyers and Stripe reach the service",
        default="http://localhost:8000",
        clean=checks.web_address,
    )
    sweep_minutes: int = setting(
        "Minutes between sweeps: two list calls each; Stripe's read allocation is the limit",
        default=15,
        clean=checks.at_least(1, "minutes"),
    )
    partial_refund: PartialRefund = setting(
        "What a refund of a part does to the course (ours): keep it open, or revoke it", default=PartialRefund.KEEP
    )
    payload_days: int = setting(
        "Days that the events' bodies are kept (ours); what they changed stays",
        default=90,
        clean=checks.at_least(1, "days"),
    )


class Preset(StrEnum):
    """How courses are unlocked."""

    ENROLLMENT = "enrollment"
    GROUP = "group"
    SCIM = "scim"
    MANUAL = "manual"


class Method(StrEnum):
    """HTTP methods that may change something."""

    PUT = "PUT"
    POST = "POST"
    PATCH = "PATCH"
    DELETE = "DELETE"


@dataclass(frozen=True, kw_only=True)
class Call:
    """Overrides of one call of the preset; what is left out stays as the preset has it."""

    method: Method | None = setting("HTTP method", default=None)
    path: str | None = setting(
        "Path after api_base; {course_id}, {learner_id}, {email}, {name}, {order_id} are filled in",
        default=None,
        clean=checks.matching(r"/\S*", "a path that starts with /"),
    )
    body: Mapping[str, str] | None = setting("JSON fields and their templates, filled in as in path", default=None)


@dataclass(frozen=True, kw_only=True)
class FlockJay:
    """How FlockJay is asked to unlock a course (its API is not public: the default contract is ours)."""

    preset: Preset = setting("enrollment, group, scim (RFC 7644) or manual (a work list)", default=Preset.ENROLLMENT)
    api_base: str | None = setting(
        "Address of the API; needed by every preset but manual", default=None, clean=checks.web_address
    )
    api_key_env: str = setting("Variable that holds FlockJay's key", default="FLOCKJAY_API_KEY", clean=checks.variable)
    auth_header: str = setting(
        "Header that carries the key",
        default="Authorization",
        clean=checks.matching(r"[A-Za-z][A-Za-z0-9-]*", "the name of an HTTP header"),
    )
    auth_scheme: str = setting("Word before the key, like Bearer or Token; empty for none", default="Bearer")
    grant: Call | None = setting("Another call to unlock", default=None)
    revoke: Call | None = setting("Another call to lock", default=None)
    work_list: Path = setting(
        "The CSV that `manual` writes for the people who unlock by hand (ours)", default=Path("data/unlocks.csv")
    )

    def base(self) -> str:
        """Return the API's address; ConfigurationError when none is given."""
        if self.api_base is None:
            mend = 'give FlockJay\'s API address, or set flockjay.preset = "manual"'
            raise ConfigurationError(Problem("missing", "flockjay.api_base", "is needed to unlock courses", mend))
        return self.api_base

    def api_key(self, environ: Mapping[str, str]) -> Secret:
        """Return FlockJay's key; ConfigurationError naming the variable when it is missing."""
        return secrets.read(environ, self.api_key_env, "flockjay.api_key_env", "FlockJay's API key")


# netsuite-journals.md §4.1, the "Israel invoice" model.
_ALLOCATION_THRESHOLDS = {"2024-05-05": 25_000, "2025-01-01": 20_000, "2026-01-01": 10_000, "2026-06-01": 5_000}


@dataclass(frozen=True, kw_only=True)
class NetSuite:
    """How exports are written, so that NetSuite takes them as they are."""

    exchange_rates: Path | None = setting(
        "CSV with the columns currency, base_currency, period, rate; a missing rate blocks, equal currencies are 1",
        default=None,
    )
    date_format: str = setting("The importing user's date format", default="M/D/YYYY", clean=checks.date_format)
    period_format: str = setting(
        "Names of posting periods, in strftime's letters", default="%b %Y", clean=checks.period_format
    )
    post_bank_arrivals: bool = setting(
        "Whether the payouts' arrival at the bank is posted here; by default NetSuite's bank matching does (ours)",
        default=False,
    )
    allocation_thresholds: Mapping[str, int] = table(
        "Israel: net ILS from which a B2B invoice needs an allocation number, by first day (ours); "
        "2024-05-05 25000, 2025-01-01 20000, 2026-01-01 10000 and 2026-06-01 5000 are known",
        clean_key=checks.day,
    )
    ids: Mapping[str, Mapping[str, str]] = table(
        "Internal ids for REST bodies, by record type (account, subsidiary, currency, …) and name; "
        "without them bodies carry refName and are marked not sendable"
    )

    def allocation_threshold(self, day: date) -> int | None:
        """Return the threshold (whole ILS) that holds on ``day``; None before the first."""
        known = {**_ALLOCATION_THRESHOLDS, **self.allocation_thresholds}
        held = [since for since in known if date.fromisoformat(since) <= day]
        return known[max(held)] if held else None


@dataclass(frozen=True, kw_only=True)
class JournalMapping:
    """A decision of finance on balance transactions that block a month by default; the first match wins."""

    role: str = setting("Role that they post to", clean=chart.role)
    reporting_category: str | None = setting("Only this reporting category", default=None, clean=checks.text)
    type: str | None = setting("Only this type of balance transaction", default=None, clean=checks.text)
    description: str | None = setting("Only descriptions like this (glob: * and ?)", default=None, clean=checks.text)

    def faults(self) -> Iterator[tuple[str, str, str]]:
        """Refuse a mapping that would take every balance transaction."""
        if not any((self.reporting_category, self.type, self.description)):
            yield "", "matches everything", "give reporting_category, type or description"

    def matches(self, reporting_category: str, type: str, description: str | None) -> bool:
        """Whether a balance transaction falls under this decision."""
        return (
            self.reporting_category in (None, reporting_category)
            and self.type in (None, type)
            and (self.description is None or fnmatchcase(description or "", self.description))
        )


@dataclass(frozen=True, kw_only=True)
class Alerts:
    """Who hears of failures (ours, beyond the contract)."""

    webhook_env: str | None = setting(
        "Variable that holds a chat hook's address (Slack, Teams, …) for failure messages",
        default=None,
        clean=checks.variable,
    )

    def webhook(self, environ: Mapping[str, str]) -> Secret | None:
        """Return the hook's address, None when no variable is named; ConfigurationError when it is missing."""
        if self.webhook_env is None:
            return None
        return secrets.read(environ, self.webhook_env, "alerts.webhook_env", "the chat hook's address")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole of redisu.toml, checked; it holds no secret."""

    path: str = own_key()
    accounts: Mapping[str, Account] = setting(
        "Stripe accounts; a key is `[a-z][a-z0-9]{0,9}`, `<ACCT>` below is its upper case",
        clean_key=checks.matching(r"[a-z][a-z0-9]{0,9}", "a small letter and at most 9 small letters or digits"),
    )
    routing: Mapping[str, str] = setting(
        "Buyer's billing country to account; `default` takes every other country", clean_key=checks.route
    )
    courses: Mapping[str, Course] = setting(
        "Courses by slug (the `lookup_key` of their prices)",
        clean_key=checks.matching(
            r"[a-z0-9]+(?:-[a-z0-9]+)*", "small letters, digits and single hyphens, like redis-101"
        ),
    )
    lake: Lake = section("Where the Parquet files are", Lake)
    database: Database = section("Operations database", Database)
    service: Service = section("The webhook service", Service)
    pages: Pages = section("The pages that buyers see", Pages)
    flockjay: FlockJay = section("How courses are unlocked", FlockJay)
    tax: TaxReport = section("The itemised tax report (ours, beyond the contract)", TaxReport)
    netsuite: NetSuite = section("How exports are written", NetSuite)
    chart_of_accounts: Mapping[str, tuple[GLAccount, ...]] = table(
        "Role to NetSuite account", clean_key=chart.role, whole=chart.complete
    )
    journal_mapping: tuple[JournalMapping, ...] = setting(
        "What blocks a month by default, decided by finance: first match wins", default=()
    )
    journals: Journals = section("How journals are derived (ours, beyond the contract)", Journals)
    alerts: Alerts = section("Who hears of failures", Alerts)

    @property
    def folder(self) -> Path:
        """The configuration's folder, where relative paths start."""
        return Path(self.path).parent

    def account(self, name: str) -> Account:
        """Return the account called ``name``; ConfigurationError when there is none."""
        if name not in self.accounts:
            known = f"known: {', '.join(self.accounts)}"
            raise ConfigurationError(
                Problem("unknown_account", "account", f"{checks.shown(name)} is not configured", known)
            )
        return self.accounts[name]

    def account_for(self, country: str) -> Account:
        """Return the account that sells to a buyer billed in ``country``."""
        return self.accounts[self.routing.get(country, self.routing["default"])]

    def chart(self, account: str) -> Chart:
        """Return the account's chart: the defaults, the general overrides, then its own, a whole role at a time."""
        own = self.account(account).chart_of_accounts
        return MappingProxyType({**DEFAULT_CHART, **self.chart_of_accounts, **own})

    def api_keys(self, environ: Mapping[str, str], accounts: tuple[str, ...] = ()) -> dict[str, Secret]:
        """Return the Stripe keys of ``accounts`` (all when empty); one ConfigurationError names every missing one."""
        chosen = [self.account(name) for name in accounts] or list(self.accounts.values())
        keys = secrets.gather(partial(account.api_key, environ) for account in chosen)
        return {account.name: key for account, key in zip(chosen, keys, strict=True)}
