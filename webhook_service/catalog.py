"""`redisu catalog apply`: make the courses of redisu.toml exist as Products and Prices in every account."""

import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import msgspec

from redisu_pipeline.common import clock
from redisu_pipeline.common.decoders import decode
from redisu_pipeline.common.problems import Problem
from redisu_pipeline.common.reports import Outcome
from redisu_pipeline.common.settings import Account, Settings, TaxMode
from redisu_pipeline.common.stripe_api import NotThere, Refused, StripeApi, Transient
from webhook_service.catalog_plan import Found, Made, Step, plan
from webhook_service.stripe_catalog import Price, Product, TaxRate, listed, patient_post


class _Answer(msgspec.Struct):
    id: str


def apply(settings: Settings, environ: Mapping[str, str], dry_run: bool) -> Outcome:  # noqa: FBT001  (the option)
    """Make the plan of every account and, unless ``dry_run``, carry it out; repeated, there is nothing left to do.

    An account that Stripe refuses becomes a problem; the others are done all the same. ConfigurationError names every
    missing key before anything is asked.
    """
    keys = settings.api_keys(environ)
    done: list[Step] = []
    problems: list[Problem] = []
    for account in settings.accounts.values():
        api = StripeApi(keys[account.name].reveal(), account.stripe_api_base)
        try:
            steps = plan(account, settings.courses, read(api, account))
            if dry_run:
                done += steps
            else:
                _carry_out(api, steps, done)
        except (Transient, NotThere, Refused) as error:
            problems.append(_problem(account, error))
    fields = {"changes": [step.fields() for step in done], "dry_run": dry_run}
    return Outcome(tuple(problems), fields, lambda: _show(done, planned=dry_run))


def read(api: StripeApi, account: Account) -> Found:
    """Return the account's products, prices and (where we set them) tax rates, archived ones among them.

    Raises Transient, NotThere or Refused.
    """
    rates = listed(api, "/v1/tax_rates", TaxRate, {}) if account.tax is TaxMode.MANUAL else ()
    products = tuple(listed(api, "/v1/products", Product, {}))
    return Found(products, tuple(listed(api, "/v1/prices", Price, {})), tuple(rates))


def _carry_out(api: StripeApi, steps: Sequence[Step], done: list[Step]) -> None:
    """Take the steps in order, noting each in ``done`` once it is taken."""
    made: dict[Made, str] = {}
    for step in steps:
        given = {name: made[value] if isinstance(value, Made) else value for name, value in step.parameters.items()}
        body = patient_post(api, step.path, given, _idempotency_key(step, given))
        id = decode(body, _Answer).id
        made[Made(step.kind, step.course or "")] = id
        done.append(replace(step, id=id))


def _idempotency_key(step: Step, given: Mapping[str, object]) -> str:
    """A create is the same for two runs at once, and a new one an hour later: Stripe may have lost it by then."""
    if step.key is None:
        return f"catalog:{uuid.uuid4()}"
    digest = sha256(msgspec.json.encode(given)).hexdigest()[:16]
    return f"{step.key}:{digest}:{clock.now():%Y%m%d%H}"


def _problem(account: Account, error: Exception) -> Problem:
    where = f"accounts.{account.name}"
    if isinstance(error, Refused) and error.status in (401, 403):
        mend = "give the key write access to products, prices and tax rates"
        return Problem("stripe_key", where, f"Stripe refuses the key: {error.detail}", mend)
    if isinstance(error, Transient):
        return Problem("stripe_unreachable", where, f"Stripe did not answer: {error}", "run the same command again")
    return Problem("stripe_refused", where, f"Stripe refused a change: {error}", "mend that, then run it again")


def _show(steps: Sequence[Step], *, planned: bool) -> None:
    """Print the steps as a table."""
    if not steps:
        sys.stdout.write("The catalogue is as the settings say; nothing to change.\n")
        return
    rows = [("account", "change", "object", "course", "id", "what")]
    rows += [(s.account, s.action, s.kind, s.course or "", s.id or "(new)", s.detail) for s in steps]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
    sys.stdout.write(f"{len(steps)} to do (nothing was changed)\n" if planned else f"{len(steps)} done\n")
