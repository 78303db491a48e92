"""Single events of netsuite-journals.md §2.3 that a golden month has no room for, each as an accountant writes it."""

from __future__ import annotations

from typing import Any

import pytest
from paper_books import Paper, at, dated, journal, short

from redisu_pipeline.common.periods import Month
from redisu_pipeline.journals.transactions import RESERVE

OCTOBER, NOVEMBER = Month(2026, 10), Month(2026, 11)


def lines(paper: Paper, month: Month = OCTOBER) -> list[str]:
    derived, found = journal(paper.books(month))
    assert derived.blocked == ()
    return [short(line) for line in found.lines]


def sold(paper: Paper, day: str = "10-05", paid: str | None = None, **invoice: Any) -> None:
    """An invoice over 100.00 of course 101; its charge and money where ``paid`` names the day."""
    paper.put("products", id="prod_1", metadata_course="redis-101")
    row = {"total": 100_00, "total_excluding_tax": 100_00, "tax_amount": 0, "amount_paid": 100_00, **invoice}
    paper.put("invoices", id="in_1", currency="USD", **dated(at(day)), **row)
    paper.put("invoice_lines", id="il_1", invoice="in_1", created=at(day), amount=row["total"], product="prod_1")
    if paid:
        money = row["amount_paid"] - row.get("amount_paid_off_stripe", 0)
        paper.transaction("txn_1", at(paid), "charge", money, source="ch_1")
        paper.put("charges", id="ch_1", currency="USD", amount=money, amount_captured=money, payment_intent="pi_1")
        paper.put("invoice_payments", invoice="in_1", payment_intent="pi_1", charge="ch_1")


def test_3_an_invoice_whose_money_comes_in_the_next_month_is_in_flight() -> None:
    paper = Paper()
    sold(paper, "10-31", paid="11-01")
    assert lines(paper) == ["SALES USD 4000 redis-101 cr 100.00", "SALES USD 1155 dr 100.00"]
    assert lines(paper, NOVEMBER) == ["SALES USD 1155 cr 100.00", "SALES USD 1150 dr 100.00"]


def test_3_money_whose_invoice_comes_in_the_next_month_is_in_flight_the_other_way() -> None:
    paper = Paper()
    sold(paper, "11-01", paid="10-31")
    assert lines(paper) == ["SALES USD 1155 cr 100.00", "SALES USD 1150 dr 100.00"]
    assert lines(paper, NOVEMBER) == ["SALES USD 4000 redis-101 cr 100.00", "SALES USD 1155 dr 100.00"]


def test_7_a_delayed_payment_that_fails_is_reversed() -> None:
    paper = Paper()
    paper.put("charges", id="py_1", currency="USD", amount=100_00, amount_captured=100_00, payment_intent="pi_1")
    paper.transaction("txn_1", at("10-30"), "charge", 100_00, type="payment", source="py_1")
    paper.transaction("txn_2", at("11-04"), "charge_failure", -100_00, type="payment_failure_refund", source="py_1")
    assert lines(paper) == ["SALES USD 1155 cr 100.00", "SALES USD 1150 dr 100.00"]
    assert lines(paper, NOVEMBER) == ["SALES USD 1155 dr 100.00", "SALES USD 1150 cr 100.00"]


def dispute(paper: Paper, status: str, **row: Any) -> None:
    paper.put("disputes", id="dp_1", charge="ch_1", amount=118_00, currency="USD", status=status, **row)
    paper.transaction("txn_do", at("10-14"), "dispute", -118_00, type="adjustment", fee=15_00, source="dp_1")
    paper.put("fees", transaction="txn_do", amount=15_00, type="stripe_fee")


def test_9_and_10_a_countered_fee_in_a_row_of_its_own_is_a_fee_and_nothing_is_won_twice() -> None:
    """stripe.md §8.1: countering costs another fee, returned on a win; how Stripe books it is not known for sure."""
    paper = Paper()
    dispute(paper, "won")
    for name, day, category, fee in (("dc", "10-20", "dispute", 15_00), ("dr", "11-09", "dispute_reversal", -15_00)):
        paper.transaction(f"txn_{name}", at(day), category, 0, type="adjustment", fee=fee, source="dp_1")
        paper.put("fees", transaction=f"txn_{name}", amount=fee, type="stripe_fee")
    paper.transaction("txn_dw", at("11-09"), "dispute_reversal", 118_00, type="adjustment", source="dp_1")
    assert lines(paper) == [
        "DISPUTES USD 6120 dr 30.00",
        "DISPUTES USD 1170 dr 118.00",
        "DISPUTES USD 1150 cr 148.00",
    ]
    assert lines(paper, NOVEMBER) == [
        "DISPUTES USD 6120 cr 15.00",
        "DISPUTES USD 1170 cr 118.00",
        "DISPUTES USD 1150 dr 133.00",
    ]


def test_10_a_dispute_won_at_another_rate_leaves_an_exchange_difference() -> None:
    paper = Paper()
    paper.put("disputes", id="dp_1", charge="ch_1", amount=100_00, currency="EUR", status="won")
    for name, category, amount, rate in (("do", "dispute", -108_00, 108), ("dw", "dispute_reversal", 110_00, 110)):
        paper.transaction(f"txn_{name}", at("10-14"), category, amount, source="dp_1", rate_e8=rate * 10**6)
    assert lines(paper) == [
        "DISPUTES USD 7100 cr 2.00",
        "DISPUTES USD 1170 cr 108.00",
        "DISPUTES USD 1170 dr 108.00",
        "DISPUTES USD 1150 cr 108.00",
        "DISPUTES USD 1150 dr 110.00",
    ]


