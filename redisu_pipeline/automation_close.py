"""When months are closed: the job, the schedule that closes the month before, and the sensor of late changes."""

from collections.abc import Iterator
from datetime import datetime
from logging import Logger

import dagster as dg

from redisu_pipeline.assets.journals import CONTROLS_KEY, KEYS, key_for
from redisu_pipeline.close.due import changed, incomplete
from redisu_pipeline.close.stored import OPEN, Stored
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import Refusal
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.common.stripe_api import NotThere, Refused, Transient
from redisu_pipeline.extract.figures_model import Figure
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.resources.pipeline import PipelineResource
from redisu_pipeline.resources.tax_availability import available_until
from redisu_pipeline.ticks import requests_or_reasons

CLOSING_DAYS = "0 6 2-10 * *"
"""06:00 UTC on days 2 to 10: Stripe's reports over a month come some hours after its end, late ones within days."""

LOOK_SECONDS = 600

CLOSE_MONTH = dg.define_asset_job(
    "close_month",
    selection=dg.AssetSelection.assets(*KEYS) | dg.AssetSelection.checks_for_assets(CONTROLS_KEY),
    description="Derive a month of an account, run its controls, write the report and, unless it is open, the exports.",
)


def monthly_close(notice: str) -> dg.ScheduleDefinition:
    """Return the schedule that closes the month before, once its inputs are complete; every day until it is final."""

    @dg.schedule(
        name="monthly_close",
        job=CLOSE_MONTH,
        cron_schedule=CLOSING_DAYS,
        execution_timezone="UTC",
        description="Closes the month before as soon as everything of it is in the lake, and again until it is final.",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, pipeline: PipelineResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if notice:
            yield dg.SkipReason(notice)
            return
        now, accounts = context.scheduled_execution_time, pipeline.settings().accounts.values()
        yield from requests_or_reasons(context.log, (_closing(pipeline, account, now) for account in accounts))

    return schedule


def _closing(pipeline: PipelineResource, account: Account, now: datetime) -> dg.RunRequest | str:
    """Ask for a close of the month before ``now``, once a day, else say why not."""
    month = Month.containing(now, account.timezone).previous()
    reason = _not_yet(pipeline, account, month)
    if reason:
        return f"{account.name} {month}: {reason}"
    return _request(account.name, month, f"close-{account.name}-{month}-{now:%Y-%m-%d}")


def _not_yet(pipeline: PipelineResource, account: Account, month: Month) -> str:
    """Say why ``month`` is not to be closed now; empty when it is."""
    if month < account.first_month:
        return f"the books start with {account.first_month}"
    try:
        storage = pipeline.storage()
        state = Stored(storage, account.name).states().get(month)
        if state is not None and state.status != OPEN:
            return f"it is {state.status}"
        return incomplete(storage, account, month) or _not_reported(pipeline, account, month)
    except Refusal as refusal:
        return "; ".join(str(problem) for problem in refusal.problems)


def _not_reported(pipeline: PipelineResource, account: Account, month: Month) -> str:
    """Say that Stripe's balance report ends before the month does; empty also where the key gets no report."""
    try:
        until = available_until(account, account.api_key(pipeline.environ()), Figure.BALANCE.value)
    except (Refused, NotThere):
        return ""
    except Transient as transient:
        return f"Stripe did not answer ({transient}); asked again tomorrow"
    end = month.bounds(account.timezone)[1]
    return "" if until >= end else f"Stripe's balance report ends at {until:%Y-%m-%d %H:%M} UTC"


def late_changes(notice: str) -> dg.SensorDefinition:
    """Return the sensor that derives months again whose sources have changed since they were closed.

    It looks at the manifests of the lake only. What changes in a locked month is posted in the first month that is
    over and not locked; the same change is asked for once.
    """

    @dg.sensor(
        name="late_changes",
        job=CLOSE_MONTH,
        minimum_interval_seconds=LOOK_SECONDS,
        description="Closes the first month that is not locked again, when something changed in it or in earlier ones.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, pipeline: PipelineResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if notice:
            yield dg.SkipReason(notice)
            return
        settings, storage = pipeline.settings(), pipeline.storage()
        found = [_changed(context.log, settings, storage, account) for account in settings.accounts.values()]
        yield from requests_or_reasons(context.log, found)

    return sensor


def _changed(log: Logger, settings: Settings, storage: Storage, account: Account) -> dg.RunRequest | str:
    """Ask for the first month that is not locked when something changed in it or before, else say why not."""
    found = changed(settings, storage, account)
    reason = "nothing changed" if found is None else incomplete(storage, account, found.month)
    if found is None or reason:
        return f"{account.name}: {reason}"
    because = ", ".join(str(month) for month in found.because)
    log.info("%s %s is derived again: %s changed", account.name, found.month, because)
    run_key = f"{account.name}-{found.month}-{found.state}"
    return _request(account.name, found.month, run_key, {"redisu/changed": because})


def _request(account: str, month: Month, run_key: str, tags: dict[str, str] | None = None) -> dg.RunRequest:
    return dg.RunRequest(partition_key=key_for(account, str(month)), run_key=run_key, tags=tags or {})
