"""Every control fails for the fault that it is for, and names the ids: faults planted one at a time."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import controls_faults as plant
import polars as pl
import pytest
from controlled_months import Shop, failures, small_shops
from controls_faults import CENT, CHARGE, CONVERTED, PAID, SESSION, WITH_FEE, Fault, first, in_lake, named

from redisu_pipeline.controls.inputs import ControlInputs

BT, REFUND_ROW, PAYOUT_ROW = "transactions", "refund", "payout"
REFUND = plant.of_transaction("refunds", "id", "refund", "id", pl.col("rate_e8").is_null())
FOREIGN_REFUND = plant.of_transaction("refunds", "id", "refund", "id", pl.col("rate_e8").is_not_null())
CHARGED = plant.of_transaction("charges", "id", "charge", "id", pl.col("rate_e8").is_null())
CHARGED_ABROAD = plant.of_transaction("charges", "id", "charge", "id", pl.col("rate_e8").is_not_null())
DISPUTE = plant.of_transaction("disputes", "id", "dispute")
PAYOUT = plant.of_transaction("payouts", "id", "payout")
PAYOUT_BOOKED = first(BT, pl.col("category") == "payout")
FEE_ROW = first(BT, pl.col("type") == "stripe_fee")
NEXT, BEFORE = 202604, 202602

FAULTS = (
    # a cent moved
    Fault("a cent of a line", "C1 C2 C3", plant.in_lines(plant.cent_of_clearing), "C1"),
    Fault("a cent of a booking's amount", "C5", in_lake(BT, plant.adds("amount"), CHARGE), "C5"),
    Fault("a cent of a booking's net", "C5 C3", in_lake(BT, plant.adds("net"), CHARGE), "C5"),
    Fault("a cent of amount and net", "C3 C3a C9", in_lake(BT, plant.adds("amount net"), CHARGE)),
    Fault("a cent of a fee detail", "C5", in_lake("fees", plant.adds("amount", key="transaction"), WITH_FEE), "C5"),
    Fault("a cent of a charge", "C9 C18", in_lake("charges", plant.adds("amount"), CHARGED), "C18"),
    Fault("a cent of what was paid", "C9", in_lake("invoices", plant.adds("amount_paid"), PAID), "C9"),
    Fault("a cent of an invoice's net", "C9a C10", in_lake("invoices", plant.adds("total_excluding_tax"), PAID), "C9a"),
    Fault(
        "a cent of an invoice line",
        "C9a C10",
        plant.plus(
            in_lake("invoice_lines", plant.adds("amount"), plant.of_invoice("invoice_lines", "id")),
            named(plant.of_invoice("invoice_lines", "id"), "invoice_lines", "invoice"),
        ),
        "C9a",
    ),
    Fault(
        "a cent of an invoice's tax",
        "C9a C12",
        in_lake("invoice_taxes", plant.adds("amount", key="invoice"), plant.of_invoice("invoice_taxes", "invoice")),
        "C9a",
    ),
    Fault("a cent of a refund", "C11", in_lake("refunds", plant.adds("amount"), REFUND), "C11"),
    Fault("a cent of a dispute", "C13", in_lake("disputes", plant.adds("amount"), DISPUTE), "C13", "2026-02"),
    Fault("a cent of a payout", "C7", in_lake("payouts", plant.adds("amount"), PAYOUT)),
    Fault("a cent of reported tax", "C12", plant.changed(taxes=plant.cent_of_tax)),
    Fault("a cent of a payout's contents", "C6", plant.changed(figures=plant.cent_of_payout)),
    Fault("a cent of Stripe's ending balance", "C3", plant.changed(figures=plant.cent_of_report)),
    Fault("a cent of what Stripe holds", "C4", plant.changed(balances=plant.cent_held)),
    Fault("a cent of last month's closing", "C3", plant.changed(previous_closing=lambda _: {"USD": CENT})),
    # a row dropped
    Fault("a booking dropped", "C3 C3a C4", in_lake(BT, plant.drops(), CHARGE)),
    Fault("a posting of a fee dropped", "C5", plant.in_postings(plant.without_clearing_of_a_fee)),
    Fault("a posting of a booking dropped", "C16", plant.in_postings(lambda postings: postings[1:])),
    Fault("a line dropped", "C1 C2", plant.in_lines(plant.without_line), "C1"),
    Fault("a charge dropped", "C9", in_lake("charges", plant.drops(), CHARGED)),
    Fault(
        "an invoice dropped",
        "C15",
        plant.plus(in_lake("invoices", plant.drops(), named(SESSION, "checkout_sessions", "invoice")), SESSION),
        "C15",
    ),
    Fault(
        "an invoice payment dropped",
        "C9",
        in_lake(
            "invoice_payments",
            plant.drops("payment_intent"),
            named(CHARGED, "charges", "payment_intent"),
        ),
    ),
    Fault(
        "a session dropped",
        "C15",
        plant.plus(
            in_lake("checkout_sessions", plant.drops(), SESSION), named(SESSION, "checkout_sessions", "invoice")
        ),
        "C15",
    ),
    Fault(
        "a session without invoice", "C15", in_lake("checkout_sessions", plant.sets("invoice", None), SESSION), "C15"
    ),
    Fault("a fee detail dropped", "C5", in_lake("fees", plant.drops("transaction"), WITH_FEE), "C5"),
    Fault("an invoice's lines dropped", "C9a C10", in_lake("invoice_lines", plant.drops("invoice"), PAID), "C9a"),
    Fault("a refund dropped", "C11 C17", in_lake("refunds", plant.drops(), REFUND), "C17"),
    Fault("a dispute dropped", "C13", in_lake("disputes", plant.drops(), DISPUTE), "C13", "2026-02"),
    Fault("a payout dropped", "C7", in_lake("payouts", plant.drops(), PAYOUT), "C7"),
    Fault("a sale's booking dropped", "C16", in_lake(BT, plant.drops(), CHARGE), "C16"),
    Fault("a payout's booking dropped", "C3 C7 C6", in_lake(BT, plant.drops(), PAYOUT_BOOKED)),
    Fault("a row of Stripe's report dropped", "C3a", plant.changed(figures=plant.row_of_report)),
    # a row doubled
    Fault("a booking doubled", "C16 C3", in_lake(BT, plant.doubles, CHARGE), "C16"),
    Fault("a posting doubled", "C16", plant.in_postings(lambda postings: pl.concat([postings, postings]))),
    Fault("the same journal under two ids", "C16", plant.in_lines(plant.same_content_twice), "C16"),
    Fault("an exported id with other content", "C16", plant.exported_otherwise, "C16"),
    Fault("exported content under another id", "C16", plant.exported_under_another_id, "C16"),
    # shifted over the month's end
    Fault("a booking shifted out", "C3 C3a", in_lake(BT, plant.sets("period", NEXT), CHARGE)),
    Fault("a payout's booking shifted out", "C3a C7", in_lake(BT, plant.sets("period", NEXT), PAYOUT_BOOKED)),
    Fault("an invoice shifted out", "C12", in_lake("invoices", plant.sets("period", NEXT), PAID)),
    # exponents and signs
    Fault("a charge × 100", "C9", in_lake("charges", plant.times("amount", 100), CHARGED_ABROAD)),
    Fault("a converted booking × 100", "C18 C3", in_lake(BT, plant.times("amount net", 100), CONVERTED), "C18"),
    Fault(
        "a converted booking at another rate", "C18 C10 C19", in_lake(BT, plant.times("rate_e8", 2), CONVERTED), "C18"
    ),
    Fault(
        "a refund with the wrong sign",
        "C3 C3a",
        in_lake(BT, plant.times("amount net", -1), first(BT, pl.col("category") == "refund")),
    ),
    Fault("a fee row with the wrong sign", "C3 C3a C4", in_lake(BT, plant.times("amount net", -1), FEE_ROW)),
    Fault(
        "a converted refund off its rate", "C11", in_lake("refunds", plant.times("amount", 3), FOREIGN_REFUND), "C11"
    ),
    Fault(
        "an exchange difference of the journals",
        "C18",
        plant.in_line("fx", debit=lambda _: Decimal(999), credit=lambda _: None),
    ),
    Fault(
        "more refunded than captured",
        "C11",
        in_lake("charges", plant.sets("amount_captured", 1), named(REFUND, "refunds", "charge")),
        "C11",
    ),
    Fault("a line on both sides", "C1", plant.in_line("revenue", debit=lambda _: CENT), "C1"),
    Fault(
        "a line with three decimals",
        "C1",
        plant.in_line("revenue", credit=lambda line: line.credit + Decimal("0.001")),
        "C1",
    ),
    # what has no place
    Fault("an unmapped category", "C17 C16", plant.unmapped, "C17"),
    Fault("a line without account", "C17", plant.in_line("revenue", gl_account=lambda _: ""), "C17"),
    Fault(
        "a line of another subsidiary", "C1 C17 C24", plant.in_line("revenue", subsidiary=lambda _: "Other Ltd."), "C1"
    ),
    Fault("a currency without a rate", "C18", plant.in_line("revenue", currency=lambda _: "EUR")),
    Fault("a test-mode row", "C24", in_lake("charges", plant.sets("livemode", False), CHARGED), "C24"),
    Fault(
        "a test-mode row, without a key",
        "C24",
        lambda shop, inputs: in_lake("charges", plant.sets("livemode", False), CHARGED)(
            shop, replace(inputs, key_livemode=None)
        ),
        "C24",
    ),
    Fault("an object of a test clock", "C24", in_lake("invoices", plant.sets("test_clock", "clock_1"), PAID), "C24"),
    # time
    Fault("a table that is late", "C21", plant.changed(complete_until=plant.late_table)),
    Fault("a lag that is not over", "C21", plant.changed(lag=lambda _: timedelta(days=60))),
    Fault("a locked month that changed", "C22", plant.changed(versions=plant.off_by_one_version)),
    # balances that only open
    Fault(
        "an opening reserve from nowhere",
        "C25",
        plant.changed(opening=lambda one: {**one.opening, ("USD", "reserve"): 5}),
    ),
    Fault(
        "opening deferred revenue from nowhere",
        "C20",
        plant.changed(opening=lambda one: {**one.opening, ("USD", "deferred"): 5}),
    ),
    Fault(
        "an opening dispute from nowhere",
        "C13",
        plant.changed(opening=lambda one: {**one.opening, ("USD", "disputed"): 5}),
    ),
    Fault(
        "a fee in the journals from nowhere", "C14", plant.in_line("fee_processing", debit=lambda line: line.debit + 1)
    ),
)


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, dict[str, ControlInputs]]:
    shop = small_shops(tmp_path_factory.mktemp("faults"), ("us",))[0]
    found = shop.months(plant.FEBRUARY, 2)
    return shop, {str(one.period): one for one in found}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_fails_its_controls_and_is_named(
    fault: Fault, months: tuple[Shop, dict[str, ControlInputs]]
) -> None:
    shop, by_month = months
    inputs, ids = fault.plant(shop, by_month[fault.month])
    failed = failures(inputs)
    assert set(fault.controls.split()) <= set(failed), f"only {sorted(failed)}"
    if fault.naming:
        said = " ".join(row.detail for row in failed[fault.naming])
        assert all(id in said for id in ids), said


def test_every_control_that_compares_has_a_fault_that_breaks_it() -> None:
    comparing = {f"C{number}" for number in range(1, 26)} | {"C3a", "C9a"}
    only_lists = {"C8", "C23"}
    assert {control for fault in FAULTS for control in fault.controls.split()} == comparing - only_lists
