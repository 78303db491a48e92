"""Conversion in frames against Python's own integers, for every magnitude that can occur, on both engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from redisu_pipeline.journals.conversion import E8, convert, floor_divided, with_converted

MOST_AMOUNT = 9 * 10**11
"""Minor units, decimals bridged: Stripe takes 8 digits, 12 in rupiah, which are worth little."""
MOST_RATE = 10**13
"""× 10^8: 100,000 units for one is more than any pair of Stripe's currencies has."""
MOST_SETTLED = 10**15
"""Minor units that a single conversion may come to; ten million million."""

bridges = st.sampled_from([(1, 1), (10, 1), (100, 1), (1000, 1), (1, 10), (1, 100), (1, 1000)])
rates = st.one_of(
    st.integers(1, MOST_RATE),
    st.integers(1, 10**6).map(lambda rate: rate * 10**6),
    st.integers(-2, 2).map(lambda near: E8 + near),
    st.sampled_from([E8, E8 // 2, E8 - 1, 670_000, 15_000_000_000, 1, MOST_RATE]),
)
amounts = st.one_of(st.integers(0, MOST_AMOUNT), st.integers(0, 100_000), st.sampled_from([0, 1, MOST_AMOUNT]))


@st.composite
def conversions(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """An amount, a rate × 10^8 and the bridge between the currencies' decimals, that come to a possible amount."""
    rate, (up, down) = draw(rates), draw(bridges)
    return min(draw(amounts) // up, MOST_SETTLED * E8 // (rate * up)), rate, up, down


def frame_of(rows: Sequence[tuple[int, ...]], *names: str) -> nw.LazyFrame[Any]:
    return nw.from_native(pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Int64), orient="row").lazy())


CONVERSION = ("amount", "rate_e8", "up", "down")


@given(st.lists(conversions(), min_size=1, max_size=50))
def test_a_converted_amount_is_the_exact_product_rounded_half_up(rows: list[tuple[int, int, int, int]]) -> None:
    found = with_converted(frame_of(rows, *CONVERSION), settled="amount").collect()["settled"].to_list()
    assert found == [convert(*row) for row in rows]


@given(st.integers(0, 2**51 - 1), st.integers(1, 2**53), st.data())
def test_a_floor_is_exact_up_to_the_last_of_64_bits(quotient: int, by: int, data: st.DataObject) -> None:
    quotient = min(quotient, (2**63 - 1) // by - 1) if by > 1 else quotient
    rest = data.draw(st.integers(0, by - 1))
    number = max(quotient, 0) * by + rest
    frame = frame_of([(number, by)], "number", "by")
    floor = frame.select(floor_divided(nw.col("number"), nw.col("by")).alias("floor")).collect()["floor"]
    assert floor.to_list() == [number // by]


def test_halves_go_up_where_decimals_are_kept_gained_and_lost() -> None:
    rows = [
        (1, E8 // 2, 1, 1),  # half a cent
        (1, 50_000, 1000, 1),  # a yen at 0.0005 dinar: half a fils
        (5, E8, 1, 10),  # 0.005 dinar: half a cent
        (4, E8, 1, 10),
        (50, E8, 1, 100),  # 50 cents: half a yen
        (49, E8 + E8 // 50, 1, 100),  # 49.98 cents: below half a yen
    ]
    found = with_converted(frame_of(rows, *CONVERSION), settled="amount").collect()["settled"].to_list()
    assert found == [1, 1, 1, 0, 1, 0]


def test_amounts_beyond_what_one_product_of_64_bits_holds_are_exact() -> None:
    rows = [(9 * 10**11, 99_999_999, 1, 1), (9 * 10**8, 99_999_999, 1000, 1), (10**8, MOST_RATE, 1, 1)]
    rows.append((10**12 - 1, 6_123, 1, 1))  # rupiah as dollars
    found = with_converted(frame_of(rows, *CONVERSION), settled="amount").collect()["settled"].to_list()
    assert found == [899_999_991_000, 899_999_991_000, 10**13, 61_230_000]
