"""Objects older than the account's `start`: fetched when something since refers to them, marked, and kept right."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from world import MakeTown, Town, put_copy

from redisu_pipeline.assets.rules.model import Grade, Subject, examine
from redisu_pipeline.assets.rules.references import FOREIGN_KEYS
from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.extract.before_start import LANDED_IN, BeforeStart
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.storage import open_storage
from redisu_pipeline.tables.registry import RESOURCE_OF, TABLES

BOOKS = date(2026, 3, 1)
BOOKS_AT = datetime(2026, 3, 1, tzinfo=UTC)
START = int(BOOKS_AT.timestamp())
TABLE_OF = {resource.object: name for name, resource in RESOURCE_OF.items() if resource.name == name}


@pytest.fixture
def town(make_town: MakeTown) -> Town:
    """Two months of sales, of which the books keep the second."""
    return make_town(books=BOOKS, checkouts=40, now=datetime(2026, 3, 28, tzinfo=UTC))


def synced(town: Town, **options: Any) -> None:
    assert town.sync(**options).problems == ()


def older(town: Town, table: str) -> set[str]:
    return {i for i, row in town.held(table).items() if row["_before_start"]}


def old_sale(town: Town) -> dict[str, Any]:
    """A charge made before the books begin, that nothing in the lake refers to."""
    known = older(town, "charges")
    old = [one for one in town.store().all("charge") if one["created"] < START and one["id"] not in known]
    return next(one for one in old if one["paid"] and not one["refunded"] and not one["disputed"])


def test_what_rows_since_the_start_refer_to_is_there_and_marked_and_nothing_else_is(town: Town) -> None:
    synced(town)
    assert town.differences() == []
    assert town.unproven() == []
    marked = {name for name in TABLES if name not in ("events", "tax_transactions") and older(town, name)}
    assert marked >= {"charges", "invoices", "invoice_lines", "invoice_taxes", "invoice_payments", "refunds"}
    assert marked >= {"balance_transactions", "balance_transaction_fees", "disputes"}
    for name in TABLES:
        scoped = RESOURCE_OF[name].name in {resource.name for resource in LANDED_IN}
        for row in town.held(name).values():
            assert row["_before_start"] is (scoped and row["created"] < BOOKS_AT)


def test_each_is_asked_for_once_and_counted(town: Town) -> None:
    town.forget_requests()
    report = town.sync()
    tables = report.accounts["us"].tables.values()
    assert sum(one.requests for one in tables) == sum(one.minimum for one in tables) == len(town.requests())
    by_id = {address: times for address, times in town.addresses().items() if address.count("_") and "ch_" in address}
    assert set(by_id) == {f"/v1/charges/{id}" for id in older(town, "charges")}
    assert set(by_id.values()) == {1}
    town.forget_requests()
    synced(town)
    assert len(town.requests()) == 17
    assert town.addresses().most_common(1)[0][1] == 1


def test_a_refund_of_an_old_sale_brings_the_sale_with_the_next_sync(town: Town) -> None:
    synced(town)
    sale = old_sale(town)
    town.act("refund", charge_id=sale["id"], amount=100)
    synced(town)
    assert sale["id"] in older(town, "charges")
    assert sale["balance_transaction"] in older(town, "balance_transactions")
    payment = next(
        one for one in town.held("invoice_payments").values() if one["payment_payment_intent"] == sale["payment_intent"]
    )
    assert payment["invoice"] in older(town, "invoices")
    assert town.held("charges")[sale["id"]]["amount_refunded"] == 100
    assert town.differences() == []


def test_an_old_object_that_changes_again_is_read_again(town: Town) -> None:
    synced(town)
    sale = old_sale(town)
    for amount in (100, 50):
        town.act("refund", charge_id=sale["id"], amount=amount)
        town.advance(hours=1)
        synced(town)
    assert town.held("charges")[sale["id"]]["amount_refunded"] == 150
    assert town.differences() == []


def test_a_dispute_older_than_the_books_that_is_lost_since_then_is_there(town: Town) -> None:
    sale = old_sale_before_any_sync(town)
    made = put_copy(town.store(), "dispute", charge=sale["id"], created=START - 86_400, status="under_review")
    town.store().change("dispute", made["id"], balance_transactions=[], payment_intent=sale["payment_intent"])
    synced(town)
    assert made["id"] not in town.held("disputes")
    town.store().change("dispute", made["id"], status="lost")
    town.store().emit("charge.dispute.closed", town.store().get("dispute", made["id"]))
    synced(town)
    assert town.held("disputes")[made["id"]]["status"] == "lost"
    assert sale["id"] in older(town, "charges")
    assert town.differences() == []


def old_sale_before_any_sync(town: Town) -> dict[str, Any]:
    old = [one for one in town.store().all("charge") if one["created"] < START]
    return next(one for one in old if one["paid"] and not one["refunded"] and not one["disputed"])


def test_a_full_sync_reads_them_again_and_changes_nothing(town: Town) -> None:
    synced(town)
    report = town.sync(full=True)
    assert report.problems == ()
    tables = report.accounts["us"].tables
    moved = {name for name, one in tables.items() if one.new or one.changed}
    assert moved <= {"events"}  # the tax report's own
    assert {name: one.requests - one.minimum for name, one in tables.items() if one.requests != one.minimum} == {}
    assert town.differences() == []


@pytest.mark.parametrize(
    "landed",
    [pytest.param(count, marks=() if count in (1, len(LANDED_IN) - 1) else pytest.mark.long) for count in range(8)],
)
def test_a_run_cut_off_between_two_landings_is_completed_by_the_next(
    town: Town, monkeypatch: pytest.MonkeyPatch, landed: int
) -> None:
    land, left = BeforeStart._land, [landed]

    def failing(self: BeforeStart, *arguments: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise Failed(Problem("disk_full", "lake", "no space", "make room"))
        return land(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(BeforeStart, "_land", failing)
        assert [problem.code for problem in town.sync().problems] in (["disk_full"], [])
    synced(town)
    assert town.differences() == []
    assert town.unproven() == []


def test_an_object_that_stripe_no_longer_has_is_asked_for_once(town: Town) -> None:
    refund = next(one for one in town.store().all("refund") if one["created"] >= START)
    town.store().change("refund", refund["id"], charge="ch_1Gone0000000000000000")
    synced(town)
    assert town.addresses()["/v1/charges/ch_1Gone0000000000000000"] == 1
    town.act("refund", charge_id=old_sale(town)["id"], amount=100)  # the file of the refunds is another one
    synced(town)
    assert town.addresses()["/v1/charges/ch_1Gone0000000000000000"] == 1


def test_an_invoice_sent_before_the_start_and_paid_after_it_is_found_through_its_payment(town: Town) -> None:
    store = town.store()
    payment = next(one for one in store.all("invoice_payment") if one["created"] >= START and one["status"] == "paid")
    intent = payment["payment"]["payment_intent"]
    for session in store.where("checkout.session", "payment_intent", intent):
        store.change("checkout.session", session["id"], payment_intent=None, invoice=None)
    for kind, id in (("invoice_payment", payment["id"]), ("invoice", payment["invoice"])):
        one = store.get(kind, id)
        assert one is not None
        store.remove(kind, id)
        store.put({**one, "created": START - 86_400})
    synced(town)
    assert payment["id"] in older(town, "invoice_payments")
    assert payment["invoice"] in older(town, "invoices")
    town.forget_requests()
    synced(town)
    assert len(town.requests()) == 17


def test_payouts_on_their_way_at_the_start_are_read_when_the_opening_balance_says_there_were_some(town: Town) -> None:
    store = town.store()
    payout = next(one for one in store.all("payout") if one["created"] < START)
    store.change("payout", payout["id"], arrival_date=START + 86_400)
    synced(town)
    assert older(town, "payouts") == set()
    text = town.config.read_text()
    town.config.write_text(
        text.replace('currency = "usd"\n', 'currency = "usd"\nopening = { usd = { transit = 1 } }\n')
    )
    town.act("refund", charge_id=old_sale(town)["id"], amount=100)
    synced(town)
    underway = {one["id"] for one in store.all("payout") if one["created"] < START <= one["arrival_date"]}
    assert older(town, "payouts") == underway >= {payout["id"]}
    town.forget_requests()
    synced(town)
    assert town.addresses()["/v1/payouts"] == 1


def test_one_table_alone_asks_for_nothing_older(town: Town) -> None:
    synced(town, tables=["refunds", "charges"])
    assert older(town, "charges") == set()
    synced(town)
    assert older(town, "charges")


def test_a_later_start_marks_what_was_before_it_only_when_all_is_read_again(make_town: MakeTown) -> None:
    town = make_town(checkouts=20, now=datetime(2026, 3, 28, tzinfo=UTC))
    synced(town)
    assert older(town, "charges") == set()
    town.config.write_text(town.config.read_text().replace("start = 2026-02-01", "start = 2026-03-01"))
    synced(town, full=True)
    old = {i for i, row in town.held("charges").items() if row["created"] < BOOKS_AT}
    assert older(town, "charges") == old != set()


def test_no_reference_dangles_but_those_of_the_old_objects_themselves(town: Town) -> None:
    synced(town)
    storage = open_storage(town.lake_uri)
    for name in ("refunds", "disputes", "credit_notes", "balance_transactions", "invoice_payments"):
        manifest, _ = read_manifest(storage, name, "us")
        subject = Subject(
            storage=storage,
            account="us",
            table=TABLES[name],
            manifest=manifest,
            now=town.now,
            livemode=True,
            highest=None,
        )
        found = examine(subject, [FOREIGN_KEYS])[FOREIGN_KEYS.name]
        assert found.grade is Grade.PASS
        assert not [fact for fact in found.facts if "charge" in fact and "older" in fact]
