"""Stripe's own figures of a month: equal to the stand-in's truth, asked for once, and never a failure of the close."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from world import UNLIMITED, MakeTown, Town, put_copy

from redisu_pipeline.common.periods import Month
from redisu_pipeline.extract import opening, reader, report_runs
from redisu_pipeline.extract.figures import read_figures
from redisu_pipeline.extract.figures_lake import figures_from_lake
from redisu_pipeline.extract.figures_model import Figure, Figures, State
from redisu_pipeline.lake.storage import open_storage

FEBRUARY = Month(2026, 2)
BEGIN, END = FEBRUARY.unix()
REPORTS = (Figure.BALANCE, Figure.ACTIVITY, Figure.PAYOUTS)
PAYOUTS = ("payout", "payout_reversal")


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "LIVE", UNLIMITED)
    monkeypatch.setattr(report_runs, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(reader, "LONGEST_PAUSE", 0.02)


def read(town: Town, month: Month = FEBRUARY, **options: Any) -> Figures:
    """Read a month's figures at the world's time."""
    environ = options.pop("environ", town.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDISU_NOW", (town.now + town.skew).isoformat())
        return read_figures(town.settings, environ, "us", month, **options)


def synced(town: Town) -> Town:
    assert town.sync(tables=["payouts"]).problems == ()
    town.forget_requests()
    return town


def again(town: Town, month: Month = FEBRUARY) -> Figures:
    return figures_from_lake(open_storage(town.lake_uri), town.settings.account("us"), month)


def states(figures: Figures) -> dict[str, str]:
    return {figure.name: figures.standing(figure).state.value for figure in Figure}


ALL = {figure.name: "available" for figure in Figure}


def rows_of(town: Town, begin: int = BEGIN, end: int = END) -> list[dict[str, Any]]:
    return [row for row in town.store().all("balance_transaction") if begin <= row["created"] < end]


def spoil(monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes], times: int = 1) -> None:
    """The next reports' CSVs are changed on their way out."""
    from sandbox.stripe.server import reports

    written, left = reports.written, [times]

    def spoilt(*arguments: Any) -> bytes:
        body = written(*arguments)
        left[0] -= 1
        return change(body) if left[0] >= 0 else body

    monkeypatch.setattr(reports, "written", spoilt)


def test_payouts_hold_what_stripe_says_they_hold(town: Town) -> None:
    figures = read(synced(town))
    store = town.store()
    payouts = [one for one in store.all("payout") if BEGIN <= one["created"] < END and one["automatic"]]
    assert len(payouts) > 3
    for held, payout in zip(figures.payouts, payouts, strict=True):
        members = store.paid_by(payout["id"])
        own = [row["net"] for row in members if row["source"] == payout["id"]]
        assert (held.id, held.currency, held.amount) == (payout["id"], payout["currency"], payout["amount"])
        assert (held.contents, [held.own]) == (sum(row["net"] for row in members) - sum(own), own)
        assert held.rows == len(members)
        assert held.contents == held.amount == -(held.own or 0)


def test_the_balance_reports_equal_the_sums_of_the_balance_transactions(town: Town) -> None:
    figures = read(synced(town))
    assert states(figures) == ALL
    rows = rows_of(town)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["currency"], row["reporting_category"]), []).append(row)
    told = {(one.currency, one.reporting_category): one for one in figures.activity}
    assert told.keys() == groups.keys() >= {("usd", "charge"), ("usd", "payout")}
    for place, members in groups.items():
        one = told[place]
        assert (one.count, one.gross) == (len(members), sum(row["amount"] for row in members))
        assert (one.fee, one.net) == (sum(row["fee"] for row in members), sum(row["net"] for row in members))
    balance = figures.balance("usd")
    assert balance is not None
    payouts = sum(row["net"] for row in rows if row["reporting_category"] in PAYOUTS)
    assert (balance.starting, balance.payouts) == (0, payouts)
    assert balance.activity == sum(row["net"] for row in rows) - payouts
    assert balance.ending == balance.starting + balance.activity + balance.payouts
    assert figures.data_available_end == datetime(2026, 3, 20, tzinfo=UTC)


