"""Minor units by Stripe's table, exact conversion, exact allocation."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redisu_pipeline.common.money import KNOWN_CURRENCIES, allocate, exponent, show, to_major, to_minor

CURRENCIES = st.sampled_from(sorted(KNOWN_CURRENCIES))


@pytest.mark.parametrize(
    ("currency", "decimals"),
    [
        *((code, 0) for code in "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()),
        *((code, 3) for code in "BHD JOD KWD OMR TND".split()),
        *((code, 2) for code in "USD EUR GBP ILS".split()),
        *((code, 2) for code in "ISK UGX".split()),  # ISO says 0; Stripe sends 5 UGX as 500
        *((code, 2) for code in "HUF TWD".split()),  # whole units only in payouts
        ("usd", 2),
    ],
)
def test_minor_units_follow_stripes_own_table(currency: str, decimals: int) -> None:
    assert exponent(currency) == decimals


@pytest.mark.parametrize("code", ["XXX", "", "us", "USDC", "ECU"])
def test_an_unknown_currency_is_refused_and_never_taken_for_two_decimals(code: str) -> None:
    with pytest.raises(ValueError, match="not in Stripe's table"):
        exponent(code)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (10825, "usd", "108.25"),
        (-1, "usd", "-0.01"),
        (500, "jpy", "500"),
        (12340, "kwd", "12.340"),
        (0, "usd", "0.00"),
        (10**40 + 1, "usd", "1" + "0" * 38 + ".01"),
    ],
    ids=["cents", "minus-a-cent", "yen", "fils", "zero", "beyond-the-decimal-context"],
)
def test_major_units_show_exactly_the_currencys_decimals(minor: int, currency: str, text: str) -> None:
    assert str(to_major(minor, currency)) == text


@given(st.integers(), CURRENCIES)
def test_minor_to_major_and_back_loses_nothing(minor: int, currency: str) -> None:
    assert to_minor(to_major(minor, currency), currency) == minor


@pytest.mark.parametrize(
    ("major", "currency"),
    [("1.005", "usd"), ("0.5", "jpy"), ("1.0001", "kwd"), ("NaN", "usd"), ("Infinity", "usd")],
)
def test_an_amount_that_is_not_a_whole_number_of_minor_units_is_refused(major: str, currency: str) -> None:
    with pytest.raises(ValueError, match=r"decimals|not an amount"):
        to_minor(Decimal(major), currency)


@pytest.mark.parametrize("major", ["108.25", "108.250", "1.0825E+2", "10825e-2"])
def test_the_same_amount_in_another_spelling_is_the_same_minor_units(major: str) -> None:
    assert to_minor(Decimal(major), "usd") == 10825


def test_amounts_for_people_are_grouped_and_name_their_currency() -> None:
    assert show(-123450, "usd") == "-1,234.50 USD"
    assert show(1000000, "jpy") == "1,000,000 JPY"


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 10**9), min_size=1, max_size=12))
def test_parts_sum_to_the_total_and_none_is_a_cent_away_from_its_share(total: int, weights: list[int]) -> None:
    if not sum(weights):
        weights[0] = 1
    parts = allocate(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * sum(weights) - total * weight) < sum(weights)


def test_the_remainder_goes_to_the_largest_fraction_and_then_to_the_earlier_part() -> None:
    assert allocate(100, [1, 1, 1]) == [34, 33, 33]
    assert allocate(-100, [1, 1, 1]) == [-34, -33, -33]
    assert allocate(10, [1, 8, 3]) == [1, 7, 2]
    assert allocate(0, [0, 0]) == [0, 0]


@pytest.mark.parametrize(
    ("total", "weights"), [(5, []), (5, [0, 0]), (5, [2, -1])], ids=["none", "all-zero", "negative"]
)
def test_what_cannot_be_allocated_is_refused(total: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        allocate(total, weights)
