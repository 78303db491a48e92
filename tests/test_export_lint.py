"""What NetSuite would refuse or silently change is refused before a file exists."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from closed_months import NETSUITE, closed_month, draft_month, with_line, with_lines

from redisu_pipeline.export.lint import lint
from redisu_pipeline.export.month import ClosedMonth
from redisu_pipeline.journals.model import JournalClass

MONTH = closed_month()
FIRST = "STR-US-JPY-202610-FEES-V1"  # two lines of 970 JPY
ADJ = next(place for place, line in enumerate(MONTH.lines) if line.class_ is JournalClass.ADJ)  # 3.10 USD


def codes(month: ClosedMonth) -> set[str]:
    return {finding.code for finding in lint(month)}


def both_sides(amount: str, currency: str = "USD") -> ClosedMonth:
    """The ADJ journal with another amount on both of its lines, and nothing else."""
    debit, credit = MONTH.lines[ADJ : ADJ + 2]
    value = Decimal(amount)
    rate = Decimal(1) if currency == "USD" else Decimal("0.5")
    return with_lines(
        MONTH,
        [
            replace(debit, debit=value, currency=currency, exchange_rate=rate),
            replace(credit, credit=value, currency=currency, exchange_rate=rate),
        ],
    )


def test_a_month_that_netsuite_takes_as_it_is_has_no_findings() -> None:
    assert lint(MONTH) == ()
    assert lint(draft_month()) == ()
    assert lint(with_lines(MONTH, [])) == ()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exchange_rate": Decimal(0)}, "exchange_rate"),
        ({"exchange_rate": Decimal("-0.0067")}, "exchange_rate"),
        ({"exchange_rate": Decimal("NaN")}, "exchange_rate"),
        ({"exchange_rate": None}, "exchange_rate"),
        ({"exchange_rate": Decimal("0.123456789")}, "rate_precision"),
        ({"posting_period": ""}, "no_posting_period"),
        ({"posting_period": "Sep 2026"}, "posting_period"),
        ({"tran_date": date(2026, 11, 1)}, "date_outside_period"),
        ({"tran_date": date(2026, 9, 30)}, "date_outside_period"),
        ({"period": "2026-09"}, "period"),
        ({"gl_account": ""}, "no_account_number"),
        ({"gl_account": " 6100"}, "no_account_number"),
        ({"gl_account_name": ""}, "no_account_name"),
        ({"subsidiary": ""}, "no_subsidiary"),
        ({"currency": ""}, "no_currency"),
        ({"memo": "m" * 4001}, "line_memo"),
        ({"debit": None}, "one_side"),
        ({"credit": Decimal(970)}, "one_side"),
        ({"debit": Decimal(0)}, "not_positive"),
        ({"debit": Decimal(-970)}, "not_positive"),
        ({"debit": Decimal("970.50")}, "precision"),
        ({"debit": Decimal(971)}, "unbalanced"),
        ({"line": 2}, "line_numbers"),
        ({"currency": "USD"}, "two_currencies"),
        ({"subsidiary": "Redis Ltd."}, "two_subsidiaries"),
        ({"class_": JournalClass.SALES}, "two_classes"),
        ({"tran_date": date(2026, 10, 30)}, "two_dates"),
        ({"posting_period": "Nov 2026"}, "two_periods"),
        ({"exchange_rate": Decimal("0.0068")}, "two_rates"),
        ({"adjusts_period": "2026-09"}, "two_adjustments"),
        ({"external_id": "STR-US-JPY-202610-FEES-V2"}, "too_few_lines"),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_a_fault_in_one_line_is_found_and_named(changes: dict[str, object], code: str) -> None:
    changed = with_line(MONTH, 0, **changes)
    found = [finding for finding in lint(changed) if finding.code == code]
    assert found
    assert all(finding.where.startswith("STR-US-JPY-202610-FEES-V") for finding in found)
    assert all(finding.mend and "\n" not in str(finding) for finding in found)


def test_a_finding_says_which_line_of_which_journal() -> None:
    changed = with_line(MONTH, 1, memo="m" * 4001)
    assert [str(finding) for finding in lint(changed)] == [
        f"{FIRST} line 2: memo has 4,001 signs; NetSuite takes 4,000; shorten what it repeats (a course's name)"
    ]


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("9999999999.99", "USD", set()),
        ("10000000000.00", "USD", {"too_large"}),
        ("3.105", "USD", {"precision"}),
        ("3.100", "USD", set()),
        ("3.120", "KWD", set()),
        ("3.125", "KWD", {"precision"}),
        ("3.125", "BHD", {"precision"}),
        ("3.10", "IDR", {"precision"}),
        ("3.10", "KHR", {"precision"}),
        ("3.10", "LBP", {"precision"}),
        ("3.00", "IDR", set()),
        ("3.00", "ISK", set()),
        ("3.10", "XAF", set()),  # none at Stripe, two at NetSuite: fine
    ],
)
def test_amounts_fit_the_digits_and_decimals_that_netsuite_keeps(
    amount: str, currency: str, expected: set[str]
) -> None:
    assert codes(both_sides(amount, currency)) == expected


def test_the_subsidiarys_own_currency_has_the_rate_one() -> None:
    lines = [replace(line, exchange_rate=Decimal("1.01")) for line in MONTH.lines[ADJ : ADJ + 2]]
    assert codes(with_lines(MONTH, lines)) == {"rate_of_base"}


@pytest.mark.parametrize(
    "external_id", ["", "STR_US", "str-us-usd-202610-fees-v1", "STR-" + "X" * 42, "STR-US|1", "STR US", "STR-Ü"]
)
def test_an_external_id_has_at_most_45_signs_that_rest_takes_too(external_id: str) -> None:
    lines = [replace(line, external_id=external_id) for line in MONTH.lines[:2]]
    assert codes(with_lines(MONTH, lines)) == {"external_id"}


def journal_of(count: int) -> ClosedMonth:
    """One journal of ``count`` lines, debit and credit in turn."""
    debit, credit = MONTH.lines[:2]
    return with_lines(MONTH, [replace(debit if number % 2 else credit, line=number) for number in range(1, count + 1)])


def test_a_journal_has_at_most_200_lines() -> None:
    assert codes(journal_of(200)) == set()
    assert codes(journal_of(202)) == {"too_many_lines"}


def test_a_file_has_at_most_25_000_rows() -> None:
    lines = [replace(line, external_id=f"STR-{n}") for n in range(12_501) for line in MONTH.lines[:2]]
    assert codes(with_lines(MONTH, lines[:25_000])) == set()
    assert codes(with_lines(MONTH, lines)) == {"too_many_rows"}


def test_rows_of_a_journal_that_do_not_stand_together_are_two_journals_to_netsuite() -> None:
    first, second, third, fourth = MONTH.lines[:4]
    torn = codes(with_lines(MONTH, [first, third, fourth, second]))
    assert {"torn_journal", "too_few_lines", "unbalanced"} <= torn


def test_two_journals_under_one_id_are_refused() -> None:
    lines = [*MONTH.lines[:2], *MONTH.lines[2:4], *MONTH.lines[:2]]
    assert "torn_journal" in codes(with_lines(MONTH, lines))
    assert "line_numbers" in codes(with_lines(MONTH, [*MONTH.lines[:2], *MONTH.lines[:2]]))


def test_an_id_that_went_out_with_other_content_is_refused() -> None:
    (finding,) = lint(MONTH, existing_ids={FIRST})
    assert (finding.code, finding.where) == ("duplicate_id", FIRST)


def test_nothing_is_posted_into_a_closed_period() -> None:
    (finding,) = lint(MONTH, closed_periods={"2026-10"})
    assert (finding.code, finding.where) == ("closed_period", "2026-10")
    assert lint(MONTH, closed_periods={"2026-09"}) == ()


def test_a_memo_of_the_head_that_netsuite_would_cut_is_refused() -> None:
    lines = [replace(line, account="a" * 1000) for line in MONTH.lines[:2]]
    assert codes(with_lines(MONTH, lines)) == {"header_memo"}


def test_the_period_name_is_the_customers() -> None:
    month = replace(MONTH, netsuite=replace(NETSUITE, period_format="%Y-%m"))
    assert codes(month) == {"posting_period"}
    lines = [replace(line, posting_period="2026-10") for line in MONTH.lines]
    assert codes(replace(month, lines=lines)) == set()


def test_every_finding_comes_at_once() -> None:
    month = with_line(with_line(MONTH, 0, memo="m" * 4001), 5, gl_account="")
    assert codes(month) == {"line_memo", "no_account_number"}