def test_a_month_that_was_read_is_not_read_again_and_needs_no_key(town: Town) -> None:
    first = read(synced(town))
    assert first.complete
    town.forget_requests()
    assert read(town, environ={}) == first == again(town)
    assert town.requests() == []


def test_the_csvs_stay_in_the_lake_and_every_row_says_which_is_its_own(town: Town) -> None:
    read(synced(town))
    kept = {path.name for path in town.lake.glob("reports/stripe/account=us/*/2026-02_*.csv")}
    assert len(kept) == len(list(town.lake.glob("reports/stripe/account=us/*/2026-02_*.csv.json"))) == 3
    import pyarrow.parquet as pq

    rows = pq.ParquetFile(town.lake / "stripe/balance_reports/account=us/month=2026-02/data.parquet").read().to_pylist()
    assert {row["file"].rpartition("/")[2] for row in rows} == kept
    assert {row["interval_end"] for row in rows} == {datetime(2026, 3, 1, tzinfo=UTC)}
    assert len({row["id"] for row in rows}) == len(rows)
    assert not list((town.lake / ".staging").rglob("*.json"))


def test_a_month_that_is_not_over_is_late_and_costs_no_request(town: Town) -> None:
    figures = read(synced(town), Month(2026, 3))
    assert set(states(figures).values()) == {"late"}
    assert figures.standing(Figure.BALANCE).reason == "2026-03 is not over yet"
    assert town.requests() == []


def test_a_report_that_does_not_reach_the_months_end_is_late_until_it_does(make_town: MakeTown) -> None:
    town = synced(make_town(now=datetime(2026, 3, 1, 6, tzinfo=UTC)))
    figures = read(town)
    assert states(figures) == {**ALL, "BALANCE": "late", "ACTIVITY": "late", "PAYOUTS": "late"} or (
        figures.standing(Figure.PAYOUT_CONTENTS).state is State.LATE
    )
    reason = figures.standing(Figure.BALANCE).reason
    assert "reaches to 2026-02-28T12:00:00Z, the month ends 2026-03-01T00:00:00Z" in reason
    assert figures.balances == ()
    assert again(town).standings == figures.standings
    town.advance(days=2)
    assert states(read(synced(town))) == ALL


def test_a_payout_that_is_not_reconciled_is_late_and_only_it_is_asked_for_then(town: Town) -> None:
    payout = [one for one in town.store().all("payout") if one["created"] < END][-1]
    town.store().change("payout", payout["id"], reconciliation_status="in_progress")
    figures = read(synced(town))
    standing = figures.standing(Figure.PAYOUT_CONTENTS)
    assert (standing.state, payout["id"] in standing.reason) == (State.LATE, True)
    assert payout["id"] not in {one.id for one in figures.payouts}
    town.store().change("payout", payout["id"], reconciliation_status="completed")
    town.store().emit("payout.reconciliation_completed", town.store().get("payout", payout["id"]))
    town.sync()
    town.forget_requests()
    assert states(read(town)) == ALL
    assert [line.split()[1] for line in town.requests()] == [
        f"/v1/balance_transactions?payout={payout['id']}&limit=100"
    ]


def test_payouts_the_lake_does_not_hold_yet_are_late(town: Town) -> None:
    figures = read(town)
    assert figures.standing(Figure.PAYOUT_CONTENTS).state is State.LATE
    assert "run `redisu sync` first" in figures.standing(Figure.PAYOUT_CONTENTS).reason


def test_manual_payouts_are_not_asked_for(town: Town) -> None:
    for payout in town.store().all("payout"):
        town.store().change("payout", payout["id"], automatic=False, reconciliation_status="not_applicable")
    figures = read(synced(town))
    assert (figures.payouts, states(figures)) == ((), ALL)
    assert not [line for line in town.requests() if "balance_transactions" in line]


