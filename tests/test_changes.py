"""Which objects are read again, and how: each named one exactly once, with as few requests as possible."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redisu_pipeline.extract.changes import Touched, is_due, plan, silent_columns, touched
from redisu_pipeline.tables.registry import BY_OBJECT, RESOURCES

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
ids = st.integers(0, 10_000).map(lambda number: f"ch_{number}")
objects = st.lists(st.tuples(ids, st.one_of(st.none(), st.integers(0, 500))), unique_by=lambda one: one[0])


def event(kind: str, object_id: str, **fields: Any) -> dict[str, Any]:
    empty = {"data_object_created": None, "data_object_charge": None, "data_object_invoice": None}
    return {"data_object_object": kind, "data_object_id": object_id, **empty, **fields}


@given(objects, st.lists(st.integers(0, 500), max_size=400))
def test_a_plan_reaches_every_object_and_never_costs_more_than_asking_one_by_one(
    wanted: list[tuple[str, int | None]], lake: list[int]
) -> None:
    rows = sorted([*lake, *(second for _, second in wanted if second is not None)])

    def between(lo: int, hi: int) -> int:
        return sum(lo <= second < hi for second in rows)

    made = plan([Touched(*one) for one in wanted], between)
    listed = [s for s in made.spans if s.hi is not None]
    for object_id, created in wanted:
        by_span = created is not None and any(s.lo <= created < (s.hi or 0) for s in listed)
        assert by_span or object_id in made.ids
    assert len(set(made.ids)) == len(made.ids)
    assert set(made.ids) <= {object_id for object_id, _ in wanted}
    cost = len(made.ids) + sum(max(1, -(-between(s.lo, s.hi or 0) // 100)) for s in listed)
    assert cost <= len(wanted)


def test_a_crowd_made_at_one_time_is_listed_and_a_lonely_one_is_asked_for() -> None:
    crowd = [Touched(f"ch_{n}", 1_000 + n) for n in range(50)]
    made = plan([*crowd, Touched("ch_old", 5), Touched("ch_undated", None)], lambda lo, hi: hi - lo)
    assert [(s.lo, s.hi) for s in made.spans] == [(1_000, 1_050)]
    assert set(made.ids) == {"ch_old", "ch_undated"}


def test_an_event_names_its_object_and_those_it_changes_by_the_way() -> None:
    events = [
        event("charge", "ch_1", data_object_created=NOW),
        event("refund", "re_1", data_object_charge="ch_2"),
        event("dispute", "du_1", data_object_charge="ch_1"),
        event("credit_note", "cn_1", data_object_invoice="in_1"),
        event("invoice_payment", "inpay_1", data_object_invoice="in_2"),
    ]
    charges = touched(BY_OBJECT["charge"], events)
    assert charges == [Touched("ch_1", int(NOW.timestamp())), Touched("ch_2", None)]
    assert {one.id for one in touched(BY_OBJECT["invoice"], events)} == {"in_1", "in_2"}
    assert touched(BY_OBJECT["payout"], events) == []


def test_the_time_an_object_was_made_is_kept_whatever_order_events_come_in() -> None:
    named, dated = event("refund", "re_1", data_object_charge="ch_1"), event("charge", "ch_1", data_object_created=NOW)
    for order in ([named, dated], [dated, named]):
        assert touched(BY_OBJECT["charge"], order) == [Touched("ch_1", int(NOW.timestamp()))]


@pytest.mark.parametrize(
    ("fields", "due"),
    [
        ({}, True),
        ({"status": "available"}, False),
        ({"available_on": NOW + timedelta(seconds=1)}, False),
        ({"_deleted_at": NOW}, False),
    ],
)
def test_a_pending_transaction_is_due_once_its_day_has_come(fields: dict[str, Any], due: bool) -> None:
    row = {"status": "pending", "available_on": NOW, "created": NOW, "_deleted_at": None, **fields}
    assert is_due(BY_OBJECT["balance_transaction"], row, NOW) is due


@pytest.mark.parametrize(
    ("fields", "due"),
    [
        ({}, True),
        ({"invoice": "in_1"}, False),
        ({"status": "open"}, False),
        ({"payment_status": "unpaid"}, False),
        ({"invoice_creation_enabled": False}, False),
        ({"created": NOW - timedelta(days=31)}, False),
    ],
)
def test_a_paid_session_waits_for_its_invoice_for_a_month(fields: dict[str, Any], due: bool) -> None:
    paid = {"invoice": None, "status": "complete", "payment_status": "paid", "invoice_creation_enabled": True}
    row = {**paid, "created": NOW - timedelta(hours=1), "_deleted_at": None, **fields}
    assert is_due(BY_OBJECT["checkout.session"], row, NOW) is due


def test_every_silent_change_names_columns_that_exist() -> None:
    for resource in RESOURCES:
        if resource.silent is not None:
            own = {column.name for column in resource.table.columns}
            assert set(silent_columns(resource)) <= own | {"_deleted_at"}
