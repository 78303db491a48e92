"""What `redisu sync` must be allowed to read: every list of the registry, and the itemised tax report."""

import secrets
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from redisu_pipeline.common.settings import TaxMode
from redisu_pipeline.common.stripe_api import NotThere, Refused, Transient
from redisu_pipeline.common.stripe_files import StripeFiles
from redisu_pipeline.doctor.asking import Patient, give, guarded, patiently, permission_in
from redisu_pipeline.doctor.model import Finding, fail, ok, warn
from redisu_pipeline.doctor.stripe_key import MODES
from redisu_pipeline.tables.model import Resource, Scope

RUNS = "/v1/reporting/report_runs"
TYPES = "/v1/reporting/report_types"
NO_FILE = "file_redisudoctor"
"""An id that no file has: asking for it tells what the key may do and moves no data."""


class _Anything(msgspec.Struct):
    object: str


class _Balance(msgspec.Struct):
    livemode: bool


class _ReportType(msgspec.Struct):
    data_available_end: int


def readable(resource: Resource) -> Callable[[Patient], Finding]:
    """Return the question whether the resource may be read; it asks as the sync asks, for one object."""
    limit = {} if resource.scope is Scope.SNAPSHOT else {"limit": 1}

    @guarded
    def ask(patient: Patient) -> Finding:
        try:
            patient.get(resource.path, {**dict(resource.parameters), **limit}, _Anything)
        except Refused as refusal:
            if refusal.status != 403:
                raise
            missing = permission_in(refusal)
            return fail(f"GET {resource.path} is forbidden: the key lacks {missing}", give(patient, missing))
        return ok("may be read")

    return ask


@guarded
def mode(patient: Patient) -> Finding:
    """Compare what the key's prefix says with what Stripe says of the balance."""
    live = patient.get("/v1/balance", {}, _Balance).livemode
    if patient.live is not None and patient.live is not live:
        evidence = f"the key's prefix says {MODES[patient.live]}, Stripe answers with {MODES[live]} data"
        return fail(evidence, f"export another key in {patient.account.stripe_api_key_env}")
    return ok(f"{MODES[live]} data")


@guarded
def report_type(patient: Patient) -> Finding:
    """Whether the itemised tax report exists for the key, and how far it reaches."""
    type_ = patient.settings.tax.report_type
    try:
        found = patient.get(f"{TYPES}/{type_}", {}, _ReportType)
    except NotThere:
        evidence = f"there is no report type {type_}"
        return _of_report(patient, evidence, "correct tax.report_type", expected=patient.live is not True)
    except Refused as refusal:
        return _report_refused(patient, refusal)
    return ok(f"{type_} reaches to {datetime.fromtimestamp(found.data_available_end, UTC):%Y-%m-%d %H:%M} UTC")


@guarded
def report_run(patient: Patient) -> Finding:
    """Whether the key may have reports run: a request that names no report is refused as such, or as forbidden."""
    try:
        patiently(lambda: patient.api.post(RUNS, {}, f"redisu-doctor-{secrets.token_hex(8)}"))
    except Refused as refusal:
        if refusal.status == 403:
            return _report_refused(patient, refusal)
    return ok("report runs may be made")


@guarded
def report_file(patient: Patient) -> Finding:
    """Whether files can be fetched from their host: a file that nobody has is not found, or forbidden."""
    where = f"accounts.{patient.account.name}.stripe_files_base"
    files = StripeFiles(patient.key.reveal(), patient.account.stripe_files_base)
    with tempfile.TemporaryDirectory() as folder:
        try:
            patiently(lambda: files.download(NO_FILE, Path(folder) / "nothing"))
        except NotThere:
            return ok("the file host answers and knows the key")
        except Transient as error:
            return fail(f"{where} does not answer usably ({error})", f"check {where} and the network")
        except Refused as refusal:
            if refusal.status == 403:
                return _of_report(
                    patient, "files are forbidden: the key lacks rak_file_read", give(patient, "file read")
                )
            return fail(f"{where} refused (HTTP {refusal.status})", f"check {where}")
    return fail(f"{where} has a file that does not exist", f"check that {where} is Stripe's")


def _report_refused(patient: Patient, refusal: Refused) -> Finding:
    if refusal.status == 403:
        missing = permission_in(refusal)
        return _of_report(patient, f"the key lacks {missing}", give(patient, missing))
    evidence = f"Stripe refuses the report (HTTP {refusal.status})"
    return _of_report(patient, evidence, "check tax.report_type", expected=patient.live is not True)


def _of_report(patient: Patient, evidence: str, mend: str, *, expected: bool = False) -> Finding:
    """Judge what is wrong with the report: a failure where Stripe Tax computes the tax, else nothing needs it.

    What is ``expected`` of a sandbox (most reports need a live key) is none either.
    """
    if patient.account.tax is not TaxMode.AUTOMATIC:
        return warn(f"{evidence}: the tax of a manual account comes from its invoices all the same", mend)
    if expected:
        return warn(f"{evidence}: many reports need a live key; tax comes from invoices until then", mend)
    return fail(f"{evidence}: tax transactions stay empty", mend)
