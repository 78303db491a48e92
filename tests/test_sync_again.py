"""Which changes a later sync finds, and what stays as it was: one table, --since, --full, events, deletions."""

from __future__ import annotations

import copy
from collections.abc import Set
from datetime import timedelta
from typing import Any

import pytest
from world import Town, put_copy

from redisu_pipeline.extract import family
from redisu_pipeline.extract.listing import Listing


def test_syncing_one_table_does_not_eat_the_changes_of_the_others(town: Town) -> None:
    town.sync()
    town.advance(days=6)
    only = town.sync(tables=["refunds"])
    assert set(only.accounts["us"].tables) == {"events", "refunds"}
    town.advance(days=1)
    town.sync(tables=["invoice_lines"])
    town.advance(days=1)
    town.sync()
    assert town.differences() == []


def test_syncing_one_table_across_a_gap_does_not_hide_the_gap_from_the_others(town: Town) -> None:
    town.sync()
    town.advance(days=20)
    town.sync(tables=["refunds"])
    town.advance(days=40)
    town.sync(tables=["disputes"])
    town.sync()
    assert town.differences() == []


def test_since_reads_again_what_no_event_spoke_of(town: Town) -> None:
    town.sync(tables=["charges"])
    old, recent = town.store().all("charge")[0], town.store().all("charge")[-1]
    for charge in (old, recent):
        town.store().change("charge", charge["id"], description="changed behind our back")
    town.advance(days=5)
    town.sync(tables=["charges"])
    assert town.held("charges")[old["id"]]["description"] != "changed behind our back"
    day = (town.now - timedelta(days=20)).date()
    town.sync(tables=["charges"], since=day)
    assert town.held("charges")[recent["id"]]["description"] == "changed behind our back"
    assert town.held("charges")[old["id"]]["description"] != "changed behind our back"


def test_full_reads_everything_again_and_finds_what_has_vanished(town: Town) -> None:
    town.sync(tables=["charges", "checkout_sessions"])
    store = town.store()
    charge = store.all("charge")[0]
    store.change("charge", charge["id"], description="changed behind our back")
    session = store.all("checkout.session")[0]
    store.remove("checkout.session", session["id"])  # no event tells of it
    town.sync(tables=["charges", "checkout_sessions"])
    assert town.differences(only=["charges", "checkout_sessions"]) != []
    assert town.sync(tables=["charges", "checkout_sessions"], full=True).problems == ()
    assert town.differences(only=["charges", "checkout_sessions"]) == []
    assert town.gone("checkout_sessions") == {session["id"]}


def test_full_puts_together_what_it_saw_once_and_not_for_every_object(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 100,000 objects it took minutes of nothing but that, and it grows with their square."""

    class Seen(set[str]):
        joined = 0

        def __or__(self, other: Set[str]) -> set[str]:  # type: ignore[override]
            Seen.joined += 1
            return {*self, *other}

    class Watched(Listing):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.ids = Seen()

    town.sync(tables=["charges"])
    monkeypatch.setattr(family, "Listing", Watched)
    assert town.sync(tables=["charges"], full=True).problems == ()
    assert len(town.held("charges")) > 10
    assert Seen.joined == 2  # the charges, and the events on the look-out for a gap


def test_events_outlive_stripe_s_thirty_days_also_under_full(town: Town) -> None:
    town.sync(tables=["events", "disputes"])
    kept = set(town.held("events"))
    town.advance(days=40)
    town.sync(tables=["events", "disputes"])
    town.forget_requests()
    town.sync(tables=["events", "disputes"], full=True)
    assert kept <= set(town.held("events"))
    assert town.gone("events") == set()
    assert not [line for line in town.requests() if "/v1/events/" in line]
    assert town.differences(only=["events", "disputes"]) == []


def test_events_are_numbered_once_and_in_the_order_we_stored_them(town: Town) -> None:
    town.sync(tables=["events"])
    first = {i: row["_seq"] for i, row in town.held("events").items()}
    town.advance(days=2)
    town.sync(tables=["events"])
    second = {i: row["_seq"] for i, row in town.held("events").items()}
    assert {i: second[i] for i in first} == first
    assert len(set(second.values())) == len(second)
    assert min(second[i] for i in second.keys() - first.keys()) > max(first.values())


def test_an_object_is_read_again_at_the_pinned_version_and_not_taken_from_its_event(town: Town) -> None:
    town.sync(tables=["charges"])
    store = town.store()
    charge = store.all("charge")[0]
    store.emit("charge.updated", {**charge, "description": "as an old API version told it"})
    town.sync(tables=["charges"])
    assert town.differences(only=["charges"]) == []


def test_a_product_of_years_ago_is_there_because_invoices_name_it(town: Town) -> None:
    old = put_copy(town.store(), "product", created=1_500_000_000)
    town.sync(tables=["products"])
    assert town.held("products")[old["id"]]["created"].year == 2017
    assert town.differences(only=["products"]) == []


def test_an_object_older_than_the_account_s_start_stays_out_also_when_an_event_names_it(town: Town) -> None:
    old = put_copy(town.store(), "charge", created=1_500_000_000)
    town.sync(tables=["charges", "refunds"])
    town.store().emit("charge.updated", old)
    refund = copy.deepcopy(town.store().all("refund")[-1])
    town.store().emit("refund.updated", {**refund, "charge": old["id"]})
    town.forget_requests()
    town.sync(tables=["charges", "refunds"])
    assert old["id"] not in town.held("charges")
    assert town.addresses()[f"/v1/charges/{old['id']}"] <= 1


def test_a_row_that_came_back_equal_keeps_the_moment_it_was_read(town: Town) -> None:
    town.sync(tables=["charges"])
    before = {i: row["_synced_at"] for i, row in town.held("charges").items()}
    town.advance(days=2)
    town.sync(tables=["charges"], full=True)
    after = {i: row["_synced_at"] for i, row in town.held("charges").items()}
    untouched = {i for i in before if before[i] == after[i]}
    assert len(untouched) > len(before) // 2


def test_a_balance_snapshot_of_the_same_day_replaces_the_earlier_one(town: Town) -> None:
    store = town.store()
    real = store.balance
    fuller = real()
    fuller["available"].append({"amount": 5, "currency": "eur", "source_types": {"card": 5}})
    store.balance = lambda: fuller  # type: ignore[method-assign]
    town.sync(tables=["balances"])
    store.balance = real  # type: ignore[method-assign]
    town.sync(tables=["balances"])
    live = {i for i, row in town.held("balances").items() if row["_deleted_at"] is None}
    assert live == set(town.expected()["balances"])
    assert town.differences(only=["balances"]) == []


def test_the_proof_tells_until_when_the_lake_is_complete(town: Town) -> None:
    report = town.sync(tables=["charges"])
    cursor = town.manifest("charges")["cursor"]
    until = town.table(report, "charges").complete_until
    assert until is not None
    assert town.now <= until <= town.now + timedelta(minutes=2)
    assert cursor["complete_until"] == until.isoformat()
