"""A sync in bad weather: short pages, limits, errors, broken connections and cut answers, all at once."""

from __future__ import annotations

from datetime import date

import pytest
from world import MakeTown, Town, add_lines

from redisu_pipeline.extract import reader

STORM = {
    "rate_limit": 0.06,
    "lock_timeout": 0.03,
    "server_error": 0.06,
    "reset": 0.05,
    "truncate": 0.05,
    "cut": 0.05,
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(reader, "LONGEST_PAUSE", 0.01)


@pytest.mark.parametrize(("cap", "seed"), [(1, 1), pytest.param(7, 2, marks=pytest.mark.long), (100, 3)])
def test_a_storm_changes_nothing_but_the_number_of_requests(make_town: MakeTown, cap: int, seed: int) -> None:
    town = make_town(checkouts=6, start=date(2026, 3, 1))
    add_lines(town.store(), "invoice", 35)
    town.sandbox.faults.set({**STORM, "page_cap": cap, "seed": seed})
    report = town.sync()
    assert report.problems == ()
    assert (town.differences(), town.unproven()) == ([], [])
    town.advance(days=12)
    assert town.sync().problems == ()
    assert (town.differences(), town.unproven()) == ([], [])
    requests = sum(one.requests for one in report.accounts["us"].tables.values())
    assert requests > sum(one.minimum for one in report.accounts["us"].tables.values())


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_a_storm_over_two_accounts_and_a_gap(make_town: MakeTown, seed: int) -> None:
    town = make_town(accounts=("us", "il"), seed=seed, checkouts=25)
    add_lines(town.store("il"), "invoice", 230)
    town.sandbox.faults.set({**STORM, "page_cap": 1 + seed * 5, "seed": seed})
    for days in (0, 1, 9, 45):
        town.advance(days=days)
        assert town.sync().problems == ()
        assert [town.differences(name) for name in ("us", "il")] == [[], []]
        assert [town.unproven(name) for name in ("us", "il")] == [[], []]


@pytest.mark.parametrize("way", ["rate_limit", "lock_timeout", "server_error", "reset", "truncate", "cut"])
def test_each_fault_is_asked_again(town: Town, way: str) -> None:
    town.sandbox.faults.set({"script": [way] * 5})
    assert town.sync(tables=["products"]).problems == ()
    assert town.sandbox.faults.script == []
    assert len(town.held("products")) == len(town.expected()["products"])


def test_a_list_that_stays_broken_fails_alone_and_the_next_run_heals_it(town: Town) -> None:
    some = ["charges", "refunds"]
    town.sync(tables=some)
    town.advance(days=3)
    town.sandbox.faults.set({"server_error": 1.0, "path": "/v1/charges"})
    report = town.sync(tables=some)
    (problem,) = report.problems
    assert (problem.code, problem.where) == ("stripe_unreachable", "us/charges")
    assert "charges" not in report.accounts["us"].tables
    assert "refunds" in report.accounts["us"].tables
    town.sandbox.faults.set({"server_error": 0.0})
    assert town.sync(tables=some).problems == ()
    assert town.differences(only=some) == []


def test_an_address_where_nobody_listens_is_one_line(town: Town) -> None:
    text = town.config.read_text().replace(town.url, "http://127.0.0.1:9")
    town.config.write_text(text)
    report = town.sync()
    (problem,) = report.problems
    assert problem.code == "stripe_unreachable"
    assert not list(town.lake.glob("stripe/**/*.parquet"))


def test_an_address_that_is_not_stripe_s_is_one_line(town: Town) -> None:
    text = town.config.read_text().replace(f'stripe_api_base = "{town.url}"', f'stripe_api_base = "{town.url}/other"')
    town.config.write_text(text)
    answer = town.main()
    assert answer.code == 1
    assert answer.codes == ["stripe_address"]
    assert "Traceback" not in answer.stderr
