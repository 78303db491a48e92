"""Frames worked out on this machine, with Polars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import polars as pl

from redisu_pipeline.close.pins import Pins
from redisu_pipeline.journals.books import Frame
from redisu_pipeline.journals.postings import FEW

KINDS: Mapping[str, type[pl.DataType]] = {"string": pl.String, "int64": pl.Int64}


@dataclass(frozen=True)
class PolarsEngine:
    """Engine over pinned files; ``timezone`` is that of the books."""

    pins: Pins
    timezone: str
    most_held: int = 6_000_000
    """Five million that are held cost a tenth less work and one gigabyte more; many more would fill the memory."""

    def scan(self, table: str) -> Frame:
        """Return a table's rows that exist at Stripe."""
        return _framed(self.pins.scan(table))

    def with_months(self, frame: Frame, **months: str) -> Frame:
        """Add the month of instants in the books' time zone, as a number like 202610."""
        local = {name: self._local(column) for name, column in months.items()}
        numbers = {name: at.dt.year().cast(pl.Int64) * 100 + at.dt.month().cast(pl.Int64) for name, at in local.items()}
        return _framed(_lazy(frame).with_columns(**numbers))

    def with_days(self, frame: Frame, **days: str) -> Frame:
        """Add the day of instants in the books' time zone, as days since 1970-01-01."""
        numbers = {name: self._local(column).dt.date().cast(pl.Int32).cast(pl.Int64) for name, column in days.items()}
        return _framed(_lazy(frame).with_columns(**numbers))

    def with_e8(self, frame: Frame, **rates: str) -> Frame:
        """Add decimals of eight places × 10^8: that is how decimal(18,8) lies in memory."""
        whole = {name: pl.col(column).to_physical().cast(pl.Int64) for name, column in rates.items()}
        return _framed(_lazy(frame).with_columns(**whole))

    def exploded(self, frame: Frame, *lists: str) -> Frame:
        """Return a row for each place of ``lists``."""
        return _framed(_lazy(frame).filter(pl.col(lists[0]).list.len() > 0).explode(lists))

    def make(self, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]) -> Frame:
        """Return rows as a frame."""
        return make(columns, rows)

    def keep(self, frame: Frame) -> Frame:
        """Return the frame worked out."""
        return keep(frame)

    def gather(self, parts: Sequence[Frame]) -> Frame:
        """Return postings as one frame, worked out, their few texts as categories."""
        return gather(parts)

    def _local(self, column: str) -> pl.Expr:
        return pl.col(column).dt.convert_time_zone(self.timezone)


def make(columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]) -> Frame:
    """Return rows as a frame; columns are "string" or "int64"."""
    by_column = zip(*rows, strict=True) if rows else [()] * len(columns)  # in a third of the time that rows take
    made = [pl.Series(name, of, KINDS[kind]) for (name, kind), of in zip(columns.items(), by_column, strict=True)]
    return _framed(pl.DataFrame(made).lazy())


def keep(frame: Frame) -> Frame:
    """Return the frame worked out."""
    return _framed(_lazy(frame).collect().lazy())


def gather(parts: Sequence[Frame]) -> Frame:
    """Return postings as one frame, worked out; categories are made part by part, where most are one value."""
    return keep(_framed(pl.concat([_lazy(part).with_columns(pl.col(FEW).cast(pl.Categorical)) for part in parts])))


def _framed(frame: pl.LazyFrame) -> Frame:
    found: Frame = nw.from_native(frame)
    return found


def _lazy(frame: Frame) -> pl.LazyFrame:
    native: pl.LazyFrame = frame.to_native()
    return native
