"""The CSV of a balance report as rows: exact in every currency, refused with line and column when not right."""

from __future__ import annotations

import json
from typing import Any

import pytest

from redisu_pipeline.common.periods import Month
from redisu_pipeline.extract.balance_rows import ReportFacts, balance_rows
from redisu_pipeline.extract.csv_file import Unreadable

BEGIN, END = Month(2026, 2).unix()
HEADS = {
    "balance.summary.1": "category,description,net_amount,currency\n",
    "payouts.summary.1": "reporting_category,currency,count,gross,fee,net\n",
}


def parsed(report: str, *lines: str) -> list[Any]:
    facts = ReportFacts("2026-02", report, BEGIN, BEGIN, END, "frr_1", "reports/x.csv")
    return balance_rows([HEADS[report], *(f"{line}\n" for line in lines)], facts)


def test_amounts_become_minor_units_by_stripes_exponents() -> None:
    rows = parsed("payouts.summary.1", "payout,JPY,1,-1200,0,-1200", "payout,kwd,2,-12.345,0.5,-12.845")
    values = [json.loads(row.values) for row in rows]
    assert [(one["currency"], one["net"], one["fee"]) for one in values] == [("jpy", -1200, 0), ("kwd", -12845, 500)]


@pytest.mark.parametrize(
    ("report", "lines", "words"),
    [
        ("payouts.summary.1", ["payout,usd,1,-10.00,0.00,-9.00"], "line 2: net of payout in usd is not gross − fee"),
        ("payouts.summary.1", ["payout,usd,1,1,0,1", "payout,usd,1,1,0,1"], "line 3, column reporting_category"),
        ("payouts.summary.1", ["payout,usd,1,1,0,1", "total,usd,2,1,0,1"], "line 3, column count: is not the sum"),
        ("payouts.summary.1", ["payout,usd,1.5,1,0,1"], "line 2, column count: '1.5' is not a whole number"),
        ("payouts.summary.1", ['payout,usd,1,"1,000",0,1000'], "line 2, column gross: '1,000' is not a decimal"),
        ("payouts.summary.1", ["payout,usd,1,1.005,0,1.005"], "line 2, column gross: 1.005 USD has more than 2"),
        ("payouts.summary.1", ["payout,,1,1,0,1"], "line 2, column currency: is empty"),
        ("payouts.summary.1", ["payout,usd,1,1"], "line 2: has 4 cells where the header has 6"),
        (
            "balance.summary.1",
            ["starting_balance,,1,usd"],
            "the row activity, payouts, ending_balance of usd is missing",
        ),
        (
            "balance.summary.1",
            ["starting_balance,,1,usd", "activity,,1,usd", "payouts,,0,usd", "ending_balance,,3,usd"],
            "line 5: starting_balance, activity and payouts of usd miss ending_balance",
        ),
    ],
)
def test_a_report_that_does_not_add_up_is_refused_with_its_line(report: str, lines: list[str], words: str) -> None:
    with pytest.raises(Unreadable) as refused:
        parsed(report, *lines)
    assert words in str(refused.value)


def test_a_report_without_rows_is_no_fault() -> None:
    assert [parsed(report) for report in HEADS] == [[], []]
