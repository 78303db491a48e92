"""After a sync the lake equals the source: ids, counts, sums and every typed column, now and after time has passed."""

from __future__ import annotations

import copy
from collections import Counter
from datetime import timedelta

import pytest
from world import MakeTown, Town, add_lines, put_copy


def lists_asked(town: Town) -> Counter[str]:
    """How often each address was asked, without its parameters."""
    return Counter(line.split()[1].partition("?")[0] for line in town.requests())


@pytest.mark.parametrize("livemode", [True, False])
def test_after_a_sync_every_table_equals_the_source(make_town: MakeTown, livemode: bool) -> None:
    town = make_town(accounts=("us", "il"), checkouts=8, livemode=livemode)
    report = town.sync()
    assert report.problems == ()
    assert [town.differences(name) for name in ("us", "il")] == [[], []]
    assert [town.unproven(name) for name in ("us", "il")] == [[], []]


@pytest.mark.parametrize("days", [pytest.param(3, marks=pytest.mark.long), 12, 40])
def test_after_time_has_passed_it_equals_the_source_again(make_town: MakeTown, days: int) -> None:
    town = make_town(accounts=("us", "il"), checkouts=15)
    town.sync()
    town.advance(days=days)
    report = town.sync()
    assert report.problems == ()
    assert [town.differences(name) for name in ("us", "il")] == [[], []]
    assert [town.unproven(name) for name in ("us", "il")] == [[], []]


def test_rows_new_changed_and_unchanged_are_told_as_they_are(town: Town) -> None:
    town.sync()
    before = town.expected()
    town.advance(days=5)
    report = town.sync()
    after = town.expected()
    for name in before.keys() - {"balances"}:
        was, now = before[name], after[name]
        gone = town.gone(name)
        new = now.keys() - was.keys()
        changed = {i for i in was.keys() & now.keys() if was[i] != now[i]} | gone
        said = town.table(report, name)
        rows = len(now.keys() | gone)
        wanted = (len(new), len(changed), rows - len(new) - len(changed), rows)
        assert (said.new, said.changed, said.unchanged, said.rows) == wanted, name
    assert town.table(report, "charges").new > 0
    assert any(town.table(report, name).changed for name in before)


def test_a_sync_without_changes_asks_for_each_list_once_and_changes_no_file(town: Town) -> None:
    town.sync()
    town.sync()  # the first one's report run has made an event of its own
    files = {file: file.read_bytes() for file in town.lake.glob("stripe/**/*.parquet")}
    town.forget_requests()
    report = town.sync()
    assert report.problems == ()
    assert {(one.new, one.changed) for one in report.accounts["us"].tables.values()} == {(0, 0)}
    # what may have changed without an event is looked at once more
    waiting = [row for row in town.held("invoice_payments").values() if row["status"] == "open"]
    asked = lists_asked(town)
    assert {address: count for address, count in asked.items() if count > 1} in (
        {},
        {"/v1/invoice_payments": 2} if waiting else {},
    )
    assert sum(asked.values()) <= 17 + len(waiting)
    assert {file: file.read_bytes() for file in town.lake.glob("stripe/**/*.parquet")} == files


