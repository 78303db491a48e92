"""The assets against the stand-in for Stripe: what a run lands, what it records, and how it fails."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from redisu_pipeline.assets.catalogue import key_of
from redisu_pipeline.assets.failures import TRANSIENT, failure
from redisu_pipeline.assets.record import record
from redisu_pipeline.common.problems import Problem
from redisu_pipeline.definitions import build
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.storage import open_storage
from redisu_pipeline.tables.registry import TABLES
from sandbox.run import Started, start
from tests.lakes import SmallLake, configuration

RUN_TAG = {"dagster/max_retries": "0"}


@pytest.fixture(scope="module")
def stripe() -> Iterator[Started]:
    with start(months=2, checkouts=8) as started:
        yield started


@pytest.fixture(scope="module")
def synced(stripe: Started, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with configuration and a lake that `sync` filled for us, once for all tests; copy it to change it."""
    folder = tmp_path_factory.mktemp("synced")
    configuration(folder, stripe.stripe_url, start="2026-01-01")
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("STRIPE_API_KEY_US", stripe.accounts["us"].key)
        ran = sync_job(folder).execute_in_process(instance=instance, partition_key="us", raise_on_error=False)
        evaluations = {
            f"{one.asset_key.path[-1]}.{one.check_name}": one.passed for one in ran.get_asset_check_evaluations()
        }
        metadata = {
            event.asset_key.path[-1]: {
                name: value.value
                for name, value in event.materialization.metadata.items()
                if name != "dagster/column_schema"
            }
            for event in stripe_events(ran)
            if event.asset_key
        }
        partitions = sorted({str(event.partition) for event in stripe_events(ran)})
    said = {"ok": ran.success, "checks": evaluations, "metadata": metadata, "partitions": partitions}
    (folder / "said.json").write_text(json.dumps(said))
    return folder


@pytest.fixture
def said(synced: Path) -> dict[str, object]:
    loaded: dict[str, object] = json.loads((synced / "said.json").read_text())
    return loaded


def stripe_events(ran: dg.ExecuteInProcessResult) -> list[dg.DagsterEvent]:
    """What was recorded of Stripe's tables; a sync records the months of tax that it touched as well."""
    events = ran.get_asset_materialization_events()
    return [event for event in events if event.asset_key and event.asset_key.path[0] == "stripe"]


def sync_job(folder: Path) -> dg.JobDefinition:
    return build({"REDISU_CONFIG": str(folder / "redisu.toml")}).resolve_job_def("sync")


def subset(folder: Path, *tables: str) -> dg.JobDefinition:
    defs = build({"REDISU_CONFIG": str(folder / "redisu.toml")})
    selection = dg.AssetSelection.assets(*(key_of(name) for name in tables)).without_checks()
    job = dg.define_asset_job("some", selection=selection)
    return dg.Definitions(assets=defs.assets, jobs=[job], resources=defs.resources).resolve_job_def("some")


def run(folder: Path, *tables: str, account: str | None = "us") -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        job = subset(folder, *tables)
        return job.execute_in_process(instance=instance, partition_key=account, raise_on_error=False)


def reason(ran: dg.ExecuteInProcessResult) -> str:
    data = ran.filter_events(lambda event: event.is_step_failure)[0].step_failure_data
    assert data.user_failure_data is not None
    return str(data.user_failure_data.description)


