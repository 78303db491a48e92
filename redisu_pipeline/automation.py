"""When things run: the jobs, the daily sync, the sensor on Stripe's events, and the message when a run fails."""

from collections.abc import Iterator, Sequence

import dagster as dg

from redisu_pipeline.assets.catalogue import GROUP, key_of
from redisu_pipeline.assets.tax import KEY as TAX_KEY
from redisu_pipeline.common.problems import Failed, Problem, Refusal
from redisu_pipeline.common.settings import Account
from redisu_pipeline.common.stripe_api import NotThere, Refused, Transient
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.messages import failure_text, post
from redisu_pipeline.resources.event_feed import in_lake, newest_event
from redisu_pipeline.resources.pipeline import PipelineResource
from redisu_pipeline.resources.tax_availability import available_until, read_until
from redisu_pipeline.ticks import requests_or_reasons

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
PARTITION_TAG = "dagster/partition"
# Stripe moves the report on twice a day, some hours after its cut-offs of 00:00 and 12:00 UTC; a look is one request.
TAX_REPORT_LOOKS = "20 */3 * * *"
# Shortly after midnight UTC: the balance snapshot of the first of a month is then close to the month's end.
DAILY = "5 0 * * *"


SYNC = dg.define_asset_job(
    "sync",
    selection=dg.AssetSelection.groups(GROUP),
    description="Extract what is new or changed at Stripe for one account, then check what landed.",
)
TAX_REPORT = dg.define_asset_job(
    "tax_report",
    selection=dg.AssetSelection.assets(key_of("tax_transactions")) | dg.AssetSelection.checks_for_assets(TAX_KEY),
    description="Read the itemised tax report of one account as far as it reaches now, and derive its tax from it.",
)
CHECK_LAKE = dg.define_asset_job(
    "check_lake",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Check the tables of every account as they are on disk; reads nothing from Stripe.",
)


def daily_sync(accounts: Sequence[str], notice: str) -> dg.ScheduleDefinition:
    """Return the schedule that asks for one run an account, once a day (UTC)."""

    @dg.schedule(
        name="daily_sync",
        job=SYNC,
        cron_schedule=DAILY,
        execution_timezone="UTC",
        description="Every account, every day, whether or not events wait.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if not accounts:
            yield dg.SkipReason(notice or "no account is configured")
        day = context.scheduled_execution_time.date()
        for account in accounts:
            yield dg.RunRequest(partition_key=account, run_key=f"daily-{account}-{day.isoformat()}")

    return schedule


def tax_report(notice: str) -> dg.ScheduleDefinition:
    """Return the schedule that follows the tax report: it runs where there is more of it, else says why not."""

    @dg.schedule(
        name="tax_report_availability",
        job=TAX_REPORT,
        cron_schedule=TAX_REPORT_LOOKS,
        execution_timezone="UTC",
        description="Reads an account's tax report as soon as Stripe has more of it.",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, pipeline: PipelineResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if notice:
            yield dg.SkipReason(notice)
            return
        settings, storage = pipeline.settings(), pipeline.storage()
        report = settings.tax.report_type
        found = (_moved(pipeline, storage, account, report) for account in settings.accounts.values())
        yield from requests_or_reasons(context.log, found)

    return schedule


def _moved(pipeline: PipelineResource, storage: Storage, account: Account, report_type: str) -> dg.RunRequest | str:
    """Ask for a run where the report reaches further than the lake, else say why there is nothing to do."""
    try:
        until = available_until(account, account.api_key(pipeline.environ()), report_type)
    except Refusal as refusal:
        return "; ".join(str(problem) for problem in refusal.problems)
    except (Refused, NotThere) as refused:
        return f"{account.name}: no tax report ({refused}); automatic tax comes from the invoices"
    except Transient as transient:
        return f"{account.name}: Stripe did not answer ({transient}); asked again at the next tick"
    before = read_until(storage, account.name)
    if before is not None and until <= before:
        return f"{account.name}: the report still ends at {until:%Y-%m-%d %H:%M} UTC"
    return dg.RunRequest(partition_key=account.name, run_key=f"{account.name}-{until.isoformat()}")


def stripe_events(minutes: int, notice: str) -> dg.SensorDefinition:
    """Return the sensor that syncs the accounts whose newest event is not in the lake yet.

    One read an account and tick, out of the same allocation as the service's sweeps. An event asks for one run only;
    if that fails, the next event or the daily sync comes back to it.
    """

    @dg.sensor(
        name="stripe_events",
        job=SYNC,
        minimum_interval_seconds=minutes * 60,
        description="Asks Stripe for each account's newest event and syncs the accounts where something happened.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, pipeline: PipelineResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if notice:
            yield dg.SkipReason(notice)
            return
        settings, storage = pipeline.settings(), pipeline.storage()
        found: list[dg.RunRequest | str] = []
        refused: list[Problem] = []
        for account in settings.accounts.values():
            try:
                found.append(_waiting(context.instance, pipeline, storage, account))
            except Failed as failed:
                refused.extend(failed.problems)
        for problem in refused:
            context.log.error(str(problem))
        if refused and len(refused) == len(settings.accounts):
            raise Failed(refused)  # the tick turns red in the UI
        yield from requests_or_reasons(context.log, [*found, *map(str, refused)])

    return sensor


def _waiting(
    instance: dg.DagsterInstance, pipeline: PipelineResource, storage: Storage, account: Account
) -> dg.RunRequest | str:
    """Ask for a sync when the lake lacks the newest event, else say why not; Failed when Stripe refuses."""
    try:
        key = account.api_key(pipeline.environ())
    except Refusal as refusal:
        return "; ".join(str(problem) for problem in refusal.problems)
    wanted = dg.RunsFilter(job_name="sync", tags={PARTITION_TAG: account.name}, statuses=UNDER_WAY)
    if instance.get_runs_count(wanted):
        return f"{account.name}: a sync is under way"
    try:
        newest = newest_event(account, key)
    except Transient as transient:
        return f"{account.name}: Stripe did not answer ({transient}); asked again at the next tick"
    except (Refused, NotThere) as refused:
        mend = "check the key and its permission to read events"
        message = f"Stripe refused to list events ({refused})"
        raise Failed(Problem("stripe_refused", f"accounts.{account.name}", message, mend)) from None
    if newest is None or in_lake(storage, account.name, newest):
        return f"{account.name}: nothing new"
    return dg.RunRequest(partition_key=account.name, run_key=f"{account.name}-{newest.id}")


def failure_message() -> dg.SensorDefinition:
    """Return the sensor that says in one line which run failed and why, to the chat hook when one is configured."""

    @dg.run_failure_sensor(
        name="failure_message",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Posts one line to the hook named by alerts.webhook_env, or writes it to the log.",
    )
    def sensor(context: dg.RunFailureSensorContext, pipeline: PipelineResource) -> None:
        text = failure_text(context.dagster_run, context.get_step_failure_events())
        hook = pipeline.settings().alerts.webhook(pipeline.environ())
        if hook is None:
            context.log.error(text)
        else:
            post(hook, text)

    return sensor