def test_a_payout_of_many_pages_is_read_whole(town: Town) -> None:
    store = town.store()
    payout = next(one for one in store.all("payout") if one["created"] < END)
    more = [put_copy(store, "balance_transaction", created=BEGIN + 60, source=None) for _ in range(250)]
    store.assign_payout([row["id"] for row in more], payout["id"])
    held = next(one for one in read(synced(town)).payouts if one.id == payout["id"])
    assert held.rows == len(store.paid_by(payout["id"])) > 250
    assert held.contents == payout["amount"] + sum(row["net"] for row in more)


@pytest.mark.parametrize("verb", ["read", "write"])
def test_a_key_that_may_not_run_reports_is_no_failure(town: Town, verb: str) -> None:
    town.sandbox.denied["us"] = {f"rak_report_runs_and_report_types_{verb}"}
    figures = read(synced(town))
    assert states(figures) == {**dict.fromkeys(ALL, "unavailable"), "PAYOUT_CONTENTS": "available"}
    assert figures.standing(Figure.BALANCE).reason == "the key may not run reports (403)"
    assert (figures.problems, figures.balances) == ((), ())
    assert again(town) == figures
    before = [path.read_bytes() for path in sorted(town.lake.glob("_manifest/**/*.json"))]
    assert read(town) == figures
    assert before == [path.read_bytes() for path in sorted(town.lake.glob("_manifest/**/*.json"))]
    town.sandbox.denied.clear()
    assert states(read(town)) == ALL


def test_a_key_that_may_not_read_balance_transactions_is_said_in_words(town: Town) -> None:
    synced(town)
    town.sandbox.denied["us"] = {"rak_balance_transaction_read"}
    figures = read(town)
    assert states(figures) == {**ALL, "PAYOUT_CONTENTS": "unavailable"}
    assert "give the restricted key read permission" in figures.standing(Figure.PAYOUT_CONTENTS).reason


def test_a_sandbox_key_runs_no_report_and_reads_what_payouts_hold(make_town: MakeTown) -> None:
    town = synced(make_town(livemode=False))
    figures = read(town)
    assert figures.standing(Figure.ACTIVITY).reason == "a sandbox key runs none"
    assert len(figures.payouts) > 3
    assert not [line for line in town.requests() if "reporting" in line]


def test_without_a_key_it_says_which_variable_is_missing_and_asks_nothing(town: Town) -> None:
    figures = read(synced(town), environ={})
    assert set(states(figures).values()) == {"not_read"}
    assert "STRIPE_API_KEY_US is not set" in figures.standing(Figure.BALANCE).reason
    assert town.requests() == []


def test_a_stripe_that_does_not_answer_is_said_once_and_not_asked_on(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "ATTEMPTS", 2)
    monkeypatch.setattr(opening, "PAGES", 1)
    synced(town)
    town.sandbox.faults.set({"path": "/v1", "server_error": 1.0})
    figures = read(town)
    assert set(states(figures).values()) == {"not_read"}
    assert "Stripe did not answer usably" in figures.standing(Figure.PAYOUTS).reason
    assert not [line for line in town.requests() if "reporting" in line]
    town.sandbox.faults.set({"server_error": 0.0})
    assert states(read(town)) == ALL


def test_a_wrong_key_and_a_stop_are_said_in_words(town: Town) -> None:
    synced(town)
    figures = read(town, environ={"STRIPE_API_KEY_US": "rk_live_wrong0000"})
    assert set(states(figures).values()) == {"not_read"}
    assert "does not accept the API key" in figures.standing(Figure.BALANCE).reason
    stopped = threading.Event()
    stopped.set()
    assert read(town, stop=stopped).standing(Figure.BALANCE).reason == "stopped before it was read; close again"


