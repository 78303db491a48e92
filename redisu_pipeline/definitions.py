"""Dagster's way in: one `Definitions`, assembled from parts. `$REDISU_CONFIG` names the configuration.

Loads without any secret: keys are asked for when a run needs them. Without a configuration everything is there but
has no account to run for, and every description says what to do; a faulty one is refused with each fault of it.
"""

import os
from collections.abc import Mapping
from datetime import date

import dagster as dg

from redisu_pipeline import automation, automation_close
from redisu_pipeline.assets.checks import stripe_checks
from redisu_pipeline.assets.controls import control_checks
from redisu_pipeline.assets.figures import figure_specs
from redisu_pipeline.assets.journals import close_assets, lock_period
from redisu_pipeline.assets.stripe import stripe_assets
from redisu_pipeline.assets.tax import tax_asset, tax_checks
from redisu_pipeline.assets.unlocks import unlock_check
from redisu_pipeline.common.problems import ConfigurationError
from redisu_pipeline.common.settings import Settings, load
from redisu_pipeline.partitions import by_account, by_account_and_month
from redisu_pipeline.resources.pipeline import PipelineResource

SWEEP_MINUTES = 15
EARLIEST = date(2011, 9, 1)
"""Stripe's beginning: where no account says when its books start."""


def build(environ: Mapping[str, str]) -> dg.Definitions:
    """Return the definitions for the configuration that ``environ`` names; ConfigurationError when it is faulty."""
    settings, notice = _settings(environ)
    accounts = list(settings.accounts) if settings else []
    start = min((account.start for account in settings.accounts.values()), default=EARLIEST) if settings else EARLIEST
    months = by_account_and_month(accounts, start)
    minutes = settings.service.sweep_minutes if settings else SWEEP_MINUTES
    return dg.Definitions(
        assets=[
            stripe_assets(by_account(accounts), notice),
            *figure_specs(by_account(accounts), notice),
            tax_asset(months, notice),
            *close_assets(months, notice),
        ],
        asset_checks=[*stripe_checks(), tax_checks(), control_checks(), unlock_check()],
        jobs=[automation.SYNC, automation.TAX_REPORT, automation.CHECK_LAKE, automation_close.CLOSE_MONTH, lock_period],
        schedules=[
            automation.daily_sync(accounts, notice),
            automation.tax_report(notice),
            automation_close.monthly_close(notice),
        ],
        sensors=[
            automation.stripe_events(minutes, notice),
            automation_close.late_changes(notice),
            automation.failure_message(),
        ],
        resources={"pipeline": PipelineResource(config=settings.path if settings else "")},
        # One process a run: a step of ours waits for Stripe, and each further process would import everything again.
        executor=dg.in_process_executor,
    )


def _settings(environ: Mapping[str, str]) -> tuple[Settings | None, str]:
    """Return the settings, or None and what to do when there is no configuration file."""
    try:
        return load(None, environ), ""
    except ConfigurationError as error:
        if any(problem.code != "no_configuration" for problem in error.problems):
            raise
        return None, f"Not configured yet. {error}"


defs = build(os.environ)
