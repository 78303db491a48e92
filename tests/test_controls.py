"""Controls of real months: they pass where the books are right, say so where a side cannot be had, and miss no cent."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import controls_faults as plant
import polars as pl
import pytest
from controlled_months import Shop, by_status, failures, replanted, small_shops, with_frame
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redisu_pipeline.controls.inputs import ControlInputs
from redisu_pipeline.controls.model import Status
from redisu_pipeline.controls.outcome import MOST_NAMED, named
from redisu_pipeline.controls.run import CONTROLS, run
from redisu_pipeline.extract.figures_model import Figure, Figures, Standing, State
from redisu_pipeline.journals.model import external_id

WORK_LISTS = {"C6", "C8", "C12a", "C15", "C23"}
REPORTS = {"C3", "C3a", "C6", "C21"}


class World:
    """No dataclass: hypothesis would print all of it."""

    def __init__(self, shops: dict[str, Shop], months: dict[tuple[str, str], ControlInputs]) -> None:
        self.shops, self.months = shops, months

    def inputs(self, account: str = "us", month: str = "2026-03") -> ControlInputs:
        return self.months[account, month]


@pytest.fixture(scope="module")
def shop_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    shops = {shop.account.name: shop for shop in small_shops(tmp_path_factory.mktemp("controls"))}
    found = {(name, str(one.period)): one for name, shop in shops.items() for one in shop.months(plant.FEBRUARY, 2)}
    return World(shops, found)


@pytest.mark.parametrize("month", ["2026-02", "2026-03"])
@pytest.mark.parametrize("account", ["us", "il"])
def test_a_right_month_passes_every_control_and_lists_only_what_finance_supplies(
    shop_world: World, account: str, month: str
) -> None:
    rows = run(shop_world.inputs(account, month))
    assert by_status(rows, Status.FAIL, Status.WARN) == {}
    assert set(by_status(rows, Status.LIST)) <= WORK_LISTS
    assert {row.control for row in rows} == {control.id for control in CONTROLS}
    assert all(abs(row.difference) <= row.tolerance for row in rows if row.status is Status.PASS)


def test_the_controls_are_those_of_the_reference() -> None:
    assert {control.id for control in CONTROLS} == {f"C{number}" for number in range(1, 26)} | {"C3a", "C9a", "C12a"}


def test_the_same_inputs_give_the_same_rows_in_the_same_order(shop_world: World) -> None:
    inputs = shop_world.inputs()
    again = replace(inputs, lines=tuple(reversed(inputs.lines)), taxes=tuple(reversed(inputs.taxes)))
    assert run(inputs) == run(again)


def test_sides_say_what_they_hold(shop_world: World) -> None:
    """Clearing by hand: Σ net of the payments balance of both months, from the rows themselves."""
    inputs = shop_world.inputs()
    until = plant.rows(inputs, "transactions").filter(pl.col("period") <= inputs.books.month)
    row = next(row for row in run(inputs) if (row.control, row.scope) == ("C3", ""))
    assert row.left_amount == row.right_amount == Decimal(until["net"].sum()) / 100
    count = next(row for row in run(inputs) if row.scope == "balance transactions")
    assert count.left_amount == until.filter(pl.col("period") == inputs.books.month).height


# -- Stripe's figures -------------------------------------------------------------------------------------------------


def stated(inputs: ControlInputs, state: State, reason: str) -> Figures:
    standings = {figure: Standing(state, reason) for figure in Figure}
    return Figures(inputs.account.name, inputs.period, standings=standings)


@pytest.mark.parametrize("state", [State.UNAVAILABLE, State.NOT_READ])
def test_a_report_that_the_key_may_not_run_is_listed_and_does_not_block(shop_world: World, state: State) -> None:
    inputs = shop_world.inputs()
    rows = run(replace(inputs, figures=stated(inputs, state, "the key may not")))
    assert by_status(rows, Status.FAIL, Status.WARN) == {}
    listed = [row for rows in by_status(rows, Status.LIST).values() for row in rows]
    said = [row for row in listed if row.detail == "report unavailable: the key may not"]
    assert {row.control for row in said} == REPORTS


def test_without_figures_the_reports_are_listed_as_not_asked(shop_world: World) -> None:
    rows = run(replace(shop_world.inputs(), figures=None))
    assert {row.control for row in rows if "report unavailable: it was not asked" in row.detail} >= REPORTS
    assert not [row for row in rows if row.stops]


def test_a_late_report_blocks(shop_world: World) -> None:
    inputs = shop_world.inputs()
    rows = run(replace(inputs, figures=stated(inputs, State.LATE, "available to the 30th")))
    assert set(by_status(rows, Status.FAIL)) == REPORTS
    assert all(row.stops for row in by_status(rows, Status.FAIL)["C3"])
    late = [row for failed in by_status(rows, Status.FAIL).values() for row in failed]
    assert all((row.left_amount, row.right_amount, row.difference) == (0, 1, -1) for row in late)


def test_a_balance_report_that_ends_before_the_month_blocks(shop_world: World) -> None:
    inputs = shop_world.inputs()
    assert inputs.figures is not None
    early = replace(inputs.figures, data_available_end=inputs.period.bounds("UTC")[1] - timedelta(hours=1))
    assert set(failures(replace(inputs, figures=early))) == {"C21"}


def test_an_account_without_tax_report_closes_with_a_word_about_it(shop_world: World) -> None:
    rows = run(replace(shop_world.inputs(), tax_report_note="the key may not run reports"))
    row = next(row for row in rows if row.scope == "tax report")
    assert (row.status, row.detail) == (Status.LIST, "report unavailable: the key may not run reports")


# -- what else a month may be -----------------------------------------------------------------------------------------


def test_a_sandbox_month_passes_with_a_sandbox_key_and_without_one(shop_world: World) -> None:
    inputs = shop_world.inputs()
    books = inputs.books
    for name in ("transactions", "charges", "invoices", "refunds", "disputes", "payouts", "checkout_sessions"):
        books = with_frame(books, name, lambda frame: frame.with_columns(livemode=pl.lit(False)))
    for key in (False, None):
        assert failures(replace(inputs, books=books, key_livemode=key)) == {}
    assert set(failures(replace(inputs, books=books, key_livemode=True))) == {"C24"}


def test_an_empty_month_says_that_there_is_nothing_to_compare(shop_world: World) -> None:
    shop, inputs = shop_world.shops["us"], shop_world.inputs()
    books = inputs.books
    for name in books.frames:
        books = with_frame(books, name, lambda frame: frame.clear())
    empty = replace(replanted(shop, inputs, books), opening={}, figures=None, taxes=(), balances=())
    rows = run(replace(empty, previous_closing={}))
    assert not [row for row in rows if row.status in (Status.FAIL, Status.WARN)]
    assert {row.control for row in rows} == {control.id for control in CONTROLS}
    assert {"C1", "C3", "C7", "C12"} <= {row.control for row in rows if row.detail.startswith("nothing to compare")}


def test_a_late_change_of_a_locked_month_stands_in_the_balances_but_not_in_the_months_flows(shop_world: World) -> None:
    """A refund of February is found in March: Dr refunds, Cr clearing as a delta, and its booking in the lake."""
    inputs = shop_world.inputs()
    model = next(line for line in inputs.lines if line.gl_role == "clearing")
    id = external_id("us", "USD", plant.FEBRUARY, model.class_, 2, None)
    delta = replace(model, external_id=id, version=2, adjusts_period="2026-02", debit=None, credit=None)
    lines = [
        replace(delta, line=1, gl_role="revenue", gl_account="4000", debit=Decimal("7.00")),
        replace(delta, line=2, credit=Decimal("7.00")),
    ]
    sums = {**inputs.line_sums, (id, 1): 700, (id, 2): -700}
    first = plant.rows(inputs, "transactions").filter(period=202602, category="payout").head(1)
    late = first.with_columns(
        id=pl.lit("txn_late"), amount=pl.lit(-700), net=pl.lit(-700), fee=pl.lit(0), category=pl.lit("other_adjustment")
    ).cast(first.schema)
    books = with_frame(inputs.books, "transactions", lambda frame: pl.concat([frame, late]))
    found = replace(inputs, books=books, lines=[*inputs.lines, *lines], line_sums=sums, figures=None)
    assert set(failures(found)) == {"C4"}  # the snapshot was taken before
    without = replace(found, lines=inputs.lines, line_sums=inputs.line_sums)
    assert "C3" in failures(without)


def test_a_snapshot_that_the_bookings_do_not_reach_is_not_compared(shop_world: World) -> None:
    inputs = shop_world.inputs()
    row = next(row for row in run(replace(inputs, complete_until={})) if row.control == "C4")
    assert row.status is Status.LIST


def test_invoices_sent_by_hand_need_no_session_and_are_listed(shop_world: World) -> None:
    inputs = shop_world.inputs()
    session = plant.SESSION(inputs)
    invoice = plant.named(plant.SESSION, "checkout_sessions", "invoice")(inputs)
    books = with_frame(inputs.books, "checkout_sessions", lambda frame: plant.drops()(frame, session))
    books = with_frame(books, "invoices", lambda frame: plant.sets("sent", True)(frame, invoice))
    rows = run(replace(inputs, books=books))
    assert by_status(rows, Status.FAIL) == {}
    assert [invoice in row.detail for row in rows if row.scope == "invoices by hand"] == [True]


def test_the_first_month_lists_invoices_whose_session_is_from_before_the_books_began(shop_world: World) -> None:
    for month, status in (("2026-02", Status.LIST), ("2026-03", Status.FAIL)):
        inputs = shop_world.inputs(month=month)
        session = plant.SESSION(inputs)
        books = with_frame(inputs.books, "checkout_sessions", lambda frame, id=session: plant.drops()(frame, id))
        rows = [row for row in run(replace(inputs, books=books)) if row.control == "C15"]
        invoice = plant.named(plant.SESSION, "checkout_sessions", "invoice")(inputs)
        assert [row.status for row in rows if invoice in row.detail] == [status]


def test_a_detail_names_at_most_twenty_ids_and_counts_the_rest() -> None:
    ids = [f"txn_{number}" for number in range(1_030)]
    assert named(ids) == ", ".join(ids[:MOST_NAMED]) + " and 1,010 more"
    assert named(ids[:MOST_NAMED]) == ", ".join(ids[:MOST_NAMED])


# -- any cent ---------------------------------------------------------------------------------------------------------

OF_BOOKING = "transactions:amount transactions:fee transactions:net charges:amount"
OF_INVOICE = (
    "invoices:total invoices:total_excluding_tax invoices:tax_amount invoices:amount_paid "
    "invoice_lines:amount invoice_taxes:amount"
)
OF_RETURN = "refunds:amount disputes:amount payouts:amount fees:amount"


def concerned(inputs: ControlInputs, table: str) -> pl.DataFrame:
    """Return the rows of ``table`` that the month's books stand on, numbered by their place."""
    month = inputs.books.month
    moved = plant.rows(inputs, "transactions").filter(pl.col("period") == month)
    paid = plant.rows(inputs, "invoices").filter(period=month, status="paid").filter(pl.col("total") != 0)
    frame = plant.rows(inputs, table).with_row_index("place")
    if table in ("transactions", "payouts"):
        return frame.filter(pl.col("period") == month)
    if table == "invoices":
        return frame.join(paid.select("id"), on="id", how="semi")
    if table.startswith("invoice_"):
        return frame.join(paid.select(invoice="id"), on="invoice", how="semi")
    if table == "fees":
        return frame.join(moved.select(transaction="id"), on="transaction", how="semi")
    return frame.join(moved.select(id="source"), on="id", how="semi")


