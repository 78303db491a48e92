"""Stripe Tax of an `automatic` account: its settings, and where it collects (stripe.md §2.7)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from redisu_pipeline.doctor.asking import Patient, guarded
from redisu_pipeline.doctor.model import Finding, fail, ok, warn

DASHBOARD = "Stripe Dashboard, Tax"


class _Pending(msgspec.Struct):
    missing_fields: list[str] | None = None


class _Details(msgspec.Struct):
    pending: _Pending | None = None


class TaxSettings(msgspec.Struct):
    """`/v1/tax/settings`, as far as it matters here."""

    status: str
    status_details: _Details = msgspec.field(default_factory=_Details)


class Registration(msgspec.Struct):
    """`/v1/tax/registrations`: where tax is collected."""

    country: str
    country_options: Mapping[str, Mapping[str, Any]] = {}

    @property
    def place(self) -> str:
        """Country, and the state where one is named: `US-NY`."""
        state = self.country_options.get(self.country.lower(), {}).get("state")
        return f"{self.country}-{state}" if isinstance(state, str) else self.country


class _Registrations(msgspec.Struct):
    data: list[Registration]
    has_more: bool = False


@guarded
def settings(patient: Patient) -> Finding:
    """Whether Stripe Tax is set up."""
    return settings_finding(patient.get("/v1/tax/settings", {}, TaxSettings))


@guarded
def registrations(patient: Patient) -> Finding:
    """Where Stripe Tax collects."""
    listed = patient.get("/v1/tax/registrations", {"status": "active", "limit": 100}, _Registrations)
    return registrations_finding(listed.data)


def settings_finding(found: TaxSettings) -> Finding:
    """Judge the settings: only `active` computes tax."""
    if found.status == "active":
        return ok("Stripe Tax is active")
    missing = (found.status_details.pending.missing_fields if found.status_details.pending else None) or []
    lacking = f": {', '.join(missing)} missing" if missing else ""
    mend = f"{DASHBOARD}, Settings: give the head office and the default tax behaviour"
    return fail(f"Stripe Tax is {found.status}{lacking}; a checkout with automatic tax is refused", mend)


def registrations_finding(found: list[Registration]) -> Finding:
    """Judge where tax is collected; without a registration every sale has tax 0, and Stripe never taxes it later."""
    if not found:
        mend = f"{DASHBOARD}, Registrations: add every jurisdiction where you must collect"
        return warn("no active registration: every sale is made without tax", mend)
    places = sorted({one.place for one in found})
    return ok(f"collects in {len(places)}: {', '.join(places)}")
