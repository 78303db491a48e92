"""Converted amounts worked out anew, at the rate that Stripe printed: what C10, C11, C18 and C19 compare with."""

from redisu_pipeline.journals.books import Books, Frame
from redisu_pipeline.journals.conversion import with_bridge, with_converted


def at_rate(books: Books, frame: Frame) -> Frame:
    """Add `at_rate`: `presentment` (≥ 0, of `presentment_currency`) × `rate_e8`, half up, in `currency`."""
    return with_converted(with_bridge(books, frame), at_rate="presentment")
