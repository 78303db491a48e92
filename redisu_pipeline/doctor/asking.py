"""Asking one Stripe account, and what its refusals mean for a check."""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Protocol, TypeVar

import msgspec

from redisu_pipeline.common.decoders import decode
from redisu_pipeline.common.secrets import Secret
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.common.stripe_api import NotThere, Refused, StripeApi, Transient
from redisu_pipeline.doctor.model import Finding, fail, warn

T = TypeVar("T")
TIMEOUT_SECONDS: Final = (5.0, 20.0)
PAUSE_SECONDS: Final = 0.5
"""Before the one repetition of a call that Stripe was too busy for."""
UNREACHABLE: Final = "check the network and https://status.stripe.com, then run redisu doctor again"
_PERMISSION = re.compile(r"\brak_[a-z0-9_]+")


class Step(Protocol):
    """One change that `redisu catalog apply` would make."""

    @property
    def action(self) -> str:
        """create, update or archive."""

    @property
    def kind(self) -> str:
        """product, price or tax_rate."""

    @property
    def course(self) -> str | None:
        """Slug of the course, None for a tax rate."""

    @property
    def detail(self) -> str:
        """What an update changes."""


@dataclass(frozen=True)
class Expected:
    """What other parts of the program need of Stripe; handed in, because the pipeline does not know the service.

    ``event_types`` the webhook service handles; ``changes`` are what `redisu catalog apply` would do to an account
    (raises as StripeApi does).
    """

    event_types: Sequence[str]
    changes: Callable[[Account, StripeApi], Iterable[Step]]


@dataclass(frozen=True)
class Patient:
    """One account, its key accepted. ``live`` is what the key's prefix says, None when it says nothing."""

    settings: Settings
    account: Account
    expected: Expected
    api: StripeApi
    live: bool | None
    key: Secret = field(repr=False)

    def get(self, path: str, parameters: Mapping[str, Any], kind: type[T]) -> T:
        """Return the answer of a GET. Raises Transient, NotThere, Refused, or msgspec.DecodeError."""
        return decode(patiently(lambda: self.api.get(path, parameters)), kind)

    @cached_property
    def changes(self) -> tuple[Step, ...]:
        """What the catalogue lacks, read once."""
        return tuple(self.expected.changes(self.account, self.api))


def patiently(call: Callable[[], T]) -> T:
    """Return ``call()``, made once more when Stripe was busy. Raises what it raises."""
    try:
        return call()
    except Transient:
        time.sleep(PAUSE_SECONDS)
        return call()


def permission_in(refusal: Refused) -> str:
    """Return the permissions that a 403 names; its sentence is not repeated, for it quotes the key."""
    return ", ".join(dict.fromkeys(_PERMISSION.findall(refusal.detail))) or "a permission that Stripe does not name"


def guarded(ask: Callable[[Patient], Finding]) -> Callable[[Patient], Finding]:
    """Turn what Stripe may answer to any question into a finding; a 403 only means that we cannot look."""

    def asked(patient: Patient) -> Finding:
        try:
            return ask(patient)
        except Transient as error:
            return fail(f"Stripe did not answer usably ({error})", UNREACHABLE)
        except NotThere:
            where = f"accounts.{patient.account.name}.stripe_api_base"
            return fail("Stripe knows no such address (404)", f"check {where}")
        except Refused as refusal:
            if refusal.status != 403:
                return fail(f"Stripe refused (HTTP {refusal.status} {refusal.code})".replace(" )", ")"), UNREACHABLE)
            return cannot_look(patient, permission_in(refusal))
        except msgspec.DecodeError:
            return fail("an answer of an unexpected shape", "check that the account's stripe_api_base is Stripe's API")

    return asked


def cannot_look(patient: Patient, permission: str) -> Finding:
    """The finding of a check that the key may not make, and that nothing but the doctor needs."""
    return warn(f"cannot be looked at: the key lacks {permission}", give(patient, permission))


def give(patient: Patient, permission: str) -> str:
    """How to mend a missing permission."""
    return f"Stripe Dashboard, API keys: give the restricted key in {patient.account.stripe_api_key_env} {permission}"
