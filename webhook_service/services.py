"""What the parts of the service share: settings, secrets read once, the database, Stripe by account, FlockJay.

Built by `app.create_app` and by the support commands; passed as the first argument, never kept in a module.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import structlog

from redisu_pipeline.common import clock, secrets
from redisu_pipeline.common.secrets import Secret, is_live
from redisu_pipeline.common.settings import Preset, Settings
from redisu_pipeline.common.stripe_api import StripeApi
from webhook_service.database import Database
from webhook_service.flockjay import Adapter, adapter_for
from webhook_service.metrics import Metrics
from webhook_service.wake import Wake

STRIPE_TIMEOUT = (3.05, 8.0)
"""Seconds to connect, and between bytes: a refresh makes three calls within its lease."""


@dataclass(frozen=True)
class StripeAccount:
    """One account as the service talks to it."""

    name: str
    api: StripeApi
    live: bool | None
    """Whether its key reads live data; None for a key of an unknown form."""


@dataclass
class Skew:
    """How far our clock is from Stripe's: the stamp of the newest signed request against our receipt of it."""

    seconds: float | None = None

    def note(self, stamp: int, now: float) -> None:
        """Remember a signed stamp; both in unix seconds."""
        self.seconds = now - stamp


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything a part of the service may need. ``environ`` is for secrets that a part reads at its start."""

    settings: Settings
    database: Database
    stripe: Mapping[str, StripeAccount]
    flockjay: Adapter
    webhook_secrets: Mapping[str, tuple[bytes, ...]] = field(repr=False, default_factory=dict)
    environ: Mapping[str, str] = field(repr=False, default_factory=dict)
    now: Callable[[], datetime] = clock.now
    metrics: Metrics = field(default_factory=Metrics)
    wake: Wake = field(default_factory=Wake)
    skew: Skew = field(default_factory=Skew)
    account_ids: dict[str, str | None] = field(default_factory=dict)
    """Stripe's own ids of the accounts, as far as they are learnt (None: refused): only some events carry one."""

    def close(self) -> None:
        """Let go of the database and of FlockJay."""
        self.flockjay.close()
        for account in self.stripe.values():
            account.api.close()
        self.database.close()


def open_services(settings: Settings, environ: Mapping[str, str]) -> Services:
    """Services of `redisu serve`. Raises ConfigurationError with everything that is missing, all at once."""
    keys, signing, flockjay_key = _secrets(settings, environ)
    return _services(settings, environ, keys, signing, flockjay_key)


def open_support(settings: Settings, environ: Mapping[str, str]) -> Services:
    """Services of commands that read Stripe and call FlockJay, but take no webhooks."""
    keys, flockjay_key = _keys(settings, environ)
    return _services(settings, environ, keys, {}, flockjay_key)


def signing_key(services: Services, purpose: str) -> bytes:
    """A key for tokens of ``purpose``, the same in every process: derived from the webhooks' newest secrets."""
    material = b"\0".join(secrets_[0] for _, secrets_ in sorted(services.webhook_secrets.items()))
    return hmac.digest(material, f"redisu:{purpose}".encode(), hashlib.sha256)


def logger(name: str) -> "structlog.stdlib.BoundLogger":
    """The logger of one part of the service."""
    made: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return made


def _services(
    settings: Settings,
    environ: Mapping[str, str],
    keys: Mapping[str, Secret],
    signing: Mapping[str, tuple[bytes, ...]],
    flockjay_key: Secret | None,
) -> Services:
    accounts = {
        name: StripeAccount(
            name,
            StripeApi(key.reveal(), settings.accounts[name].stripe_api_base, STRIPE_TIMEOUT),
            is_live(key.reveal()),
        )
        for name, key in keys.items()
    }
    flockjay = adapter_for(settings, flockjay_key)
    return Services(
        settings=settings,
        database=Database(settings.database.url),
        stripe=accounts,
        flockjay=flockjay,
        webhook_secrets=signing,
        environ=environ,
    )


def _secrets(
    settings: Settings, environ: Mapping[str, str]
) -> tuple[dict[str, Secret], dict[str, tuple[bytes, ...]], Secret | None]:
    accounts = list(settings.accounts.values())
    signing: dict[str, tuple[Secret, ...]] = {}

    def read_signing() -> None:
        found = secrets.gather(partial(account.webhook_secrets, environ) for account in accounts)
        signing.update(zip(settings.accounts, found, strict=True))

    read: dict[str, tuple[dict[str, Secret], Secret | None]] = {}
    secrets.gather((lambda: read.setdefault("keys", _keys(settings, environ)), read_signing))
    keys, flockjay_key = read["keys"]
    raw = {name: tuple(one.reveal().encode() for one in several) for name, several in signing.items()}
    return keys, raw, flockjay_key


def _keys(settings: Settings, environ: Mapping[str, str]) -> tuple[dict[str, Secret], Secret | None]:
    keys: dict[str, Secret] = {}
    found: list[Secret] = []

    def read_flockjay() -> None:
        if settings.flockjay.preset is not Preset.MANUAL:
            settings.flockjay.base()
            found.append(settings.flockjay.api_key(environ))

    secrets.gather((lambda: keys.update(settings.api_keys(environ)), read_flockjay))
    return keys, found[0] if found else None