def test_11_a_lost_dispute_has_no_money_and_its_loss_is_the_months_in_which_it_ended() -> None:
    paper = Paper()
    dispute(paper, "lost", closed_period=202611)
    assert lines(paper, NOVEMBER) == ["DISPUTES USD 6200 dr 118.00", "DISPUTES USD 1170 cr 118.00"]


@pytest.mark.parametrize("ours", [False, True])
def test_13_and_14_a_payout_that_arrived_and_came_back_a_month_later(*, ours: bool) -> None:
    paper = Paper(bank_leg=ours)
    paper.transaction("txn_p", at("10-29"), "payout", -90_00, source="po_1")
    paper.transaction("txn_f", at("11-04"), "payout_reversal", 90_00, type="payout_failure", source="po_1")
    paper.put("payouts", id="po_1", currency="USD", amount=90_00, status="failed", period=202610,
              arrival_period=202610, failure_period=202611)  # fmt: skip
    bank = ["PAYOUTS USD 1160 cr 90.00"] if ours else []
    arrived = ["PAYOUTS USD 1010 dr 90.00"] if ours else []
    assert lines(paper) == [*bank, "PAYOUTS USD 1160 dr 90.00", *arrived, "PAYOUTS USD 1150 cr 90.00"]
    back = "1010" if ours else "1160"
    assert lines(paper, NOVEMBER) == [f"PAYOUTS USD {back} cr 90.00", "PAYOUTS USD 1150 dr 90.00"]


def test_18_a_hold_of_two_rows_and_one_of_one_row_both_move_the_reserve_once() -> None:
    paper = Paper()
    paper.transaction("txn_1", at("10-05"), RESERVE[0], -70_00)
    paper.transaction("txn_2", at("10-05"), RESERVE[0], 70_00, balance_type="risk_reserved")
    paper.transaction("txn_3", at("10-06"), "payout_minimum_balance_hold", -5_00)
    assert lines(paper) == ["RESERVES USD 1151 dr 75.00", "RESERVES USD 1150 cr 75.00"]


def test_19_a_debit_of_our_bank_for_a_negative_balance() -> None:
    paper = Paper()
    paper.transaction("txn_1", at("10-05"), "payout", 40_00, source="po_1")
    paper.put("payouts", id="po_1", currency="USD", amount=-40_00, status="paid", period=202610)
    assert lines(paper) == ["PAYOUTS USD 1160 cr 40.00", "PAYOUTS USD 1150 dr 40.00"]


def test_20_what_was_paid_outside_stripe_is_a_receivable_there() -> None:
    paper = Paper()
    sold(paper, paid="10-05", amount_paid_off_stripe=30_00)
    assert lines(paper) == [
        "SALES USD 4000 redis-101 cr 100.00",
        "SALES USD 1156 dr 30.00",
        "SALES USD 1150 dr 70.00",
    ]


def test_21_what_was_paid_too_much_is_owed_to_the_customer() -> None:
    paper = Paper()
    sold(paper, paid="10-05", amount_paid=110_00, amount_overpaid=10_00)
    assert lines(paper) == [
        "SALES USD 4000 redis-101 cr 100.00",
        "SALES USD 2100 cr 10.00",
        "SALES USD 1150 dr 110.00",
    ]


def test_22_an_invoice_over_nothing_books_nothing() -> None:
    paper = Paper()
    sold(paper, total=0, total_excluding_tax=0, amount_paid=0)
    assert lines(paper) == []


def test_24_an_adjustment_blocks_until_finance_maps_it() -> None:
    paper = Paper()
    paper.transaction("txn_1", at("10-05"), "other_adjustment", -3_10, type="adjustment", description="Goodwill")
    derived, _ = journal(paper.books(OCTOBER))
    assert [(one.kind, one.ids) for one in derived.blocked] == [("category", ("txn_1",))]
    paper.mapping = {"other_adjustment": "adjustments"}
    assert lines(paper) == ["ADJ USD 7900 dr 3.10", "ADJ USD 1150 cr 3.10"]


@pytest.mark.parametrize(
    ("category", "kind", "account"),
    [("fee", "stripe_fee", "6110"), ("tax", "tax_fee", "1300"), ("fee", "stripe_fx_fee", "6130")],
)
def test_15_to_17_fees_in_rows_of_their_own_cost_their_amount(category: str, kind: str, account: str) -> None:
    paper = Paper()
    paper.transaction("txn_1", at("10-05"), category, -7_77, type=kind)
    assert lines(paper) == [f"FEES USD {account} dr 7.77", "FEES USD 1150 cr 7.77"]


def test_8_credit_without_money_and_its_voiding() -> None:
    """8a to the customer's balance, 8b outside Stripe; 8c the first is voided a month later."""
    paper = Paper()
    sold(paper, "10-05", paid="10-05")
    void = {"status": "void", "voided_at": at("11-02"), "void_period": 202611, "void_day": dated(at("11-02"))["day"]}
    paper.put("credit_notes", id="cn_1", invoice="in_1", total=40_00, to_balance=True, **dated(at("10-08")), **void)
    paper.put("credit_notes", id="cn_2", invoice="in_1", total=25_00, **dated(at("10-09")))
    assert [line for line in lines(paper) if line.startswith("REFUNDS")] == [
        "REFUNDS USD 4900 redis-101 dr 65.00",
        "REFUNDS USD 2100 cr 40.00",
        "REFUNDS USD 2110 cr 25.00",
    ]
    assert lines(paper, NOVEMBER) == ["REFUNDS USD 4900 redis-101 cr 40.00", "REFUNDS USD 2100 dr 40.00"]
