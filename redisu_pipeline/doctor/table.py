"""The table of checks: what is asked, in the order in which it is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from redisu_pipeline.common.settings import Account, Preset, Settings, TaxMode
from redisu_pipeline.doctor import (
    flockjay,
    places,
    stripe_catalogue,
    stripe_lists,
    stripe_tax,
    stripe_webhook,
)
from redisu_pipeline.doctor.asking import Patient
from redisu_pipeline.doctor.model import Check, Finding, Question, ok, skip
from redisu_pipeline.doctor.stripe_key import Admission
from redisu_pipeline.tables.model import Scope
from redisu_pipeline.tables.registry import RESOURCES

AUTOMATIC: Final = 'only for tax = "automatic"'
MANUAL: Final = 'only for tax = "manual"'


@dataclass(frozen=True)
class OfAccount:
    """A check of every account whose ``tax`` fits (None fits all); ``otherwise`` says why it is skipped for others."""

    name: str
    ask: Callable[[Patient], Finding]
    tax: TaxMode | None = None
    otherwise: str = ""


OF_ACCOUNTS: Final = (
    OfAccount("mode", stripe_lists.mode),
    *(
        OfAccount(f"read.{resource.name}", stripe_lists.readable(resource))
        for resource in RESOURCES
        if resource.scope is not Scope.REPORT
    ),
    OfAccount("report.type", stripe_lists.report_type),
    OfAccount("report.run", stripe_lists.report_run),
    OfAccount("report.file", stripe_lists.report_file),
    OfAccount("tax.settings", stripe_tax.settings, TaxMode.AUTOMATIC, AUTOMATIC),
    OfAccount("tax.registrations", stripe_tax.registrations, TaxMode.AUTOMATIC, AUTOMATIC),
    OfAccount("tax.manual_rate", stripe_catalogue.manual_tax_rate, TaxMode.MANUAL, MANUAL),
    OfAccount("catalogue", stripe_catalogue.catalogue),
    OfAccount("webhook.endpoint", stripe_webhook.endpoint),
)


def questions_of(account: Account, admission: Admission, environ: Mapping[str, str]) -> list[Question]:
    """Return what is asked of one account after its key; without an accepted key all but its secrets are skipped."""
    made = [
        Question(f"stripe.{account.name}.{each.name}", _asking(each, account, admission.patient, admission.why))
        for each in OF_ACCOUNTS
    ]
    return [*made, Question(f"stripe.{account.name}.webhook.secret", lambda: signing_secrets(account, environ))]


def questions_of_places(settings: Settings, environ: Mapping[str, str], accounts: tuple[str, ...]) -> list[Question]:
    """Return what is asked beside Stripe."""
    made = [
        Question("lake.write", lambda: places.lake_writable(settings)),
        Question("lake.manifests", lambda: places.lake_readable(settings, accounts)),
        Question("database", lambda: places.database(settings)),
        Question("netsuite.exchange_rates", lambda: places.exchange_rates(settings)),
    ]
    if settings.flockjay.preset is Preset.MANUAL:
        return [*made, Question("flockjay.work_list", lambda: flockjay.work_list(settings))]
    return [
        *made,
        Question("flockjay.reachable", lambda: flockjay.reachable(settings)),
        Question("flockjay.key", lambda: flockjay.key(settings, environ)),
    ]


def configuration(settings: Settings) -> Check:
    """The first check: that the file could be read says that it is right in every part."""
    counts = f"accounts: {', '.join(settings.accounts)}; courses: {len(settings.courses)}"
    return Check("configuration", ok(f"{settings.path} has no fault; {counts}"))


def signing_secrets(account: Account, environ: Mapping[str, str]) -> Finding:
    """Whether the webhook's signing secrets are there; whether they are right shows only in a delivery.

    Raises ConfigurationError naming every one that is missing.
    """
    account.webhook_secrets(environ)
    return ok(f"{', '.join(account.stripe_webhook_secret_envs)} set")


def _asking(each: OfAccount, account: Account, patient: Patient | None, why: str) -> Callable[[], Finding]:
    if each.tax is not None and each.tax is not account.tax:
        return lambda: skip(each.otherwise)
    if patient is None:
        return lambda: skip(why)
    return lambda: each.ask(patient)