def test_a_payout_that_breaks_off_midway_does_not_land_and_the_others_stay(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "ATTEMPTS", 1)
    synced(town)
    town.sandbox.faults.set({"path": "/v1/balance_transactions", "script": ["ok", "ok", "server_error"]})
    figures = read(town)
    assert figures.standing(Figure.PAYOUT_CONTENTS).state is State.NOT_READ
    for held in figures.payouts:
        assert held.rows == len(town.store().paid_by(held.id))
    done = {one.id for one in figures.payouts}
    town.forget_requests()
    assert states(read(town)) == ALL
    asked = {line.split("payout=")[1].split("&")[0] for line in town.requests() if "payout=" in line}
    assert not asked & done


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda body: body[:-9], "is cut off"),
        (lambda body: body.replace(b"usd", b"xyz"), "'xyz' is not in Stripe's table"),
        (lambda body: body.replace(b"net_amount", b"net"), "column net_amount is missing"),
        (lambda body: b"\xff" + body, "is not UTF-8 at byte 0"),
    ],
    ids=["truncated", "unknown currency", "another header", "no text"],
)
def test_a_report_that_cannot_be_read_lands_nothing_is_said_and_made_anew(
    town: Town, monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes], words: str
) -> None:
    synced(town)
    spoil(monkeypatch, change)
    figures = read(town)
    assert figures.standing(Figure.BALANCE).state is State.NOT_READ
    (problem,) = figures.problems
    assert (problem.code, words in str(problem)) == ("report_unreadable", True)
    assert figures.balances == ()
    assert figures.standing(Figure.ACTIVITY).state is State.AVAILABLE
    good = read(town)
    assert (states(good), good.problems) == (ALL, ())


def test_a_category_that_nobody_documented_is_kept_and_said_loudly(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    synced(town)
    spoil(monkeypatch, lambda body: body.replace(b"\ncharge,", b"\nmoon_landing,"), times=3)
    figures = read(town)
    (problem,) = figures.problems
    assert (problem.code, "moon_landing" in str(problem)) == ("unknown_value", True)
    assert "moon_landing" in {one.reporting_category for one in figures.activity}
    assert again(town).problems == figures.problems


def test_a_run_that_takes_too_long_is_late_and_the_next_close_takes_it_up(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_runs, "FIRST_PAUSE", 3_600.0)
    town.sandbox.reports.polls = 2
    figures = read(synced(town))
    assert figures.standing(Figure.BALANCE).state is State.LATE
    assert "still pending" in figures.standing(Figure.BALANCE).reason
    made = len(town.store().all("reporting.report_run"))
    monkeypatch.setattr(report_runs, "FIRST_PAUSE", 0.01)
    assert states(read(town)) == ALL
    assert len(town.store().all("reporting.report_run")) == made == 3


def test_the_month_is_cut_in_the_books_zone(town: Town) -> None:
    town.config.write_text(
        town.config.read_text().replace('tax = "automatic"', 'tax = "automatic"\ntimezone = "Asia/Tokyo"')
    )
    begin, end = FEBRUARY.unix("Asia/Tokyo")
    assert begin == BEGIN - 9 * 3_600
    figures = read(synced(town))
    assert states(figures) == ALL
    assert sum(one.net for one in figures.activity) == sum(row["net"] for row in rows_of(town, begin, end))
    runs = town.store().all("reporting.report_run")
    assert {run["parameters"]["interval_end"] for run in runs} == {end}
    # Stripe has no data before the account's first month: it would refuse an earlier begin
    assert {run["parameters"]["interval_start"] for run in runs} == {BEGIN}


def test_a_month_before_the_accounts_first_balance_has_no_rows(town: Town) -> None:
    synced(town)
    figures = read(town, Month(2026, 1))
    assert (states(figures), figures.balances, figures.activity) == (ALL, (), ())


def test_two_months_stand_side_by_side(make_town: MakeTown) -> None:
    town = synced(make_town(now=datetime(2026, 4, 4, tzinfo=UTC)))
    february, march = read(town), read(town, Month(2026, 3))
    assert february == again(town)
    assert february.balance("usd") != march.balance("usd")
    closing, opening = february.balance("usd"), march.balance("usd")
    assert closing is not None
    assert opening is not None
    assert closing.ending == opening.starting


def test_the_reports_reach_is_asked_for_anew_as_time_passes(make_town: MakeTown) -> None:
    town = synced(make_town(now=datetime(2026, 3, 1, 6, tzinfo=UTC)))
    first = read(town).data_available_end
    town.advance(hours=12)
    second = read(town).data_available_end
    assert first is not None
    assert second is not None
    assert second - first == timedelta(hours=12)
