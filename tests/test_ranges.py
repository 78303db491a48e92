"""Intervals of `created`: nothing is left out, nothing is read twice, and cutting keeps the whole."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from redisu_pipeline.extract.ranges import CHAINS, Span, cut, gaps, horizon, pages_left

seconds = st.integers(0, 60)
spans = st.builds(Span, seconds, st.one_of(st.none(), seconds))
END = 200


def inside(span: Span, second: int) -> bool:
    return span.lo <= second and (span.hi is None or second < span.hi)


@given(seconds, st.lists(spans))
def test_gaps_and_what_is_covered_are_everything_and_do_not_overlap(start: int, covered: list[Span]) -> None:
    missing = gaps(start, covered)
    for second in range(END):
        wanted = second >= start and not any(inside(span, second) for span in covered)
        assert sum(inside(span, second) for span in missing) == wanted


@given(seconds, st.lists(spans))
def test_gaps_come_oldest_first_are_not_empty_and_do_not_touch(start: int, covered: list[Span]) -> None:
    missing = gaps(start, covered)
    assert all(missing)
    assert all(one.hi is not None and one.hi < two.lo for one, two in itertools.pairwise(missing))
    assert gaps(start, [*covered, *missing]) == []


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.floats(0, 10_000), st.integers(1, 8))
def test_cuts_lie_inside_and_divide_evenly(lo: int, length: int, pages: float, running: int) -> None:
    hi = lo + length
    cuts = cut(lo, hi, pages, running)
    assert cuts == sorted(set(cuts))
    assert all(lo < one < hi for one in cuts)
    assert len(cuts) < CHAINS
    if cuts:
        edges = [lo, *cuts, hi]
        parts = [two - one for one, two in itertools.pairwise(edges)]
        assert max(parts) - min(parts) <= 1
        assert pages / len(parts) >= 8


def test_a_range_that_is_nearly_read_or_has_enough_chains_is_not_cut() -> None:
    assert cut(0, 1_000, 15, 1) == []
    assert cut(0, 1_000, 500, CHAINS + 1) == []
    assert cut(0, 1, 500, 1) == []


@given(st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 100))
def test_the_horizon_never_leaves_the_range(lo: int, above: int, seen: int, pages: int) -> None:
    oldest = lo + above
    low = horizon(lo, oldest, oldest + seen)
    assert lo <= low <= oldest
    assert 0 <= pages_left(low, oldest, oldest + seen, pages) <= 64 * pages
