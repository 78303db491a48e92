"""The world's own double-entry ledger knows every cent, and agrees with objects and reports."""

from collections import Counter, defaultdict
from datetime import UTC, datetime

import pytest
from sandbox_worlds import MONTHS, accounts, month_of, three_months

from sandbox.stripe.world import World


@pytest.fixture(scope="module")
def world() -> World:
    return three_months()


def test_the_ledger_and_the_objects_agree_on_revenue_and_israeli_vat(world: World) -> None:
    store = world.stores["il"]
    revenue: defaultdict[str, Counter[str]] = defaultdict(Counter)
    tax = Counter[str]()
    course = {p["id"]: p["metadata"]["course"] for p in store.all("product")}
    for invoice in store.all("invoice"):
        if invoice["status"] != "paid":
            continue
        month = f"{datetime.fromtimestamp(invoice['effective_at'], UTC):%Y-%m}"
        tax[month] += sum(t["amount"] for t in invoice["total_taxes"])
        for line in invoice["lines"]["data"]:
            less = sum(d["amount"] for d in line["discount_amounts"])
            revenue[month][course[line["pricing"]["price_details"]["product"]]] += line["amount"] - less
    for month in MONTHS:
        truth = world.truth("il", month)["currencies"]["ils"]
        assert truth["revenue"] == {slug: n for slug, n in sorted(revenue[month].items()) if n}
        notes_voided = [
            e for e in world.shops["il"].ledger.entries if e.event in ("credit_note_voided", "refund_failed")
        ]
        back = sum(leg.amount for e in notes_voided for leg in e.legs if leg.role == "tax" and month_of(e.at) == month)
        assert sum(row["collected"] for row in truth["tax"]) + back == tax[month]


def test_the_ledger_and_the_tax_report_agree_by_jurisdiction_and_month(world: World) -> None:
    sums: dict[tuple[str, str, str, str, str], Counter[str]] = defaultdict(Counter)
    for row in world.tax_rows("us"):
        place = (month_of(row["transaction_date"]), row["country_code"], row["state_code"] or "", row["tax_type"])
        sums[*place, row["currency"]]["collected" if row["tax_amount"] > 0 else "refunded"] += abs(row["tax_amount"])
    for month in MONTHS:
        for row in world.truth("us", month)["currencies"]["usd"]["tax"]:
            found = sums.pop((month, row["country"], row["state"], row["tax_type"], row["presentment_currency"]))
            net = row["presentment_collected"] - row["presentment_refunded"]
            assert found["collected"] - found["refunded"] == net
    assert not any(any(left.values()) for left in sums.values())


def test_the_ledgers_months_follow_on_one_another_and_end_in_the_balance(world: World) -> None:
    for name, store in accounts(world):
        opening = 0
        for month in MONTHS:
            truth = world.truth(name, month)["currencies"][store.default_currency]
            assert truth["opening_balance"] == opening
            opening = truth["closing_balance"]
            assert sum(role["closing"] for role in truth["roles"].values()) == 0
        assert opening == sum(row["net"] for row in store.all("balance_transaction"))


def test_what_is_in_flight_is_the_pending_delayed_payments(world: World) -> None:
    for name, store in accounts(world):
        waiting = [c["balance_transaction"] for c in store.all("charge") if c["status"] == "pending"]
        booked = sum(row["amount"] for row in store.all("balance_transaction") if row["id"] in waiting)
        truth = world.truth(name, "2026-11")["currencies"][store.default_currency]
        assert truth["closing_in_flight"] == -booked


def test_transit_is_what_payouts_have_not_brought_to_the_bank(world: World) -> None:
    for name, store in accounts(world):
        under_way = sum(p["amount"] for p in store.all("payout") if p["status"] in ("pending", "in_transit"))
        assert world.truth(name, "2026-11")["currencies"][store.default_currency]["closing_transit"] == under_way


def test_disputed_funds_are_the_withdrawn_and_undecided_ones(world: World) -> None:
    for name, store in accounts(world):
        undecided = [d for d in store.all("dispute") if d["status"] in ("needs_response", "under_review")]
        held = -sum(row["amount"] for d in undecided for row in d["balance_transactions"])
        assert world.truth(name, "2026-11")["currencies"][store.default_currency]["closing_disputed"] == held
