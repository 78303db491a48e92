"""Intervals of `created`: what a listing has covered, what is missing, and where to cut what is left.

Pure arithmetic on unix seconds. Stripe lists newest first, so a page covers time downwards from where the chain
stood; the second of its oldest row is not covered, because rows of that second may stand on the next page.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from redisu_pipeline.lake.pages import PageName

PAGE = 100
"""Rows Stripe returns at most on a page."""

CHAINS = 6
"""Enough to keep an endpoint's 20 requests a second in flight where each, and what is done with it, takes 300 ms."""

WORTH_SPLITTING = 16
"""Pages that must be left before a range is cut: every cut costs about half a page more."""


@dataclass(frozen=True, order=True)
class Span:
    """Seconds from ``lo`` (inclusive) to ``hi`` (exclusive); ``hi`` None reaches into the future."""

    lo: int
    hi: int | None

    def __bool__(self) -> bool:
        return self.hi is None or self.lo < self.hi


def gaps(start: int, covered: Iterable[Span]) -> list[Span]:
    """Return what of ``[start, ∞)`` no span of ``covered`` holds, oldest first."""
    missing: list[Span] = []
    reached = start
    for span in sorted((s for s in covered if s), key=lambda s: s.lo):
        if span.lo > reached:
            missing.append(Span(reached, span.lo))
        if span.hi is None:
            return missing
        reached = max(reached, span.hi)
    missing.append(Span(reached, None))
    return missing


def covered(pages: Iterable[PageName]) -> list[Span]:
    """Return the spans of which ``pages`` hold every row; not each page of a chain need be among them.

    A page is kept when its nested lists are complete, which may be after the pages that follow it, and a damaged one
    is lost. The page that follows goes on in the second of its oldest row: that second is whole with both only.
    """
    pages = list(pages)
    chains = {(page.chain, page.place): page for page in pages if page.chain}
    return [
        Span(page.lo, page.hi if page.hi is None or _begun(page, chains) else max(page.lo, page.hi - 1))
        for page in pages
    ]


def _begun(page: PageName, chains: Mapping[tuple[int, int], PageName]) -> bool:
    """Whether the pages on which the last second of the page's span begins are there."""
    while page.place:
        before = chains.get((page.chain, page.place - 1))
        if before is None:
            return False
        if before.lo != before.hi:
            return True
        page = before  # nothing but rows of that second
    return True


LOOK_AHEAD = 64
"""How many times the time already seen the density of a range is trusted for: an account's start may lie years
before its first sale, and every range without a row costs a request."""


def horizon(lo: int, oldest: int, newest: int) -> int:
    """Return the second down to which the density seen between ``newest`` and ``oldest`` may be believed."""
    return max(lo, oldest - LOOK_AHEAD * max(newest - oldest, 1))


def pages_left(lo: int, oldest: int, newest: int, pages: int) -> float:
    """Estimate the pages from ``oldest`` down to ``lo``, when ``pages`` filled the time down from ``newest``."""
    return max(oldest - lo, 0) / max(newest - oldest, 1) * pages


def cut(lo: int, hi: int, pages: float, running: int) -> list[int]:
    """Return the seconds at which to cut ``[lo, hi)`` so that more chains can work on it; empty when not worth it.

    ``running`` chains are at work on the list already. Parts have equal length and at least half of WORTH_SPLITTING
    pages each, as far as the density estimate goes.
    """
    if pages < WORTH_SPLITTING:
        return []
    parts = min(CHAINS - running + 1, int(pages // (WORTH_SPLITTING / 2)), hi - lo)
    return sorted({lo + (hi - lo) * part // parts for part in range(1, parts)} - {lo, hi}) if parts > 1 else []