def test_a_long_listing_takes_hardly_more_requests_than_it_must(town: Town) -> None:
    store = town.store()
    newest = store.all("customer")[-1]["created"]
    for number in range(5_000):  # quiet nights and one crowded hour
        age = number * 295 if number % 3 else number % 3_600
        put_copy(store, "customer", created=newest - age)
    town.forget_requests()
    report = town.sync(tables=["customers"])
    said = town.table(report, "customers")
    assert said.requests == lists_asked(town)["/v1/customers"]
    rows = sum(one["created"] >= store_start(town) for one in store.all("customer"))
    assert said.rows == rows
    assert -(-rows // 100) <= said.requests <= 1.10 * -(-rows // 100)


def store_start(town: Town) -> int:
    return int(town.settings.account("us").first_month.bounds("UTC")[0].timestamp())


@pytest.mark.parametrize("skew", [timedelta(minutes=-10), timedelta(minutes=10)])
def test_rows_that_show_up_late_are_found_whatever_our_clock_says(make_town: MakeTown, skew: timedelta) -> None:
    town = make_town()
    town.skew = skew
    store = town.store()
    town.sync()
    for kind in ("charge", "invoice", "balance_transaction", "customer", "checkout.session", "event"):
        newest = store.all(kind)[-1]["created"]
        put_copy(store, kind, created=newest)
        put_copy(store, kind, created=newest - 30 * 60)
    assert town.sync().problems == ()
    assert town.differences() == []


@pytest.mark.parametrize("minutes", [-10, 10])
def test_changes_are_found_although_our_clock_is_off(make_town: MakeTown, minutes: int) -> None:
    town = make_town()
    town.skew = timedelta(minutes=minutes)
    town.sync()
    town.sandbox.world.advance(town.now.replace(hour=0, minute=5) + timedelta(days=3))  # just after funds came free
    town.sync()
    assert town.differences() == []


def test_funds_become_available_without_an_event(town: Town) -> None:
    while not any(one["status"] == "pending" for one in town.store().all("balance_transaction")):
        town.advance(days=1)
    town.sync(tables=["balance_transactions"])
    waiting = {i for i, row in town.held("balance_transactions").items() if row["status"] == "pending"}
    town.advance(days=4)
    kept = [event for event in town.store().all("event") if event["data"]["object"]["object"] == "balance_transaction"]
    assert not kept
    town.sync(tables=["balance_transactions"])
    assert {town.held("balance_transactions")[i]["status"] for i in waiting} == {"available"}


def test_a_deleted_customer_keeps_its_row_with_the_time_it_was_missed(town: Town) -> None:
    town.sync(tables=["customers"])
    customer = town.act("create_customer", email="anna@example.com", name="Anna Ünsal")
    town.sync(tables=["customers"])
    town.advance(minutes=5)
    town.act("delete_customer", id=customer["id"])
    report = town.sync(tables=["customers"])
    assert report.problems == ()
    assert town.gone("customers") == {customer["id"]}
    row = town.held("customers")[customer["id"]]
    assert row["name"] == "Anna Ünsal"
    assert town.now <= row["_deleted_at"] <= town.now + timedelta(minutes=2)
    assert town.table(town.sync(tables=["customers"]), "customers").changed == 0  # it is gone once


def test_the_lines_of_a_deleted_draft_are_gone_with_it(town: Town) -> None:
    store = town.store()
    price = next(one["id"] for one in store.all("price") if one["active"] and one["currency"] == "usd")
    draft = town.act("draft_invoice", price=price)
    town.sync(tables=["invoices", "tax_rates"])
    lines = {row["id"] for row in town.held("invoice_lines").values() if row["invoice"] == draft["id"]}
    assert lines
    store.remove("invoice", draft["id"])
    store.emit("invoice.deleted", draft)
    assert town.sync(tables=["invoices", "tax_rates"]).problems == ()
    assert town.gone("invoices") == {draft["id"]}
    assert town.gone("invoice_lines") == lines
    assert town.differences(only=["invoices", "invoice_lines", "invoice_taxes"]) == []


def test_a_line_added_on_top_moves_the_others_down(town: Town) -> None:
    store = town.store()
    add_lines(store, "invoice", 3)
    town.sync(tables=["invoices", "tax_rates"])
    invoice = store.all("invoice")[-1]
    lines = invoice["lines"]["data"]
    first = {**copy.deepcopy(lines[0]), "id": store.new_id("il")}
    store.change("invoice", invoice["id"], lines={**invoice["lines"], "data": [first, *lines[:2]]})
    store.emit("invoice.updated", store.get("invoice", invoice["id"]) or {})
    report = town.sync(tables=["invoices", "tax_rates"])
    assert town.differences(only=["invoices", "invoice_lines", "invoice_taxes"]) == []
    said = town.table(report, "invoice_lines")
    assert (said.new, said.changed) == (1, 3)  # two moved, one went
    assert said.unchanged == said.rows - 3


@pytest.mark.parametrize("lines", [10, 11, 110, 111])
def test_nested_lists_are_followed_to_their_end(make_town: MakeTown, lines: int) -> None:
    town = make_town(checkouts=6)
    for kind in ("invoice", "credit_note"):
        if town.store().all(kind):
            add_lines(town.store(), kind, lines)
    report = town.sync(tables=["invoices", "invoice_lines", "credit_notes", "credit_note_lines"])
    assert town.differences(only=["invoices", "invoice_lines", "credit_notes", "credit_note_lines"]) == []
    follow_ups = max(0, -(-(lines - 10) // 100))
    said = town.table(report, "invoice_lines")
    assert said.requests == said.minimum == follow_ups


def test_a_nested_list_is_followed_for_an_object_that_is_read_again(town: Town) -> None:
    store = town.store()
    town.sync(tables=["invoices", "invoice_lines"])
    add_lines(store, "invoice", 130)
    store.emit("invoice.updated", store.all("invoice")[-1])
    town.advance(days=8)
    town.sync(tables=["invoices", "invoice_lines"])
    assert town.differences(only=["invoices", "invoice_lines"]) == []


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
    assert lists_asked(town)[f"/v1/charges/{old['id']}"] <= 1


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
