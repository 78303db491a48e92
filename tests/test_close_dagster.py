"""The books in Dagster: a partition for each account and month, controls as checks, who closes what and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
from small_books import MONTHS, START, SmallBooks

from redisu_pipeline.assets.controls import IDS, result
from redisu_pipeline.assets.figures import FIGURE_KEYS
from redisu_pipeline.assets.journals import CONTROLS_KEY, EXPORT_KEY, KEYS, REPORT_KEY, key_for
from redisu_pipeline.assets.record import record_books
from redisu_pipeline.close.run import Signature, close
from redisu_pipeline.close.stored import Stored
from redisu_pipeline.common.periods import Month
from redisu_pipeline.controls.model import ControlRow, Status
from redisu_pipeline.definitions import build
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.netsuite_tables import NETSUITE_TABLES
from redisu_pipeline.resources.pipeline import PipelineResource
from tests.closed_months import closed_month, draft_month

TICK = datetime(2026, 11, 6, 6, tzinfo=UTC)
AUGUST = Month(2026, 8)
FINANCE = Signature("the controller")
Closed = tuple[SmallBooks, dg.ExecuteInProcessResult]


@pytest.fixture(scope="module")
def september(synced_books: SmallBooks, tmp_path_factory: pytest.TempPathFactory) -> SmallBooks:
    """August is locked and September final."""
    books = synced_books.copy(tmp_path_factory.mktemp("september") / "town")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDISU_NOW", books.environ["REDISU_NOW"])
        assert close(books.settings, books.environ, "us", MONTHS[0], FINANCE).status == "locked"
        assert close(books.settings, books.environ, "us", MONTHS[1]).status == "final"
    return books


@pytest.fixture(scope="module")
def october(september: SmallBooks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    """The run that closed October."""
    books = september.copy(tmp_path_factory.mktemp("october") / "town")
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        for name, value in september.environ.items():
            patch.setenv(name, value)
        yield books, close_month(books, instance, "2026-10")


@pytest.fixture
def books(september: SmallBooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallBooks:
    """A copy of them, in the environment of this process."""
    for name, value in september.environ.items():
        monkeypatch.setenv(name, value)
    return september.copy(tmp_path / "town")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def defs_of(books: SmallBooks) -> dg.Definitions:
    return build({"REDISU_CONFIG": str(books.config)})


def close_month(books: SmallBooks, instance: dg.DagsterInstance, month: str) -> dg.ExecuteInProcessResult:
    job = defs_of(books).resolve_job_def("close_month")
    return job.execute_in_process(instance=instance, partition_key=key_for("us", month), raise_on_error=False)


def lock(books: SmallBooks, instance: dg.DagsterInstance, month: str, by: str) -> dg.ExecuteInProcessResult:
    config = {"ops": {"lock_month": {"config": {"account": "us", "month": month, "by": by}}}}
    job = defs_of(books).resolve_job_def("lock_period")
    return job.execute_in_process(instance=instance, run_config=config, raise_on_error=False)


def made(ran: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """The metadata that a run recorded, by asset."""
    return {
        event.asset_key.path[-1]: {name: value.value for name, value in event.materialization.metadata.items()}
        for event in ran.filter_events(lambda event: event.is_step_materialization)
        if event.asset_key
    }


def reason(ran: dg.ExecuteInProcessResult) -> str:
    (failed,) = ran.filter_events(lambda event: event.is_step_failure)
    data = failed.step_failure_data.user_failure_data
    assert data is not None
    return str(data.description)


class TestDefinitions:
    def test_every_asset_of_the_books_is_cut_by_account_and_month_and_says_what_it_is(self, books: SmallBooks) -> None:
        specs = {spec.key: spec for spec in defs_of(books).resolve_all_asset_specs() if spec.key in KEYS}
        assert set(specs) == set(KEYS)
        for spec in specs.values():
            assert spec.partitions_def is not None
            assert set(spec.partitions_def.get_partition_keys()) >= {f"us|{month}" for month in MONTHS}
            assert spec.description
            assert spec.owners == ["team:finance-data"]
            assert "netsuite" in spec.kinds
            assert spec.freshness_policy is not None
        for table in NETSUITE_TABLES:
            columns = specs[dg.AssetKey(["netsuite", table.name])].metadata["dagster/column_schema"].columns
            assert [column.name for column in columns] == table.schema.names
            assert all(column.description for column in columns)

    def test_the_graph_leads_from_stripe_to_the_exports(self, books: SmallBooks) -> None:
        graph = defs_of(books).resolve_asset_graph()
        above = {key: {parent.path[-1] for parent in graph.get(key).parent_keys} for key in KEYS}
        assert above[dg.AssetKey(["netsuite", "journal_sources"])] >= {
            "balance_transactions",
            "invoice_taxes",
            "refunds",
        }
        assert above[dg.AssetKey(["netsuite", "journal_lines"])] == {"journal_sources"}
        figures = {"payout_transactions", "balance_reports"}
        assert above[CONTROLS_KEY] == {"journal_lines", "tax_by_jurisdiction", *figures}
        assert above[EXPORT_KEY] == above[REPORT_KEY] == {"periods"}

    def test_the_public_names_are_there_and_every_control_is_a_check(self, books: SmallBooks) -> None:
        repository = defs_of(books).get_repository_def()
        assert {"close_month", "lock_period"} <= set(repository.job_names)
        assert repository.get_schedule_def("monthly_close").cron_schedule == "0 6 2-10 * *"
        assert repository.has_sensor_def("late_changes")
        checks = {
            key.name for key in defs_of(books).resolve_asset_graph().asset_check_keys if key.asset_key == CONTROLS_KEY
        }
        assert checks == set(IDS)
        assert {f"C{number}" for number in range(1, 26)} <= checks


class TestCloseMonth:
    def test_a_run_closes_its_month_and_shows_the_report(self, october: Closed) -> None:
        books, ran = october
        assert ran.success
        said = made(ran)
        assert set(said) == {key.path[-1] for key in KEYS} | {key.path[-1] for key in FIGURE_KEYS}
        partitions = {event.asset_key: str(event.partition) for event in ran.get_asset_materialization_events()}
        assert partitions == {**dict.fromkeys(KEYS, "us|2026-10"), **dict.fromkeys(FIGURE_KEYS, "us")}
        lines = pq.read_table(books.lake / "netsuite/journal_lines/account=us/month=2026-10/data.parquet")
        assert said["journal_lines"]["dagster/partition_row_count"] == lines.num_rows
        assert said["journal_lines"]["status"] == "final"
        assert "| debit | USD |" in said["journal_lines"]["sums_minor_units"]
        assert "| USD | 4000 | Course Revenue |" in said["close_report"]["trial_balance"]
        assert "| USD |  | **total** | **0.00** |" in said["close_report"]["trial_balance"]
        assert "| C1 | pass | USD |" in said["close_report"]["controls"]
        assert Path(said["close_report"]["dagster/uri"]).name == "close_report.html"
        assert Path(said["netsuite_export"]["journal_entries_csv"]).read_text().startswith("External ID")
        assert said["controls"]["fail"] == 0

    def test_stripes_own_figures_are_recorded_by_the_close_that_read_them_and_only_by_that(
        self, october: Closed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
    ) -> None:
        books, ran = october
        said = made(ran)
        for key in FIGURE_KEYS:
            manifest, _ = read_manifest(books.storage, key.path[-1], "us")
            assert manifest is not None
            assert said[key.path[-1]]["dagster/row_count"] == manifest.rows > 0
            assert said[key.path[-1]]["sync_run"] == manifest.run.id
        for name, value in books.environ.items():
            monkeypatch.setenv(name, value)
        again = made(close_month(books.copy(tmp_path / "town"), instance, "2026-10"))
        assert set(again) == {key.path[-1] for key in KEYS}

    def test_every_control_is_recorded_as_a_check_with_its_equation(self, october: Closed) -> None:
        evaluations = {one.check_name: one for one in october[1].get_asset_check_evaluations()}
        assert set(evaluations) == set(IDS)
        assert all(one.passed or one.severity is dg.AssetCheckSeverity.WARN for one in evaluations.values())
        table = str(evaluations["C3"].metadata["equations"].value)
        assert "**us 2026-10**" in table
        assert "| Opening clearing = closing of the month before |" in table

    def test_nothing_recorded_holds_a_key_or_an_address(self, october: Closed) -> None:
        books, ran = october
        text = str(made(ran))
        assert not [key for key in books.town.environ.values() if key in text]
        assert "@" not in text

    def test_a_control_that_breaks_is_red_the_journals_are_there_and_the_export_fails_for_good(
        self, books: SmallBooks, instance: dg.DagsterInstance
    ) -> None:
        books.configure('base_currency = "USD"', 'base_currency = "EUR"')
        ran = close_month(books, instance, "2026-09")
        assert not ran.success
        said = made(ran)
        assert set(said) == {key.path[-1] for key in KEYS} - {"netsuite_export"}
        assert said["close_report"]["status"] == "open"
        red = [one for one in ran.get_asset_check_evaluations() if not one.passed]
        assert [(one.check_name, one.severity) for one in red] == [("C18", dg.AssetCheckSeverity.ERROR)]
        assert "USD" in str(red[0].metadata["equations"].value)
        (failed,) = ran.filter_events(lambda event: event.is_step_failure)
        assert failed.step_key == "export"
        assert "us 2026-09: control C18" in reason(ran)
        assert not ran.filter_events(lambda event: event.is_step_up_for_retry)
        assert b"DRAFT" in (books.lake / "exports/netsuite/us/2026-09/close_report.html").read_bytes()

    def test_a_month_whose_earlier_one_is_not_final_fails_with_what_to_do(
        self, synced_books: SmallBooks, tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REDISU_NOW", synced_books.environ["REDISU_NOW"])
        ran = close_month(synced_books.copy(tmp_path / "town"), instance, "2026-10")
        assert "redisu close --account us --month 2026-09" in reason(ran)
        assert made(ran) == {}

    def test_a_run_without_a_partition_says_to_choose_one(
        self, books: SmallBooks, instance: dg.DagsterInstance
    ) -> None:
        job = defs_of(books).resolve_job_def("close_month")
        ran = job.execute_in_process(instance=instance, raise_on_error=False)
        assert "choose an account and a month" in reason(ran)


class TestChecksAlone:
    def test_without_a_partition_they_look_at_every_month_that_was_closed(
        self, books: SmallBooks, instance: dg.DagsterInstance
    ) -> None:
        selection = dg.AssetSelection.checks_for_assets(CONTROLS_KEY)
        defs = defs_of(books)
        only = dg.Definitions(
            assets=defs.assets,
            asset_checks=defs.asset_checks,
            jobs=[dg.define_asset_job("only", selection=selection)],
            resources=defs.resources,
        )
        ran = only.resolve_job_def("only").execute_in_process(instance=instance)
        (c1,) = [one for one in ran.get_asset_check_evaluations() if one.check_name == "C1"]
        table = str(c1.metadata["equations"].value)
        assert table.index("**us 2026-09**") < table.index("**us 2026-08**")

    def test_what_stops_a_month_is_an_error_and_what_does_not_is_a_warning(self) -> None:
        def row_of(rows: Any, status: Status) -> ControlRow:
            found: ControlRow = next(row for row in rows if row.status is status)
            return found

        failing = row_of(draft_month().controls, Status.FAIL)
        red = result(failing.control, [failing])
        assert (red.passed, red.severity) == (False, dg.AssetCheckSeverity.ERROR)
        assert red.description == f"us 2026-10 {failing.currency}: {failing.detail}"
        harmless = replace(failing, blocking=False, status=Status.WARN)
        yellow = result(failing.control, [harmless])
        assert (yellow.passed, yellow.severity) == (False, dg.AssetCheckSeverity.WARN)
        listed = result("C8", [row_of(closed_month().controls, Status.LIST)])
        assert (listed.passed, listed.description) == (True, "rows that hold: 0; lists for people: 1")
        assert result("C1", []).description == "no month was closed yet"

    def test_what_fails_stands_before_what_holds(self) -> None:
        holding, failing = draft_month().controls[0], draft_month().controls[2]
        table = str(result(failing.control, [holding, failing]).metadata["equations"].value)
        assert table.index("| fail |") < table.index("| pass |")


class TestLockPeriod:
    def test_it_locks_in_the_name_of_a_person_and_records_it(
        self, books: SmallBooks, instance: dg.DagsterInstance
    ) -> None:
        ran = lock(books, instance, "2026-09", "Ada Lovelace")
        assert ran.success
        state = Stored(books.storage, "us").states()[Month(2026, 9)]
        assert (state.status, state.locked_by) == ("locked", "Ada Lovelace")
        assert made(ran)["periods"]["status"] == "locked"

    @pytest.mark.parametrize(
        ("month", "by", "said"),
        [("2026-10", "Ada", "2026-09, is not locked"), ("2026-09", " ", "a lock names who did it")],
    )
    def test_it_refuses_with_the_reason(
        self, books: SmallBooks, instance: dg.DagsterInstance, month: str, by: str, said: str
    ) -> None:
        assert said in reason(lock(books, instance, month, by))
        assert Stored(books.storage, "us").states()[Month(2026, 9)].status == "final"


# Dagster itself tags a run of a two-dimensional partition with keys that it calls non-compliant.
TAGS_OF_DAGSTER = pytest.mark.filterwarnings("ignore:Non-compliant tag keys:DeprecationWarning")


@TAGS_OF_DAGSTER
class TestMonthlyClose:
    def tick(self, books: SmallBooks, instance: dg.DagsterInstance, at: datetime = TICK) -> Any:
        defs = defs_of(books)
        schedule = defs.get_repository_def().get_schedule_def("monthly_close")
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=at,
            repository_def=defs.get_repository_def(),
            resources={"pipeline": PipelineResource(config=str(books.config))},
        )
        return schedule.evaluate_tick(context)

    def test_it_asks_for_the_month_before_once_a_day(self, books: SmallBooks, instance: dg.DagsterInstance) -> None:
        (request,) = self.tick(books, instance).run_requests
        assert str(request.partition_key) == "us|2026-10"
        assert request.run_key == "close-us-2026-10-2026-11-06"

    def test_it_waits_for_the_inputs_and_says_which(self, books: SmallBooks, instance: dg.DagsterInstance) -> None:
        later = self.tick(books, instance, datetime(2026, 12, 2, 6, tzinfo=UTC))
        assert later.run_requests == []
        assert "us 2026-11: complete only until: balance_transactions (2026-11-06 07:00 UTC)" in str(later.skip_message)

    def test_it_waits_for_stripes_balance_report(
        self, books: SmallBooks, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ends = datetime(2026, 10, 31, 12, tzinfo=UTC)
        monkeypatch.setattr("redisu_pipeline.automation_close.available_until", lambda *_: ends)
        waiting = self.tick(books, instance)
        assert waiting.run_requests == []
        assert waiting.skip_message == "us 2026-10: Stripe's balance report ends at 2026-10-31 12:00 UTC"

    def test_a_stripe_that_does_not_answer_is_asked_again_tomorrow(
        self, books: SmallBooks, instance: dg.DagsterInstance
    ) -> None:
        books.configure(books.town.url, "http://127.0.0.1:9")
        assert "us 2026-10: Stripe did not answer" in str(self.tick(books, instance).skip_message)

    def test_a_key_that_gets_no_reports_does_not_keep_a_month_waiting(
        self, books: SmallBooks, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(books.town.sandbox.denied, "us", {"rak_report_runs_and_report_types_read"})
        assert len(self.tick(books, instance).run_requests) == 1

    def test_it_leaves_a_final_month_alone(self, books: SmallBooks, instance: dg.DagsterInstance) -> None:
        october = self.tick(books, instance, datetime(2026, 10, 5, 6, tzinfo=UTC))
        assert october.run_requests == []
        assert "us 2026-09: it is final" in str(october.skip_message)

    def test_it_does_nothing_before_the_books_begin(self, books: SmallBooks, instance: dg.DagsterInstance) -> None:
        early = self.tick(books, instance, datetime(2026, 8, 2, 6, tzinfo=UTC))
        assert f"the books start with {START:%Y-%m}" in str(early.skip_message)


@TAGS_OF_DAGSTER
class TestLateChanges:
    def tick(self, books: SmallBooks, instance: dg.DagsterInstance) -> Any:
        defs = defs_of(books)
        with dg.build_sensor_context(
            instance=instance,
            repository_def=defs.get_repository_def(),
            resources={"pipeline": PipelineResource(config=str(books.config))},
        ) as context:
            return defs.get_repository_def().get_sensor_def("late_changes").evaluate_tick(context)

    def test_it_is_quiet_while_nothing_changes(self, books: SmallBooks, instance: dg.DagsterInstance) -> None:
        quiet = self.tick(books, instance)
        assert quiet.run_requests == []
        assert quiet.skip_message == "us: nothing changed"

    def test_a_refund_of_a_locked_months_sale_is_posted_without_anyone_asking(
        self, synced_books: SmallBooks, september: SmallBooks, books: SmallBooks, instance: dg.DagsterInstance
    ) -> None:
        town = books.town
        charges = [
            one for one in town.store().all("charge") if one["paid"] and not one["refunded"] and not one["disputed"]
        ]
        sold = next(one for one in charges if Month.containing(datetime.fromtimestamp(one["created"], UTC)) == AUGUST)
        town.act("refund", charge_id=sold["id"])
        sync(books)
        (request,) = self.tick(books, instance).run_requests
        assert str(request.partition_key) == "us|2026-09"
        assert "2026-08" in request.tags["redisu/changed"]
        (again,) = self.tick(books, instance).run_requests
        assert again.run_key == request.run_key
        assert close_month(books, instance, "2026-09").success
        assert self.tick(books, instance).run_requests == []

    def test_another_decision_of_finance_is_a_change_too(self, books: SmallBooks, instance: dg.DagsterInstance) -> None:
        books.config.write_text(
            books.config.read_text() + '\n[chart_of_accounts]\nrevenue = { number = "4444", name = "Courses" }\n'
        )
        (request,) = self.tick(books, instance).run_requests
        assert str(request.partition_key) == "us|2026-09"
        assert close_month(books, instance, "2026-09").success
        lines = Stored(books.storage, "us").lines()[Month(2026, 9)]
        late = [line for line in lines if line.adjusts_period == "2026-08"]
        assert {line.gl_account for line in late if line.gl_role == "revenue"} >= {"4444"}


def sync(books: SmallBooks) -> None:
    from redisu_pipeline.extract import sync as syncing

    report = syncing.sync(books.settings, books.environ)
    assert report.ok, report.problems


class TestRecord:
    def test_months_closed_by_the_command_line_are_recorded_once_a_state(
        self, books: SmallBooks, instance: dg.DagsterInstance
    ) -> None:
        assert record_books(instance, books.settings, books.storage) > len(KEYS)
        assert record_books(instance, books.settings, books.storage) == 0
        event = instance.get_latest_materialization_event(REPORT_KEY)
        assert event is not None
        assert event.asset_materialization is not None
        assert "Course Revenue" in str(event.asset_materialization.metadata["trial_balance"].value)
        assert instance.get_materialized_partitions(EXPORT_KEY) == {"us|2026-08", "us|2026-09"}
