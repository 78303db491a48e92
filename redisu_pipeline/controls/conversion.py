"""Converted amounts worked out anew, at the rate that Stripe printed: what C10, C11, C18 and C19 compare with."""

import narwhals as nw

from redisu_pipeline.journals.books import Books, Frame
from redisu_pipeline.journals.conversion import decimals, with_converted


def at_rate(books: Books, frame: Frame) -> Frame:
    """Add `at_rate`: `presentment` (≥ 0, of `presentment_currency`) × `rate_e8`, half up, in `currency`.

    Stripe's rate stands between major units, so the two currencies' decimals are bridged.
    """
    scales = {"scale_currency": "string", "scale": "int64"}
    known = books.make(scales, decimals())
    settled = known.select(nw.col("scale_currency").alias("currency"), nw.col("scale").alias("settled_scale"))
    shown = known.select(nw.col("scale_currency").alias("presentment_currency"), nw.col("scale").alias("shown_scale"))
    joined = frame.join(settled, on="currency", how="left").join(shown, on="presentment_currency", how="left")
    up = _ratio(nw.col("settled_scale"), nw.col("shown_scale"))
    down = _ratio(nw.col("shown_scale"), nw.col("settled_scale"))
    return with_converted(joined.with_columns(up.alias("up"), down.alias("down")), at_rate="presentment")


def _ratio(finer: nw.Expr, coarser: nw.Expr) -> nw.Expr:
    return nw.when(finer > coarser).then(finer / coarser).otherwise(1).cast(nw.Int64)
