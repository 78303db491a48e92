"""What works frames out, and the few things that engines say differently; all else is narwhals' one language."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from redisu_pipeline.journals.books import Frame


class Engine(Protocol):
    """Reads the lake's pinned files as lazy frames of one engine. New columns come as ``name="column they are of"``."""

    @property
    def most_held(self) -> int:
        """Tables of up to so many rows, on which many rules stand, are read once and kept."""

    def scan(self, table: str) -> Frame:
        """Return a table's rows that exist at Stripe, every column of today's schema; none before the first sync."""

    def with_months(self, frame: Frame, **months: str) -> Frame:
        """Add the month of instants in the books' time zone, as a number like 202610."""

    def with_days(self, frame: Frame, **days: str) -> Frame:
        """Add the day of instants in the books' time zone, as days since 1970-01-01."""

    def with_e8(self, frame: Frame, **rates: str) -> Frame:
        """Add decimals of eight places as whole numbers × 10^8."""

    def exploded(self, frame: Frame, *lists: str) -> Frame:
        """Return a row for each place of ``lists``, which are of one length in every row; none where they are empty."""

    def make(self, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]) -> Frame:
        """Return rows as a frame; columns are "string" or "int64"."""

    def keep(self, frame: Frame) -> Frame:
        """Return the frame worked out once, for all who stand on it."""

    def gather(self, parts: Sequence[Frame]) -> Frame:
        """Return postings as one frame, worked out."""
