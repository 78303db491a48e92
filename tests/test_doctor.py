"""`redisu doctor` as a whole: a shop where all is well, what is shown, and that nothing is touched or told."""

import io
import os
from pathlib import Path
from typing import Any

import pytest
from clinic import READS, Clinic
from rich.console import Console

from redisu_pipeline.common.problems import ConfigurationError, Failed, Problem
from redisu_pipeline.doctor.model import Check, Finding, Question, State, fail, folded, ok, skip
from redisu_pipeline.doctor.report import show, summary
from redisu_pipeline.doctor.table import OF_ACCOUNTS
from redisu_pipeline.tables.model import Scope
from redisu_pipeline.tables.registry import RESOURCES, TABLES

pytest_plugins = ("clinic",)


# -- all is well --------------------------------------------------------------------------------------------------


def test_where_all_is_well_nothing_fails_and_nothing_asks_for_a_look(clinic: Clinic) -> None:
    answer = clinic.doctor()
    assert answer.states("fail", "warn") == {}
    assert answer.code == 0
    assert (answer.json["command"], answer.json["ok"], answer.json["problems"]) == ("doctor", True, [])
    assert all(set(check) == {"id", "state", "evidence", "mend"} for check in answer.json["checks"])
    assert set(answer.states("skip")) == {
        "netsuite.exchange_rates",
        "stripe.us.tax.manual_rate",
        "stripe.il.tax.settings",
        "stripe.il.tax.registrations",
    }


def test_every_list_of_the_registry_is_asked_for_with_one_object(clinic: Clinic) -> None:
    clinic.shop.control.reset_requests()
    checks = clinic.doctor("--account", "us").checks
    assert {f"stripe.us.read.{name}" for name in READS} <= checks.keys()
    asked = [line.split(" ", 1)[1] for line in clinic.shop.control.requests("us")["last"]]
    for resource in RESOURCES:
        if resource.scope is Scope.SINCE_START:
            assert any(line.startswith(f"GET {resource.path}?limit=1") for line in asked), resource.name


def test_the_doctor_leaves_stripe_the_database_and_flockjay_as_they_were(clinic: Clinic) -> None:
    def counts() -> Any:
        accounts = clinic.shop.control.state()["accounts"]
        return {name: {kind: n for kind, n in one["counts"].items() if n} for name, one in accounts.items()}

    before = counts()
    assert clinic.doctor().code == 0
    assert counts() == before
    assert clinic.flockjay.access() == {}
    assert {call["method"] for call in clinic.flockjay.calls()} == {"GET"}
    assert not list(clinic.shop.folder.glob("redisu.db*"))


def test_only_the_chosen_account_is_asked_and_an_unknown_one_is_a_usage_error(clinic: Clinic) -> None:
    assert not [id for id in clinic.doctor("--account", "us").checks if ".il." in id or id == "stripe.accounts"]
    answer = clinic.doctor("--account", "nowhere")
    assert (answer.code, answer.json["problems"][0]["code"]) == (2, "unknown_account")


def test_a_faulty_configuration_is_exit_2(clinic: Clinic) -> None:
    Path(clinic.settings.path).write_text("[lake]\nurl = 1\n")
    answer = clinic.doctor()
    assert answer.code == 2
    assert "lake.url" in {problem["where"] for problem in answer.json["problems"]}


# -- the whole ------------------------------------------------------------------------------------------------------


def test_a_fault_in_one_check_is_that_checks_failure() -> None:
    def broken() -> Finding:
        raise RuntimeError("rk_live_secret12345")

    check = Question("one", broken).answer()
    assert check.state is State.FAIL
    assert "RuntimeError" in check.finding.evidence
    assert "rk_live" not in str(check.fields())


@pytest.mark.parametrize("kind", [ConfigurationError, Failed])
def test_a_refusal_is_a_failure_with_all_its_problems(kind: type[Failed]) -> None:
    def refuse() -> Finding:
        raise kind([Problem("a", "here", "is wrong", "do this"), Problem("b", "there", "is too", "do that")])

    finding = Question("one", refuse).answer().finding
    assert finding == fail("here: is wrong; there: is too", "do this; do that")


def test_no_secret_is_in_any_answer_whatever_fails(clinic: Clinic) -> None:
    clinic.shop.control.deny("us", "rak_invoice_read")
    clinic.flockjay.mood(forbidden=True)
    for answer in (clinic.doctor(), clinic.run()):
        said = answer.out + answer.err
        assert not [name for name, value in clinic.environ.items() if value in said]


def test_a_terminal_shows_every_failure_once_with_its_mend(clinic: Clinic) -> None:
    clinic.shop.control.deny("us", "rak_payout_read")
    answer = clinic.run()
    assert answer.code == 1
    assert answer.out.count("rak_payout_read") == 2  # found, and how to mend it
    assert answer.err == ""
    assert "1 failed" in answer.out


def test_checks_that_found_the_same_are_one_row_and_failures_stand_alone() -> None:
    checks = [
        Check("stripe.us.read.events", ok("may be read")),
        Check("stripe.us.read.charges", fail("forbidden", "give it")),
        Check("stripe.us.read.payouts", ok("may be read")),
        Check("stripe.il.read.events", skip("needs the key")),
        Check("stripe.il.catalogue", skip("needs the key")),
    ]
    rows = folded(checks)
    assert [row.label for row in rows] == ["stripe.us.read.* (2)", "stripe.us.read.charges", "stripe.il.* (2)"]
    assert summary(checks) == "5 checks: 2 ok, 0 to look at, 1 failed, 2 skipped"


@pytest.mark.parametrize("width", [60, 100])
def test_a_narrow_terminal_folds_and_cuts_nothing(width: int) -> None:
    screen = io.StringIO()
    url = "https://learn.example/" + "a" * 90
    show(Console(file=screen, width=width), [Check("stripe.us.webhook.endpoint", fail(url, "mend [it]"))])
    text = "".join(screen.getvalue().split())
    assert "a" * 50 in text or text.count("a") >= 90
    assert "…" not in text
    assert "mend[it]" in text


def test_the_table_asks_for_each_resource_once_and_ids_are_unique() -> None:
    names = [each.name for each in OF_ACCOUNTS]
    assert len(names) == len(set(names))
    assert [name.removeprefix("read.") for name in names if name.startswith("read.")] == READS
    assert set(READS) < set(TABLES)


def test_the_environment_is_read_only_where_a_check_needs_it(clinic: Clinic) -> None:
    before = dict(os.environ)
    clinic.doctor("--account", "il")
    assert dict(os.environ) == before
