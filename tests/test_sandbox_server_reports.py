"""Report runs of the Stripe stand-in: when they are ready, what they refuse, and what their CSV says."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from sandbox_hand_made import DAY, HandMade, Served, fresh, serving, transaction

SUMMARY = "balance_change_from_activity.summary.1"
TAX = "tax.transactions.itemized.2"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as one:
        yield one


@pytest.fixture
def hand_made(served: Served) -> HandMade:
    made = fresh(served)
    at = made.store.now - 12 * DAY
    made.store.put(transaction("txn_0", at - 20 * DAY, 1000, fee=30))
    made.store.put(transaction("txn_1", at, 10481, fee=344))
    made.store.put(transaction("txn_2", at + 5, -2000, type="refund", reporting_category="refund"))
    made.store.put(transaction("txn_3", at + 9, -5000, type="payout", reporting_category="payout"))
    made.store.put(transaction("txn_4", at + 9, 12345, currency="kwd"))
    return made


def interval(made: HandMade, type: str = SUMMARY) -> dict[str, int]:
    end = made.get(f"/v1/reporting/report_types/{type}")["data_available_end"]
    return {"interval_start": end - 15 * DAY, "interval_end": end}


def ran(made: HandMade, type: str, **parameters: Any) -> list[dict[str, str]]:
    """The rows of a run, waited for and downloaded as our code must."""
    made.control.reports(polls=0)
    runs = made.client().v1.reporting.report_runs
    run = runs.create({"report_type": type, "parameters": interval(made, type) | parameters})  # type: ignore[typeddict-item]
    assert run.status == "succeeded"
    assert run.result is not None
    url = str(run.result.url)
    assert url.startswith("https://files.stripe.com/v1/files/file_")
    answer, body = made.send("GET", url.removeprefix("https://files.stripe.com"))
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert len(body) == run.result.size
    return list(csv.DictReader(io.StringIO(body.decode())))


def test_a_run_is_pending_until_it_was_polled_and_an_event_says_when_it_is_done(hand_made: HandMade) -> None:
    runs = hand_made.client().v1.reporting.report_runs
    run = runs.create({"report_type": SUMMARY, "parameters": interval(hand_made)})
    assert (run.status, run.result) == ("pending", None)
    assert [runs.retrieve(run.id).status for _ in range(3)] == ["pending", "succeeded", "succeeded"]
    assert hand_made.get("/v1/events")["data"][0]["type"] == "reporting.report_run.succeeded"
    assert [one.id for one in runs.list().data] == [run.id]


def test_amounts_are_decimals_in_major_units_of_each_currency(hand_made: HandMade) -> None:
    rows = {(row["reporting_category"], row["currency"]): row for row in ran(hand_made, SUMMARY)}
    assert rows["charge", "usd"] == {
        "reporting_category": "charge",
        "currency": "usd",
        "count": "1",
        "gross": "108.25",
        "fee": "3.44",
        "net": "104.81",
    }
    assert rows["charge", "kwd"]["net"] == "12.345"
    assert rows["refund", "usd"]["gross"] == "-20.00"
    assert ("payout", "usd") not in rows
    payouts = ran(hand_made, "payouts.summary.1")
    assert [(row["reporting_category"], row["net"]) for row in payouts] == [("payout", "-50.00"), ("total", "-50.00")]
    assert rows["total", "usd"]["net"] == "84.81"


def test_the_balance_summary_ends_where_start_and_changes_lead(hand_made: HandMade) -> None:
    rows = [row for row in ran(hand_made, "balance.summary.1") if row["currency"] == "usd"]
    assert [(row["category"], row["net_amount"]) for row in rows] == [
        ("starting_balance", "10.00"),
        ("activity_gross", "88.25"),
        ("activity_fee", "-3.44"),
        ("activity", "84.81"),
        ("payouts_gross", "-50.00"),
        ("payouts_fee", "0.00"),
        ("payouts", "-50.00"),
        ("ending_balance", "44.81"),
    ]


def test_the_tax_report_prints_its_columns_metadata_and_local_times(hand_made: HandMade) -> None:
    at = int(datetime(2026, 1, 1, 0, 30, tzinfo=UTC).timestamp())
    hand_made.world.rows = [tax_row(interval(hand_made)["interval_start"] + 5), tax_row(at)]
    rows = ran(hand_made, TAX, columns=["id", "tax_amount", "filing_tax_amount", "invoice_metadata[order_id]"])
    assert rows == [
        {"id": "in_1", "tax_amount": "8.25", "filing_tax_amount": "825", "invoice_metadata[order_id]": "o-1"},
    ]
    whole = ran(hand_made, TAX, timezone="Asia/Tokyo", decimal_separator=",")[0]
    assert (whole["tax_amount"], whole["tax_rate"], whole["state_code"]) == ("8,25", "0.0825", "")
    utc = datetime.fromtimestamp(interval(hand_made)["interval_start"] + 5, UTC).replace(tzinfo=None)
    assert datetime.fromisoformat(whole["transaction_date"]) == utc + timedelta(hours=9)


def tax_row(at: int) -> dict[str, Any]:
    money = dict.fromkeys(("subtotal", "total", "taxable_amount", "non_taxable_amount"), 10000)
    filing = {f"filing_{name}": amount for name, amount in money.items() if name != "subtotal"}
    return {
        "id": "in_1",
        "transaction_date": at,
        "tax_date": at,
        "currency": "usd",
        "tax_amount": 825,
        "tax_rate": "0.0825",
        "state_code": None,
        "filing_currency": "jpy",
        "filing_tax_amount": 825,
        "invoice_metadata": {"order_id": "o-1"},
        **money,
        **filing,
    }


REFUSED = {
    "too late": ({"interval_end": 9_999_999_999}, "must lie within the available data"),
    "too early": ({"interval_start": 5}, "must lie within the available data"),
    "turned round": ({"interval_start": 9_999_999_999}, "must lie within the available data"),
    "an unknown column": ({"columns": ["colour"]}, "Invalid column"),
    "a foreign parameter": ({"payout": "po_1"}, "Received unknown parameter: parameters[payout]"),
    "an unknown zone": ({"timezone": "Mars/Base"}, "Invalid timezone: Mars/Base"),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_run_that_could_not_be_right_is_refused(hand_made: HandMade, case: str) -> None:
    more, words = REFUSED[case]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        hand_made.client().v1.reporting.report_runs.create(
            {"report_type": SUMMARY, "parameters": interval(hand_made) | more}  # type: ignore[typeddict-item]
        )
    assert caught.value.http_status == 400
    assert words in str(caught.value)


def test_the_data_lag_half_a_day_and_tax_a_whole_one(hand_made: HandMade) -> None:
    now = hand_made.sandbox.now()
    types = {one["id"]: one for one in hand_made.get("/v1/reporting/report_types")["data"]}
    half = DAY // 2  # cut-offs are at midnight and at noon
    assert types[SUMMARY]["data_available_end"] == (now - half) // half * half
    assert types[TAX]["data_available_end"] == (now - DAY) // half * half
    assert types[TAX]["default_columns"][:3] == ["id", "type", "line_item_id"]
    assert hand_made.error("/v1/reporting/report_types/sales.1")["status"] == 404


def test_a_test_mode_key_runs_no_report(hand_made: HandMade) -> None:
    client = hand_made.client("rk_test_sandbox_test")
    with pytest.raises(stripe.InvalidRequestError, match="live-mode key"):
        client.v1.reporting.report_runs.create({"report_type": SUMMARY, "parameters": interval(hand_made)})


def test_a_run_fails_and_a_file_expires_on_demand(hand_made: HandMade) -> None:
    hand_made.control.reports(polls=0, fail_next=1, files_expire_next=1)
    runs = hand_made.client().v1.reporting.report_runs
    failed = runs.create({"report_type": SUMMARY, "parameters": interval(hand_made)})
    assert failed.status == "failed"
    assert failed.error
    expired = runs.create({"report_type": SUMMARY, "parameters": interval(hand_made)})
    assert expired.result is not None
    assert hand_made.send("GET", f"/v1/files/{expired.result.id}/contents")[0].status == 404
    assert len(ran(hand_made, SUMMARY)) == 5


def test_a_file_wants_the_key_of_its_account(hand_made: HandMade) -> None:
    hand_made.control.reports(polls=0)
    run = hand_made.client().v1.reporting.report_runs.create(
        {"report_type": SUMMARY, "parameters": interval(hand_made)}
    )
    assert run.result is not None
    path = f"/v1/files/{run.result.id}/contents"
    assert hand_made.send("GET", path, Authorization="Bearer rk_test_sandbox_test")[0].status == 404
    assert hand_made.send("GET", path, Authorization="")[0].status == 401


def test_what_is_pending_is_done_when_time_has_passed(hand_made: HandMade) -> None:
    runs = hand_made.client().v1.reporting.report_runs
    hand_made.control.reports(polls=99)
    run = runs.create({"report_type": SUMMARY, "parameters": interval(hand_made)})
    hand_made.control.advance(hand_made.control.now() + timedelta(hours=1))
    assert runs.retrieve(run.id).status == "succeeded"
