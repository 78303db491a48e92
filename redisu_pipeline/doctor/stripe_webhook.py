"""The account's webhook endpoint: there, enabled, of our API version, with every event that the service handles."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.common.stripe_api import API_VERSION
from redisu_pipeline.doctor.asking import Patient, guarded
from redisu_pipeline.doctor.model import Finding, fail, ok

DASHBOARD = "Stripe Dashboard, Workbench, Webhooks"


class Endpoint(msgspec.Struct):
    """A webhook endpoint at Stripe; ``api_version`` is None where the account's default applies."""

    id: str
    url: str
    status: str
    enabled_events: list[str]
    api_version: str | None = None


class _Endpoints(msgspec.Struct):
    data: list[Endpoint]


def address(settings: Settings, account: Account) -> str:
    """Where Stripe must deliver the account's events."""
    return f"{settings.service.public_url.rstrip('/')}/webhooks/stripe/{account.name}"


@guarded
def endpoint(patient: Patient) -> Finding:
    """Look the endpoint up (Stripe allows 16 an account, so one page has them all)."""
    found = patient.get("/v1/webhook_endpoints", {"limit": 100}, _Endpoints).data
    return endpoint_finding(found, address(patient.settings, patient.account), patient.expected.event_types)


def endpoint_finding(found: Sequence[Endpoint], url: str, needed: Sequence[str]) -> Finding:
    """Judge the endpoints: the best one at ``url`` counts."""
    ours = [one for one in found if one.url.rstrip("/") == url]
    if not ours:
        evidence = f"none of {len(found)} endpoints is at {url}" if found else f"no endpoint; {url} is expected"
        mend = (
            f"{DASHBOARD}: add it, API version {API_VERSION}, events {grouped(needed)}; or correct service.public_url"
        )
        return fail(evidence, mend)
    best = min(ours, key=lambda one: len(faults(one, needed)))
    wrong = faults(best, needed)
    if not wrong:
        return ok(f"{best.id} is enabled at {url}, version {best.api_version}, with all {len(needed)} event types")
    return fail(f"{best.id} {', '.join(seen for seen, _ in wrong)}", f"{DASHBOARD}: {'; '.join(m for _, m in wrong)}")


def faults(one: Endpoint, needed: Iterable[str]) -> list[tuple[str, str]]:
    """Return what is wrong with an endpoint, each with its mend."""
    wrong = []
    if one.status != "enabled":
        wrong.append((f"is {one.status}", "enable it"))
    if one.api_version != API_VERSION:
        version = one.api_version or "the account's default"
        mend = f"make another one with API version {API_VERSION}, for a version cannot be changed, and remove this one"
        wrong.append((f"has API version {version}, not {API_VERSION}", mend))
    missing = [type_ for type_ in needed if type_ not in one.enabled_events and "*" not in one.enabled_events]
    if missing:
        wrong.append((f"lacks {len(missing)} event types", f"add {grouped(missing)}"))
    return wrong


def grouped(types: Iterable[str]) -> str:
    """Event types in short: `refund.{created, updated}, charge.refunded`."""
    groups: dict[str, list[str]] = defaultdict(list)
    for type_ in types:
        stem, _, word = type_.rpartition(".")
        groups[stem].append(word)
    return ", ".join(
        f"{stem}.{{{', '.join(words)}}}" if len(words) > 1 else f"{stem}.{words[0]}" for stem, words in groups.items()
    )
