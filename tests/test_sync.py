"""After a sync the lake equals the source: ids, counts, sums and every typed column, now and after time has passed."""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest
from world import MakeTown, Town, add_lines, put_copy


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
    asked = town.addresses()
    assert {address: count for address, count in asked.items() if count > 1} in (
        {},
        {"/v1/invoice_payments": 2} if waiting else {},
    )
    assert sum(asked.values()) <= 17 + len(waiting)
    assert {file: file.read_bytes() for file in town.lake.glob("stripe/**/*.parquet")} == files


def test_a_long_listing_takes_hardly_more_requests_than_it_must(town: Town) -> None:
    store = town.store()
    newest = store.all("customer")[-1]["created"]
    for number in range(8_000):  # quiet nights and one crowded hour
        age = number * 295 if number % 3 else number % 3_600
        put_copy(store, "customer", created=newest - age)
    town.forget_requests()
    report = town.sync(tables=["customers"])
    said = town.table(report, "customers")
    assert said.requests == town.addresses()["/v1/customers"]
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
