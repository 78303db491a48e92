"""One clock, that can be set."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from redisu_pipeline.common import clock
from redisu_pipeline.common.problems import ConfigurationError


def test_without_the_variable_it_is_the_systems_clock() -> None:
    before = datetime.now(UTC)
    now = clock.now()
    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC


def test_it_starts_at_the_given_instant_and_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDISU_NOW", "2026-11-03T06:00:00Z")
    first = clock.now()
    assert timedelta(0) <= first - datetime(2026, 11, 3, 6, tzinfo=UTC) < timedelta(seconds=5)
    deadline = time.monotonic() + 5
    while clock.now() == first and time.monotonic() < deadline:
        pass
    assert first < clock.now() < first + timedelta(seconds=5)


def test_another_value_starts_the_clock_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDISU_NOW", "2026-11-03T06:00:00Z")
    clock.now()
    monkeypatch.setenv("REDISU_NOW", "2020-01-01T00:00:00+00:00")
    assert clock.now().year == 2020


@pytest.mark.parametrize("text", ["tomorrow", "2026-11-03T06:00:00", "2026-11-03T06:00:00+02:00", "2026-11-03"])
def test_what_is_not_a_utc_instant_is_refused_with_the_right_form(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDISU_NOW", text)
    with pytest.raises(ConfigurationError, match=r"REDISU_NOW.*write it like 2026-11-03T06:00:00Z"):
        clock.now()


def test_a_process_reads_the_variable_of_its_own_environment() -> None:
    code = "from redisu_pipeline.common.clock import now; print(now().date())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"REDISU_NOW": "2031-05-05T12:00:00Z"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "2031-05-05"
