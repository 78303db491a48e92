"""Whether the account sells what the settings say: what `redisu catalog apply` would still do."""

from collections.abc import Sequence

from redisu_pipeline.doctor.asking import Patient, Step, guarded
from redisu_pipeline.doctor.model import Finding, fail, ok, warn

MEND = "redisu catalog apply (shows everything first with --dry-run)"
SHOWN = 4
HARMLESS = frozenset({"name", "default price"})
"""Details of changes without which a course is still sold at the right price, with the right tax."""


@guarded
def catalogue(patient: Patient) -> Finding:
    """Whether every course has its product, and its price under the course's lookup_key."""
    account = patient.account
    sold = [slug for slug, course in patient.settings.courses.items() if account.currency in course.prices]
    if not sold:
        mend = f"give courses a price in {account.currency}, or correct accounts.{account.name}.currency"
        return warn(f"no course has a price in {account.currency.upper()}", mend)
    steps = [step for step in patient.changes if step.kind != "tax_rate"]
    return changes_finding(steps, f"courses with product and price in {account.currency.upper()}: {len(sold)}")


@guarded
def manual_tax_rate(patient: Patient) -> Finding:
    """Whether the tax rate of a `manual` account exists and is active."""
    rate = patient.account.manual_tax_rate
    shown = f"{rate.display_name} {rate.percentage} % {rate.country}" if rate is not None else "the rate"
    return changes_finding([step for step in patient.changes if step.kind == "tax_rate"], f"{shown} is there")


def changes_finding(steps: Sequence[Step], well: str) -> Finding:
    """Judge what is still to do: what touches sale, price or tax fails, other differences only deserve a look."""
    if not steps:
        return ok(well)
    words = [" ".join(filter(None, (step.action, step.kind.replace("_", " "), step.course))) for step in steps]
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    evidence = f"{len(words)} to do: {', '.join(words[:SHOWN])}{more}"
    harmless = all(step.action == "archive" or step.detail in HARMLESS for step in steps)
    return warn(evidence, MEND) if harmless else fail(evidence, MEND)
