"""The account's key: present, accepted, whose it is; and whether the accounts are really different ones."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from redisu_pipeline.common.decoders import decode
from redisu_pipeline.common.problems import ConfigurationError
from redisu_pipeline.common.secrets import Secret, is_live
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.common.stripe_api import NotThere, Refused, StripeApi, Transient
from redisu_pipeline.doctor.asking import TIMEOUT_SECONDS, UNREACHABLE, Expected, Patient, patiently, permission_in
from redisu_pipeline.doctor.model import Check, Finding, State, fail, ok, refused, skip, warn

MODES: Final = {True: "live", False: "sandbox", None: "unknown"}


class Identity(msgspec.Struct, frozen=True):
    """What `/v1/account` says, without names and addresses."""

    id: str
    country: str | None = None
    default_currency: str | None = None
    charges_enabled: bool = True
    payouts_enabled: bool = True


@dataclass(frozen=True)
class Admission:
    """What came of the key. Without a ``patient`` nothing more can be asked, for the reason ``why``."""

    checks: tuple[Check, ...]
    patient: Patient | None = None
    identity: Identity | None = None
    why: str = ""


def admit(settings: Settings, account: Account, environ: Mapping[str, str], expected: Expected) -> Admission:
    """Try the account's key at `/v1/account`."""
    key_id, identity_id = f"stripe.{account.name}.key", f"stripe.{account.name}.identity"

    def shut(finding: Finding, why: str) -> Admission:
        return Admission((Check(key_id, finding), Check(identity_id, skip(why))), why=why)

    try:
        key = account.api_key(environ)
    except ConfigurationError as error:
        return shut(refused(error), "needs the account's key")
    api = StripeApi(key.reveal(), account.stripe_api_base, TIMEOUT_SECONDS)
    patient = Patient(settings, account, expected, api, is_live(key.reveal()), key)
    base = f"accounts.{account.name}.stripe_api_base"
    try:
        identity = patient_identity(patient)
    except Transient as error:
        return shut(fail(f"no usable answer from {base} ({error})", UNREACHABLE), "Stripe is out of reach")
    except (NotThere, msgspec.DecodeError):
        return shut(fail(f"{base} does not answer like Stripe", f"correct {base}"), "Stripe is out of reach")
    except Refused as refusal:
        if refusal.status != 403:
            mend = f"export a key of this account in {account.stripe_api_key_env}, at Stripe: Dashboard, API keys"
            evidence = f"Stripe does not accept the key (HTTP {refusal.status})"
            return shut(fail(evidence, mend), "needs a key that Stripe accepts")
        evidence = f"the key may not ask whose it is: it lacks {permission_in(refusal)}"
        unknown = warn(evidence, "give it that permission, so that two accounts cannot be mixed up")
        return Admission((Check(key_id, key_finding(account, key)), Check(identity_id, unknown)), patient)
    except Exception as error:  # noqa: BLE001  (the SDK stumbles over errors that are not in Stripe's form)
        evidence = f"{base} does not answer like Stripe ({type(error).__name__})"
        return shut(fail(evidence, f"correct {base}"), "Stripe is out of reach")
    checks = Check(key_id, key_finding(account, key)), Check(identity_id, identity_finding(identity))
    return Admission(checks, patient, identity)


def patient_identity(patient: Patient) -> Identity:
    return decode(patiently(lambda: patient.api.get("/v1/account", {})), Identity)


def key_finding(account: Account, key: Secret) -> Finding:
    """Judge an accepted key by its prefix."""
    text, variable = key.reveal(), account.stripe_api_key_env
    mode = is_live(text)
    if mode is None:
        return warn(
            f"{variable} is accepted, but its form does not tell live from sandbox",
            "use a restricted key, rk_live_… or rk_test_…",
        )
    if not text.startswith("rk_"):
        evidence = f"{variable} holds a {MODES[mode]} secret key: accepted, and allowed to do everything"
        return warn(evidence, "use a restricted key, rk_…, with only the permissions that redisu needs")
    return ok(f"{variable} holds a restricted {MODES[mode]} key; Stripe accepts it")


def identity_finding(identity: Identity) -> Finding:
    """Say whose key it is; an account that cannot be paid or pay out is worth a word."""
    currency = (identity.default_currency or "?").upper()
    evidence = f"{identity.id}, {identity.country or 'no country'}, settles in {currency}"
    if identity.charges_enabled and identity.payouts_enabled:
        return ok(evidence)
    off = "charges" if not identity.charges_enabled else "payouts"
    return warn(f"{evidence}; {off} are not enabled", "Stripe Dashboard: finish the account's activation")


def distinct(admissions: Sequence[Admission]) -> Finding:
    """Judge the accounts beside each other: one Stripe account under two names would be booked twice."""
    known = [(one.patient, one.identity) for one in admissions if one.patient is not None]
    if len(known) < 2:
        return skip("fewer than two accounts could be asked")
    times = Counter(identity.id for _, identity in known if identity is not None)
    twice = [patient.account.name for patient, identity in known if identity is not None and times[identity.id] > 1]
    if twice:
        evidence = f"{', '.join(twice)} are the same Stripe account: its sales would be booked twice"
        return fail(evidence, "give each account the key of its own Stripe account")
    modes = {patient.account.name: MODES[patient.live] for patient, _ in known}
    if len(set(modes.values())) > 1:
        shown = ", ".join(f"{name} {mode}" for name, mode in modes.items())
        return warn(f"live and sandbox are mixed: {shown}", "use keys of one mode in one configuration")
    if any(identity is None for _, identity in known):
        return Finding(State.SKIP, "not every key may say whose it is")
    return ok(f"{len(known)} different Stripe accounts, all {next(iter(modes.values()))}")
