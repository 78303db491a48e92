"""One line about a failed run, for people who do not have Dagster open. No secrets, no personal data."""

from collections.abc import Iterable, Sequence

import dagster as dg
import httpx

from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.common.secrets import Secret, scrub

LONGEST = 900
TIMEOUT_SECONDS = 10


def failure_text(run: dg.DagsterRun, failures: Sequence[dg.DagsterEvent]) -> str:
    """Return what failed: job, account, run, and the problems in our own words.

    Texts of foreign exceptions may quote rows, so of these only the kind is told.
    """
    partition = run.tags.get("dagster/partition")
    where = f"{run.job_name} of {partition}" if partition else run.job_name
    reasons = "; ".join(dict.fromkeys(_reasons(failures))) or "see the run's log"
    return scrub(f"redisu: {where} failed (run {run.run_id[:8]}): {reasons}")[:LONGEST]


def _reasons(failures: Iterable[dg.DagsterEvent]) -> Iterable[str]:
    for event in failures:
        data = event.step_failure_data
        if data.user_failure_data is not None and data.user_failure_data.description:
            yield from data.user_failure_data.description.splitlines()
        elif data.error is not None and data.error.cls_name == "DagsterAssetCheckFailedError":
            yield " ".join(data.error.message.split(":", 1)[-1].split())
        elif data.error is not None:
            yield f"{event.step_key}: {(data.error.cause or data.error).cls_name}"


def post(hook: Secret, text: str) -> None:
    """Post ``{"text": …}``, as Slack and Teams take it. Raises Failed without the address, which is a secret."""
    try:
        answer = httpx.post(hook.reveal(), json={"text": text}, timeout=TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unheard(type(error).__name__) from None
    if not answer.is_success:
        raise _unheard(f"HTTP {answer.status_code}")


def _unheard(reason: str) -> Failed:
    mend = "check the address in the variable that it names"
    return Failed(Problem("alert_failed", "alerts.webhook_env", f"the message could not be posted ({reason})", mend))
