"""The checks of Stripe's tables as Dagster runs them: alone, in a run, and against what was recorded before."""

from pathlib import Path

import dagster as dg
import pytest

from redisu_pipeline.assets.catalogue import key_of
from redisu_pipeline.assets.checks import highest_rows, stripe_checks
from redisu_pipeline.resources.pipeline import PipelineResource
from redisu_pipeline.tables.registry import TABLES
from tests.lakes import SmallLake, configuration


@pytest.fixture
def lake(tmp_path: Path) -> SmallLake:
    return SmallLake(tmp_path)


@pytest.fixture
def pipeline(tmp_path: Path) -> PipelineResource:
    return PipelineResource(config=configuration(tmp_path))


def run(pipeline: PipelineResource, partition: str | None = None) -> dg.ExecuteInProcessResult:
    checks = next(one for one in stripe_checks() if next(iter(one.check_keys)).asset_key == key_of("charges"))
    asset = dg.AssetSpec(key_of("charges"))
    partitions = dg.StaticPartitionsDefinition(["us", "il"])

    @dg.asset(key=key_of("charges"), partitions_def=partitions)
    def made() -> dg.MaterializeResult:
        return dg.MaterializeResult()

    jobs = [
        dg.define_asset_job(
            "go", selection=dg.AssetSelection.all() if partition else dg.AssetSelection.all_asset_checks()
        )
    ]
    defs = dg.Definitions(
        assets=[made if partition else asset], asset_checks=[checks], jobs=jobs, resources={"pipeline": pipeline}
    )
    with dg.DagsterInstance.ephemeral() as instance:
        return defs.resolve_job_def("go").execute_in_process(
            instance=instance, partition_key=partition, raise_on_error=False
        )


def test_a_check_on_its_own_looks_at_every_account_and_says_which_one_is_wrong(
    lake: SmallLake, pipeline: PipelineResource
) -> None:
    lake.put("charges", {"id": "ch_1"})
    lake.put("charges", {"id": "ch_2"}, {"id": "ch_2"}, account="il")
    found = {one.check_name: one for one in run(pipeline).get_asset_check_evaluations()}["unique_key"]
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.ERROR
    assert found.description == "us: 1 rows, each id once · il: 1 ids stand more than once: ch_2"
    assert found.metadata["il ids"].value == "ch_2"


def test_a_check_in_a_run_looks_at_the_account_of_the_run(lake: SmallLake, pipeline: PipelineResource) -> None:
    lake.put("charges", {"id": "ch_1"})
    lake.put("charges", {"id": "ch_2"}, {"id": "ch_2"}, account="il")
    found = {one.check_name: one for one in run(pipeline, "us").get_asset_check_evaluations()}["unique_key"]
    assert found.passed
    assert found.metadata["accounts"].value == "us"


def test_a_failed_blocking_check_fails_the_run_so_that_someone_hears_of_it(
    lake: SmallLake, pipeline: PipelineResource
) -> None:
    lake.put("charges", {"id": "ch_2"}, {"id": "ch_2"}, account="il")
    assert not run(pipeline, "il").success


def test_the_highest_of_the_recorded_counts_is_compared_with() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert highest_rows(instance, TABLES["charges"], "us") is None
        for partition, rows in (("us", 7), ("us", 5), ("il", 99)):
            metadata = {"dagster/row_count": rows}
            made = dg.AssetMaterialization(key_of("charges"), partition=partition, metadata=metadata)
            instance.report_runless_asset_event(made)
        assert highest_rows(instance, TABLES["charges"], "us") == 7
