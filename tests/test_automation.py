"""What Dagster does by itself: the daily sync, the sensor of Stripe's events, and the message about a failure."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from redisu_pipeline.automation import stripe_events
from redisu_pipeline.common.problems import Failed
from redisu_pipeline.common.secrets import Secret
from redisu_pipeline.definitions import build
from redisu_pipeline.messages import failure_text, post
from redisu_pipeline.resources.pipeline import PipelineResource
from tests.lakes import SmallLake, configuration


@pytest.fixture
def config(tmp_path: Path) -> str:
    return configuration(tmp_path)


@pytest.fixture
def defs(config: str) -> dg.Definitions:
    return build({"REDISU_CONFIG": config})


class _Server:
    """An HTTP server on the loopback that answers everything with one body, and keeps what it was sent."""

    def __init__(self, status: int, body: object) -> None:
        self.received: list[dict[str, Any]] = []
        self.paths: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.do_GET()

            def do_GET(self) -> None:
                outer.paths.append(self.path)
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def serve() -> Iterator[Any]:
    servers: list[_Server] = []

    def start(body: object = None, status: int = 200) -> _Server:
        servers.append(_Server(status, body))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


class TestDailySync:
    def test_it_asks_for_one_run_an_account_and_for_no_second_one_that_day(self, defs: dg.Definitions) -> None:
        schedule = defs.get_repository_def().get_schedule_def("daily_sync")
        when = datetime(2026, 11, 3, 0, 5, tzinfo=UTC)
        with dg.build_schedule_context(
            scheduled_execution_time=when, repository_def=defs.get_repository_def()
        ) as context:
            asked = schedule.evaluate_tick(context).run_requests
        assert [(one.partition_key, one.run_key) for one in asked or ()] == [
            ("us", "daily-us-2026-11-03"),
            ("il", "daily-il-2026-11-03"),
        ]


class TestStripeEvents:
    CREATED = int(datetime(2026, 10, 6, tzinfo=UTC).timestamp())

    def tick(self, config: str, instance: dg.DagsterInstance) -> Any:
        defs = build({"REDISU_CONFIG": config})
        with dg.build_sensor_context(
            instance=instance,
            repository_def=defs.get_repository_def(),
            resources={"pipeline": PipelineResource(config=config)},
        ) as context:
            return stripe_events(15, "").evaluate_tick(context)

    @pytest.fixture
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance

    @pytest.fixture
    def keys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STRIPE_API_KEY_US", "rk_test_sensor_us")
        monkeypatch.setenv("STRIPE_API_KEY_IL", "rk_test_sensor_il")

    def answer(self, *ids: str) -> dict[str, object]:
        events = [{"id": one, "object": "event", "created": self.CREATED} for one in ids]
        return {"object": "list", "data": events, "has_more": True, "url": "/v1/events"}

    def test_without_keys_it_skips_and_names_the_variables(
        self, config: str, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("STRIPE_API_KEY_US", raising=False)
        monkeypatch.delenv("STRIPE_API_KEY_IL", raising=False)
        found = self.tick(config, instance)
        assert not found.run_requests
        assert "STRIPE_API_KEY_US is not set" in str(found.skip_message)

    @pytest.mark.usefixtures("keys")
    def test_only_the_account_whose_newest_event_is_not_in_the_lake_is_synced_by_one_read_each(
        self, tmp_path: Path, serve: Any, instance: dg.DagsterInstance
    ) -> None:
        stripe = serve(self.answer("evt_new"))
        lake = SmallLake(tmp_path)
        when = datetime.fromtimestamp(self.CREATED, UTC)
        lake.put("events", {"id": "evt_old", "created": when})  # of the same second, but another one
        lake.put("events", {"id": "evt_new", "created": when}, account="il")
        found = self.tick(configuration(tmp_path, stripe.url), instance)
        assert [(one.partition_key, one.run_key) for one in found.run_requests] == [("us", "us-evt_new")]
        assert stripe.paths == ["/v1/events?limit=1"] * 2

    @pytest.mark.usefixtures("keys")
    def test_nothing_new_is_a_skip(self, tmp_path: Path, serve: Any, instance: dg.DagsterInstance) -> None:
        found = self.tick(configuration(tmp_path, serve(self.answer()).url), instance)
        assert found.skip_message == "us: nothing new; il: nothing new"

    @pytest.mark.usefixtures("keys")
    def test_no_run_is_asked_for_while_one_is_under_way(
        self, tmp_path: Path, serve: Any, instance: dg.DagsterInstance
    ) -> None:
        stripe = serve(self.answer("evt_1"))
        run = dg.DagsterRun(job_name="sync", tags={"dagster/partition": "us"}, status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run)
        found = self.tick(configuration(tmp_path, stripe.url), instance)
        assert [one.partition_key for one in found.run_requests] == ["il"]

    @pytest.mark.usefixtures("keys")
    def test_an_answer_that_makes_no_sense_waits_for_the_next_tick(
        self, tmp_path: Path, serve: Any, instance: dg.DagsterInstance
    ) -> None:
        found = self.tick(configuration(tmp_path, serve({"error": {}}, 500).url), instance)
        assert "did not answer (HTTP 500)" in str(found.skip_message)

    @pytest.mark.usefixtures("keys")
    def test_keys_that_stripe_refuses_make_the_tick_fail(
        self, tmp_path: Path, serve: Any, instance: dg.DagsterInstance
    ) -> None:
        stripe = serve({"error": {"type": "invalid_request_error", "message": "Invalid API Key"}}, 401)
        with pytest.raises(Failed) as caught:
            self.tick(configuration(tmp_path, stripe.url), instance)
        assert [problem.where for problem in caught.value.problems] == ["accounts.us", "accounts.il"]
        assert "rk_test" not in str(caught.value)


class TestFailureMessage:
    def test_it_says_job_account_and_problem_but_nothing_of_a_foreign_exception(self) -> None:
        @dg.op
        def planned() -> None:
            raise dg.Failure("us/charges: the key may not read this (403); give it rk_live_abcdefgh1234 permission")

        @dg.op
        def unplanned() -> None:
            raise ValueError("ada@example.com is not a number")

        @dg.job
        def sync() -> None:
            planned()
            unplanned()

        with dg.DagsterInstance.ephemeral() as instance:
            ran = sync.execute_in_process(instance=instance, tags={"dagster/partition": "us"}, raise_on_error=False)
            text = failure_text(ran.dagster_run, ran.filter_events(lambda event: event.is_step_failure))
        assert text.startswith("redisu: sync of us failed (run ")
        assert "the key may not read this (403)" in text
        assert "unplanned: ValueError" in text
        assert "ada@example.com" not in text
        assert "abcdefgh1234" not in text

    def test_the_hook_gets_one_line_of_json(self, serve: Any) -> None:
        hook = serve()
        post(Secret(f"{hook.url}/T000/secret"), "redisu: sync of us failed")
        assert hook.received == [{"text": "redisu: sync of us failed"}]

    @pytest.mark.parametrize("status", [404, 500])
    def test_a_hook_that_refuses_is_said_without_its_address(self, serve: Any, status: int) -> None:
        with pytest.raises(Failed) as caught:
            post(Secret(f"{serve(None, status).url}/T000/secret"), "text")
        assert f"HTTP {status}" in str(caught.value)
        assert "secret" not in str(caught.value)

    def test_the_sensor_posts_when_a_run_fails(
        self, tmp_path: Path, serve: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hook = serve()
        monkeypatch.setenv("REDISU_HOOK", hook.url)
        config = configuration(tmp_path, more='\n[alerts]\nwebhook_env = "REDISU_HOOK"\n')
        defs = build({"REDISU_CONFIG": config})
        sensor = defs.get_repository_def().get_sensor_def("failure_message")

        @dg.op
        def broken() -> None:
            raise dg.Failure("us: out of order; mend it")

        @dg.job
        def sync() -> None:
            broken()

        with dg.DagsterInstance.ephemeral() as instance:
            ran = sync.execute_in_process(instance=instance, raise_on_error=False)
            context = dg.build_run_status_sensor_context(
                sensor_name="failure_message",
                dagster_instance=instance,
                dagster_run=ran.dagster_run,
                dagster_event=ran.get_run_failure_event(),
                resources={"pipeline": PipelineResource(config=config)},
            ).for_run_failure()
            sensor(context)
        assert len(hook.received) == 1
        assert "us: out of order; mend it" in hook.received[0]["text"]
