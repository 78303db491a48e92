"""Tax in Dagster: a partition for each account and month, checks that name ids, a schedule that follows the report."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from tax_truth import held_of, rows_of, truth_of
from world import MakeTown, Town

from redisu_pipeline.assets.tax import KEY, check_result
from redisu_pipeline.definitions import build
from redisu_pipeline.resources.pipeline import PipelineResource
from redisu_pipeline.tax.checks import CHECKS
from redisu_pipeline.tax.model import Finding

TICK = datetime(2026, 3, 20, 12, 20, tzinfo=UTC)


@pytest.fixture
def town(make_town: MakeTown, monkeypatch: pytest.MonkeyPatch) -> Town:
    town = make_town(accounts=("us", "il"))
    monkeypatch.setenv("REDISU_NOW", town.now.isoformat())
    for name, value in town.environ.items():
        monkeypatch.setenv(name, value)
    return town


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def defs_of(town: Town) -> dg.Definitions:
    return build({"REDISU_CONFIG": str(town.config)})


def test_a_month_is_derived_as_a_partition_and_says_what_it_covers(town: Town, instance: dg.DagsterInstance) -> None:
    town.sync()
    defs = defs_of(town)
    file = town.lake / "netsuite/tax_by_jurisdiction/account=us/month=2026-02/data.parquet"
    file.unlink()
    job = dg.define_asset_job("one", selection=dg.AssetSelection.assets(KEY).without_checks())
    made = dg.Definitions(assets=defs.assets, jobs=[job], resources=defs.resources).resolve_job_def("one")
    ran = made.execute_in_process(instance=instance, partition_key="us|2026-02")
    assert held_of(town, "us", "2026-02") == truth_of(town, "us", "2026-02")
    (event,) = ran.get_asset_materialization_events()
    metadata = {name: value.value for name, value in event.materialization.metadata.items()}
    assert metadata["dagster/row_count"] == len(rows_of(town, "us", "2026-02"))
    assert metadata["interval_covered"] == "report until 2026-03-19 12:00 UTC; invoices until 2026-03-20 12:00 UTC"
    assert "| collected | usd |" in metadata["sums_minor_units"]


def test_the_report_job_records_its_interval_and_the_months_it_touched(
    town: Town, instance: dg.DagsterInstance
) -> None:
    ran = defs_of(town).resolve_job_def("tax_report").execute_in_process(instance=instance, partition_key="us")
    events = {
        (event.asset_key.path[-1], str(event.partition)): event.materialization.metadata
        for event in ran.filter_events(lambda event: event.is_step_materialization)
        if event.asset_key
    }
    assert events["tax_transactions", "us"]["interval"].value == "2026-02-01T00:00:00Z … 2026-03-19T12:00:00Z"
    assert {partition for name, partition in events if name == "tax_by_jurisdiction"} == {"us|2026-02", "us|2026-03"}
    assert {one.check_name for one in ran.get_asset_check_evaluations() if one.asset_key == KEY} == set(CHECKS)


def test_the_schedule_runs_where_the_report_has_moved_and_says_why_not_elsewhere(
    town: Town, instance: dg.DagsterInstance
) -> None:
    defs = defs_of(town)
    schedule = defs.get_repository_def().get_schedule_def("tax_report_availability")

    def tick() -> Any:
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=TICK,
            repository_def=defs.get_repository_def(),
            resources={"pipeline": PipelineResource(config=str(town.config))},
        )
        return schedule.evaluate_tick(context)

    requests = tick().run_requests
    assert {request.partition_key for request in requests} == {"us", "il"}
    assert {request.run_key for request in requests} == {f"{a}-2026-03-19T12:00:00+00:00" for a in ("us", "il")}
    town.sync(tables=["tax_transactions"])
    later = tick()
    assert later.run_requests == []
    assert "us: the report still ends at 2026-03-19 12:00 UTC" in str(later.skip_message)
    town.sandbox.denied["us"] = {"rak_report_runs_and_report_types_read"}
    assert "us: no tax report (403" in str(tick().skip_message)


def test_a_check_shows_each_difference_with_its_ids() -> None:
    findings = [Finding("refunded_twice", "2026-10", ("re_1", "cn_1", "in_1"), "twice the same money")]
    result = check_result(CHECKS["refunded_twice"], {"us": findings, "il": []})
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert result.description == "us: twice the same money"
    table = str(result.metadata["ids"].value)
    assert "| us | 2026-10 | twice the same money | cn_1, in_1, re_1 |" in table
    sound = check_result(CHECKS["israeli_without_vat"], {"us": []})
    assert (sound.passed, sound.severity) == (True, dg.AssetCheckSeverity.WARN)
