"""Presentment to settlement currency in whole numbers, once for frames and once for single amounts.

The cash leg is the balance transaction's own integer; only tax and parts of a payment are ever converted (§2.2).
Stripe's rate has eight decimals, so amount × rate × 10^8 is a whole number. It is taken apart so that no part leaves
64 bits and nothing that is divided reaches 2^53: Spark divides doubles in ``//``, which are exact below that. Both hold
for amounts × ``up`` up to 9 × 10^11 and rates up to 10^5; Stripe's own limit is 10^8 minor units, 10^12 in rupiah.
"""

import narwhals as nw

from redisu_pipeline.common.money import KNOWN_CURRENCIES, exponent
from redisu_pipeline.journals.books import Books, Frame

E8 = 100_000_000
E4 = 10_000


def floor_divided(number: nw.Expr, by: nw.Expr) -> nw.Expr:
    """Return ⌊number / by⌋ for numbers ≥ 0 of all 64 bits, while the quotient is below 2^51. Not ``//``: see above.

    What is divided here has a whole quotient: doubles are off by less than a half, which is rounded away.
    """
    exact = number - number % by
    return (exact / by).round(0).cast(nw.Int64)


def with_converted(frame: Frame, **amounts: str) -> Frame:
    """Add ``name="column"``: that column × `rate_e8` × `up` / `down`, half up; null where there is no rate.

    Columns are ≥ 0; `up` and `down` bridge the currencies' decimals. ⌊(x + ½·down) / down⌋ needs only ⌊x⌋, so no
    fraction is lost where `down` > 1; where it is 1, half of E8 is added. Step by step, because for Spark a quotient
    is four times as long as what is divided: nested ones would be an expression of thousands of parts.
    """
    rate, down = nw.col("rate_e8"), nw.col("down")
    # rate_e8 = units × 10^8 + high × 10^4 + low
    units, high, low = rate // E8, rate // E4 % E4, rate % E4
    half = (down == 1).cast(nw.Int64) * (E8 // 2)
    scaled = {name: nw.col(column) * nw.col("up") for name, column in amounts.items()}
    lowest = {name: (amount * low + half) // E4 for name, amount in scaled.items()}
    rest = {name: (amount * high + nw.col(name)) // E4 for name, amount in scaled.items()}
    whole = {name: amount * units + nw.col(name) for name, amount in scaled.items()}
    bridged = {name: (nw.col(name) + down // 2) // down for name in amounts}
    for step in (lowest, rest, whole, bridged):
        frame = frame.with_columns(**step)
    return frame


def convert(amount: int, rate_e8: int, up: int, down: int) -> int:
    """Return the same of one amount ≥ 0."""
    return (2 * amount * rate_e8 * up + E8 * down) // (2 * E8 * down)


def with_bridge(books: Books, frame: Frame) -> Frame:
    """Add `up` and `down`: how minor units of `presentment_currency` become those of `currency` before the rate.

    Stripe's rate stands between major units. Both are 1 where the currencies have the same decimals.
    """
    known = books.make({"scale_currency": "string", "scale": "int64"}, decimals())
    settled = known.select(nw.col("scale_currency").alias("currency"), nw.col("scale").alias("settled_scale"))
    shown = known.select(nw.col("scale_currency").alias("presentment_currency"), nw.col("scale").alias("shown_scale"))
    joined = frame.join(settled, on="currency", how="left").join(shown, on="presentment_currency", how="left")
    up = _ratio(nw.col("settled_scale"), nw.col("shown_scale"))
    down = _ratio(nw.col("shown_scale"), nw.col("settled_scale"))
    return joined.with_columns(up.alias("up"), down.alias("down"))


def _ratio(finer: nw.Expr, coarser: nw.Expr) -> nw.Expr:
    return nw.when(finer > coarser).then(finer / coarser).otherwise(1).cast(nw.Int64)


def decimals() -> list[tuple[str, int]]:
    """Return (currency, 10^decimals) of every currency that Stripe knows."""
    return [(currency, int(10 ** exponent(currency))) for currency in sorted(KNOWN_CURRENCIES)]
