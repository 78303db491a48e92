"""Dagster's way in: one `Definitions`, assembled from parts. `$REDISU_CONFIG` names the configuration.

Loads without any secret: keys are asked for when a run needs them. Without a configuration everything is there but
has no account to run for, and every description says what to do; a faulty one is refused with each fault of it.
"""

import os
from collections.abc import Mapping

import dagster as dg

from redisu_pipeline import automation
from redisu_pipeline.assets.checks import stripe_checks
from redisu_pipeline.assets.stripe import stripe_assets
from redisu_pipeline.common.problems import ConfigurationError
from redisu_pipeline.common.settings import Settings, load
from redisu_pipeline.partitions import by_account
from redisu_pipeline.resources.pipeline import PipelineResource

SWEEP_MINUTES = 15


def build(environ: Mapping[str, str]) -> dg.Definitions:
    """Return the definitions for the configuration that ``environ`` names; ConfigurationError when it is faulty."""
    settings, notice = _settings(environ)
    accounts = list(settings.accounts) if settings else []
    minutes = settings.service.sweep_minutes if settings else SWEEP_MINUTES
    return dg.Definitions(
        assets=[stripe_assets(by_account(accounts), notice)],
        asset_checks=stripe_checks(),
        jobs=[automation.SYNC, automation.CHECK_LAKE],
        schedules=[automation.daily_sync(accounts, notice)],
        sensors=[automation.stripe_events(minutes, notice), automation.failure_message()],
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
