"""`redisu unlocks …` and `redisu erase` as a person or a script calls them."""

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from quiet_shop import Served, fresh, serving
from service_house import House, house

from redisu_pipeline import cli


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as made:
        yield made


@pytest.fixture
def home(served: Served, tmp_path: Path) -> Iterator[House]:
    made = house(fresh(served, tmp_path))
    yield made
    made.services.close()


def redisu(home: House, *words: str) -> tuple[int, dict[str, Any]]:
    """The command inside this process; tests of the whole command line are in test_cli.py."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**home.shop.environ, "REDISU_CONFIG": home.settings.path}.items():
            patch.setenv(name, value)
        with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as end:
            cli.main([*words, "--json"])
    return int(end.value.code or 0), json.loads(out.getvalue())


def test_support_finds_what_is_wrong_mends_it_and_tells_the_story(home: House) -> None:
    good, bad, unheard = (home.buy(f"learner-{name}") for name in ("good", "bad", "unheard"))
    home.flockjay.mood(unknown_learners=["learner-bad"])
    home.hear()
    home.work()
    code, told = redisu(home, "unlocks", "list", "--state", "paid")
    assert (code, told["ok"]) == (0, True)
    (stuck,) = told["entitlements"]
    assert stuck == {
        "order_id": bad.order_id, "learner": "learner-bad", "course": "redis-101", "account": "us",
        "session_id": bad.session_id, "state": "paid", "attempts": 1, "last_error": "HTTP 404",
    }  # fmt: skip
    code, told = redisu(home, "unlocks", "retry")
    assert (code, [one["where"] for one in told["problems"]]) == (1, [bad.order_id])
    home.flockjay.mood()
    code, told = redisu(home, "unlocks", "retry", bad.order_id)
    assert (code, told["entitlements"][0]["state"]) == (0, "unlocked")
    code, told = redisu(home, "unlocks", "show", "learner-bad")
    answers = [moment["detail"].split(";")[0] for moment in told["story"] if moment["what"] == "FlockJay grant"]
    assert answers == ["HTTP 404", "HTTP 404", "HTTP 201"]
    assert told["flockjay_says"] == {bad.order_id: True}
    assert redisu(home, "unlocks", "show", "nobody")[0] == 1
    assert {good.state, unheard.state} == {"pending"}


def test_reconcile_unlocks_what_no_webhook_told_of_and_names_it(home: House) -> None:
    order = home.buy()
    code, told = redisu(home, "unlocks", "reconcile")
    assert (code, [(one["order_id"], one["state"]) for one in told["entitlements"]]) == (
        0,
        [(order.order_id, "unlocked")],
    )
    assert home.has_access()
    code, told = redisu(home, "unlocks", "reconcile")
    assert (code, told["entitlements"]) == (0, [])


def test_what_is_missing_is_said_in_one_line_with_exit_2(home: House) -> None:
    home.shop.environ  # noqa: B018  (the configuration is whole)
    command = [str(Path(sys.executable).with_name("redisu")), "serve", "--config", home.settings.path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert "STRIPE_WEBHOOK_SECRET_US is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_erase_reports_what_it_cleaned(home: House) -> None:
    home.buy()
    home.hear()
    home.work()
    code, told = redisu(home, "erase", "--learner", "learner-1")
    assert code == 0
    assert told["erased"]["orders"] == 1
    assert told["erased"]["events"] > 0
