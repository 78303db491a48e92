"""Intervals of `created`: nothing is left out, nothing is read twice, and cutting keeps the whole."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from redisu_pipeline.extract.ranges import CHAINS, Span, covered, cut, gaps, horizon, pages_left
from redisu_pipeline.lake.pages import PageName

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


def chain_of(number: int, made: list[int], size: int, lo: int, hi: int | None) -> list[tuple[PageName, list[int]]]:
    """The pages of a chain over rows ``made`` at these seconds (newest first), each with its rows."""
    pages, top = [], hi
    for place, first in enumerate(range(0, len(made), size)):
        rows = made[first : first + size]
        bottom = lo if first + size >= len(made) else rows[-1] + 1
        pages.append((PageName(place, bottom, top, rows[-1], rows[0], len(rows), number, place), rows))
        top = bottom
    return pages


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(1, 4), st.integers(0, 30), st.data())
def test_whichever_pages_are_lost_no_row_of_theirs_counts_as_read(
    seconds: list[int], size: int, cut_at: int, data: st.DataObject
) -> None:
    made = sorted(seconds, reverse=True)
    upper, lower = [one for one in made if one >= cut_at], [one for one in made if one < cut_at]
    pages = chain_of(1, upper, size, cut_at, None) + chain_of(2, lower, size, 0, cut_at)
    kept = [page for page in pages if data.draw(st.booleans())]
    spans = covered(page for page, _ in kept)
    for page, rows in pages:
        lost = (page, rows) not in kept
        assert not (lost and any(inside(span, row) for span in spans for row in rows))
    if len(kept) == len(pages):  # nothing is read twice but where a chain had no row
        assert not any(inside(gap, row) for gap in gaps(0, spans) for row in made)


def test_pages_without_a_place_and_single_objects_count_for_what_is_sure() -> None:
    old = PageName.decode("00000003_50_90_55_80_9.page")
    assert covered([old, PageName(4, 95, 95, 95, 95, 1)]) == [Span(50, 89), Span(95, 95)]
