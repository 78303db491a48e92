"""The code location: what it offers, that it needs no secret, and what it says when it cannot work."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
import yaml

from redisu_pipeline.common.problems import ConfigurationError
from redisu_pipeline.controls.run import CONTROLS
from redisu_pipeline.definitions import build
from redisu_pipeline.lake.schemas import schema_of
from redisu_pipeline.tables.registry import EVERY_TABLE, TABLES
from redisu_pipeline.tax.checks import CHECKS
from tests.lakes import configuration

ROOT = Path(__file__).parents[1]


@pytest.fixture
def config(tmp_path: Path) -> str:
    return configuration(tmp_path)


@pytest.fixture
def defs(config: str) -> dg.Definitions:
    return build({"REDISU_CONFIG": config})


def stripe_specs(defs: dg.Definitions) -> list[dg.AssetSpec]:
    return [spec for spec in defs.resolve_all_asset_specs() if spec.group_name == "stripe"]


class TestCodeLocation:
    def test_it_loads_from_a_fresh_process_without_secrets_and_without_a_warning(self, config: str) -> None:
        code = "import redisu_pipeline.definitions as d, dagster; dagster.Definitions.validate_loadable(d.defs)"
        environ = {key: value for key, value in os.environ.items() if not key.startswith("STRIPE")}
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={**environ, "REDISU_CONFIG": config},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, "")

    def test_workspace_yaml_names_the_code_location(self) -> None:
        module = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"][0]["python_module"]
        assert (module["module_name"], module["working_directory"]) == ("redisu_pipeline.definitions", ".")

    def test_every_table_of_the_lake_is_an_asset_partitioned_by_account(self, defs: dg.Definitions) -> None:
        specs = {spec.key: spec for spec in stripe_specs(defs)}
        assert set(specs) == {dg.AssetKey(["stripe", name]) for name in EVERY_TABLE}
        for spec in specs.values():
            assert spec.partitions_def is not None
            assert spec.partitions_def.get_partition_keys() == ["us", "il"]

    def test_every_asset_says_what_it_is_who_owns_it_and_what_each_column_means(self, defs: dg.Definitions) -> None:
        for spec in stripe_specs(defs):
            table = EVERY_TABLE[spec.key.path[-1]]
            assert spec.description == table.doc
            assert spec.group_name == "stripe"
            assert spec.owners == ["team:finance-data"]
            assert spec.kinds == {"stripe", "parquet"}
            assert spec.freshness_policy is not None
            columns = spec.metadata["dagster/column_schema"].columns
            assert [column.name for column in columns] == schema_of(table).names
            assert all(column.description for column in columns)

    def test_the_graph_follows_the_references(self, defs: dg.Definitions) -> None:
        upstream = {
            spec.key.path[-1]: {dep.asset_key.path[-1] for dep in spec.deps} for spec in defs.resolve_all_asset_specs()
        }
        assert upstream["events"] == upstream["tax_registrations"] == set()
        assert upstream["customers"] == {"events"}
        assert upstream["invoice_lines"] == {"invoices", "prices"}
        assert upstream["invoice_taxes"] == {"invoice_lines", "tax_rates"}
        assert upstream["refunds"] == upstream["disputes"] == {"charges"}
        assert upstream["balance_transaction_fees"] == {"balance_transactions"}
        assert (upstream["payout_transactions"], upstream["balance_reports"]) == ({"payouts"}, set())

    def test_a_sync_makes_all_but_what_only_a_close_reads(self, defs: dg.Definitions) -> None:
        nodes = defs.resolve_job_def("sync").asset_layer.executable_asset_keys
        assert nodes == {dg.AssetKey(["stripe", name]) for name in TABLES}

    def test_every_asset_has_its_checks_and_the_public_names_are_there(self, defs: dg.Definitions) -> None:
        repository = defs.get_repository_def()
        assert {"sync", "check_lake", "close_month", "lock_period"} <= set(repository.job_names)
        assert repository.has_schedule_def("daily_sync")
        assert repository.has_schedule_def("monthly_close")
        assert repository.has_sensor_def("late_changes")
        assert repository.has_sensor_def("stripe_events")
        assert repository.has_sensor_def("failure_message")
        names: dict[str, set[str]] = {}
        for key in defs.resolve_asset_graph().asset_check_keys:
            names.setdefault(key.asset_key.path[-1], set()).add(key.name)
        tax = names.pop("tax_by_jurisdiction")
        assert tax == set(CHECKS)
        assert names.pop("controls") == {control.id for control in CONTROLS}
        assert set(names) == set(EVERY_TABLE)
        for table, found in names.items():
            # Stripe says how far a report reaches, and a close reads a month once
            own = {"freshness"} if table in TABLES and table != "tax_transactions" else set()
            assert found >= {"unique_key", "schema", "livemode", "counts_never_fall"} | own
        assert names["balance_transactions"] >= {"net_is_amount_minus_fee", "fees_add_up", "foreign_keys"}

    def test_without_a_configuration_it_loads_and_every_description_says_what_to_do(self, tmp_path: Path) -> None:
        defs = build({"REDISU_CONFIG": str(tmp_path / "nowhere.toml")})
        dg.Definitions.validate_loadable(defs)
        for spec in defs.resolve_all_asset_specs():
            assert spec.description is not None
            assert spec.description.startswith("Not configured yet.")
            assert "nowhere.toml: there is no configuration file; write one" in spec.description
        schedule = defs.get_repository_def().get_schedule_def("daily_sync")
        with dg.build_schedule_context(scheduled_execution_time=datetime(2026, 11, 3, tzinfo=UTC)) as context:
            skipped = schedule.evaluate_tick(context)
        assert "there is no configuration file" in str(skipped.skip_message)

    def test_a_faulty_configuration_is_refused_with_every_fault(self, tmp_path: Path) -> None:
        config = configuration(tmp_path, more="\n[colour]\nred = 1\n[lake2]\n")
        with pytest.raises(ConfigurationError) as caught:
            build({"REDISU_CONFIG": config})
        assert {problem.where for problem in caught.value.problems} >= {"colour", "lake2"}

    def test_the_instance_configuration_is_one_that_dagster_takes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "dagster.yaml").write_text((ROOT / "deploy/dagster.yaml").read_text())
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
        with dg.DagsterInstance.get() as instance:
            assert not instance.telemetry_enabled
            assert not instance.nux_enabled
            assert instance.global_op_concurrency_default_limit == 1


def test_no_description_holds_what_the_ui_would_take_for_a_tag(defs: dg.Definitions) -> None:
    """The UI renders Markdown: `<report type>` outside of a code span is shown as nothing at all."""
    for spec in defs.resolve_all_asset_specs():
        schema = spec.metadata.get("dagster/column_schema")
        columns = schema.columns if isinstance(schema, dg.TableSchema) else []
        for text in [spec.description or "", *(column.description or "" for column in columns)]:
            assert "<" not in re.sub(r"`[^`]*`", "", text), (spec.key, text)