def breaks_nothing(world: World, account: str, target: str, choice: int, cent: int) -> str:
    """Return what was changed, where a change of one cent breaks no control; else nothing."""
    table, _, column = target.partition(":")
    inputs = world.inputs(account, "2026-02" if table == "disputes" else "2026-03")
    rows = concerned(inputs, table)
    place = rows.sort("place")["place"][choice % rows.height]
    at = pl.int_range(pl.len()) == place
    books = with_frame(
        inputs.books, table, lambda frame: frame.with_columns(pl.when(at).then(pl.col(column) + cent).otherwise(column))
    )
    changed = replanted(world.shops[account], inputs, books)
    return "" if failures(changed) else f"{account} {target} row {place}: {rows.filter(place=place).rows(named=True)}"


cents = {
    "account": st.sampled_from(["us", "il"]),
    "target": st.sampled_from(f"{OF_BOOKING} {OF_INVOICE} {OF_RETURN}".split()),
    "choice": st.integers(0, 10_000),
    "cent": st.sampled_from([1, -1]),
}
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@settings(UNHURRIED, max_examples=25, derandomize=True)
@given(**cents)
def test_no_cent_moves_without_a_control_that_fails(
    shop_world: World, account: str, target: str, choice: int, cent: int
) -> None:
    assert breaks_nothing(shop_world, account, target, choice, cent) == ""


@pytest.mark.long
@settings(UNHURRIED, max_examples=1_000)
@given(**cents)
def test_no_cent_of_a_thousand_moves_without_a_control_that_fails(
    shop_world: World, account: str, target: str, choice: int, cent: int
) -> None:
    assert breaks_nothing(shop_world, account, target, choice, cent) == ""