class TestSync:
    def test_a_run_lands_every_table_of_its_account_and_every_check_passes(self, said: dict[str, object]) -> None:
        assert said["ok"] is True
        assert said["partitions"] == ["us"]
        assert set(said["metadata"]) == set(TABLES)
        # No service of ours sold what this shop sold: that is worth a warning, and the only one.
        failed = {name for name, passed in said["checks"].items() if not passed}
        assert failed <= {"checkout_sessions.paid_sessions_unlocked"}

    def test_what_is_recorded_is_what_the_manifest_says(self, synced: Path, said: dict[str, object]) -> None:
        storage = open_storage(str(synced / "lake"))
        for name, metadata in said["metadata"].items():
            manifest, _ = read_manifest(storage, name, "us")
            assert manifest is not None
            assert metadata["dagster/row_count"] == manifest.rows
            assert metadata["dagster/uri"] == storage.uri(f"stripe/{name}/account=us")
            assert metadata["complete_until"].endswith("Z")
            assert metadata["sync_run"] == manifest.run.id
            assert metadata["minimum"] <= metadata["requests"] or name not in ("charges", "invoices")
            for entry in manifest.files:
                assert (
                    f"| {entry.month} | {storage.uri(entry.path)} | {entry.sha256[:8]} | {entry.rows} |"
                    in (metadata["files"])
                )

    def test_sums_are_whole_minor_units_by_currency(self, synced: Path, said: dict[str, object]) -> None:
        manifest, _ = read_manifest(open_storage(str(synced / "lake")), "balance_transactions", "us")
        assert manifest is not None
        shown = said["metadata"]["balance_transactions"]["sums_minor_units"]
        assert f"| net | {manifest.sums['net']['usd']} |" in shown

    def test_nothing_recorded_holds_a_key_or_an_address(self, said: dict[str, object], stripe: Started) -> None:
        text = json.dumps(said)
        assert stripe.accounts["us"].key not in text
        assert "@" not in text

    def test_a_chosen_table_brings_its_family_and_the_events_which_are_recorded_too(
        self, synced: Path, tmp_path: Path, stripe: Started, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STRIPE_API_KEY_US", stripe.accounts["us"].key)
        folder = shutil.copytree(synced, tmp_path / "copy")
        ran = run(folder, "invoice_lines")
        assert ran.success
        recorded = {event.asset_key.path[-1] for event in ran.get_asset_materialization_events() if event.asset_key}
        recorded |= {
            event.asset_key.path[-1]
            for event in ran.filter_events(lambda event: event.is_step_materialization)
            if event.asset_key
        }
        recorded.discard("tax_by_jurisdiction")
        # the rates come along: the taxes repeat what they say
        assert recorded == {"events", "invoices", "invoice_lines", "invoice_taxes", "tax_rates"}


class TestFailures:
    def test_a_missing_key_fails_at_once_and_names_the_variable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("STRIPE_API_KEY_US", raising=False)
        configuration(tmp_path)
        ran = run(tmp_path, "charges")
        assert not ran.success
        assert "STRIPE_API_KEY_US is not set" in reason(ran)
        assert not ran.filter_events(lambda event: event.is_step_up_for_retry)

    def test_a_wrong_key_fails_at_once_without_showing_it(
        self, tmp_path: Path, stripe: Started, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STRIPE_API_KEY_US", "rk_test_wrongkey123")
        configuration(tmp_path, stripe.stripe_url)
        ran = run(tmp_path, "charges")
        assert "does not accept the API key (401)" in reason(ran)
        assert "wrongkey123" not in reason(ran)
        assert not ran.filter_events(lambda event: event.is_step_up_for_retry)

    def test_a_run_without_an_account_says_to_choose_one(self, tmp_path: Path) -> None:
        configuration(tmp_path)
        assert "choose an account as the partition" in reason(run(tmp_path, "charges", account=None))

    @pytest.mark.parametrize("code", sorted(TRANSIENT))
    def test_what_may_pass_by_itself_is_tried_again(self, code: str) -> None:
        assert failure([Problem(code, "us", "happened", "wait")]).allow_retries

    @pytest.mark.parametrize("code", ["stripe_key", "stripe_permission", "type_change", "foreign_file"])
    def test_what_would_fail_again_is_not_tried_again(self, code: str) -> None:
        problems = [Problem(code, "us", "happened", "mend it"), Problem("stripe_unreachable", "us", "x", "y")]
        found = failure(problems)
        assert not found.allow_retries
        assert found.description == "us: happened; mend it\nus: x; y"


class TestRecord:
    def test_a_lake_synced_by_the_command_line_is_recorded_once_a_state(self, tmp_path: Path) -> None:
        lake = SmallLake(tmp_path)
        lake.put("charges", {"id": "ch_1"})
        lake.put("charges", {"id": "ch_2"}, account="il")
        with dg.DagsterInstance.ephemeral() as instance:
            assert record(instance, lake.storage, ["us", "il"]) == 2
            assert record(instance, lake.storage, ["us", "il"]) == 0
            made = instance.get_latest_materialization_event(key_of("charges"))
            assert made is not None
            assert made.asset_materialization is not None
            assert made.asset_materialization.metadata["dagster/row_count"].value == 1
