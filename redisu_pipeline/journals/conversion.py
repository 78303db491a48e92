"""Presentment to settlement currency in whole numbers, once for frames and once for single amounts.

The cash leg is the balance transaction's own integer; only tax and parts of a payment are ever converted (§2.2).
Stripe's rate has eight decimals, so amount × rate × 10^8 is a whole number; it is taken apart so that no part of it
outgrows 64 bits, for amounts up to 10^12 minor units and rates up to 10^5 (10^13 as rate_e8).
"""

import narwhals as nw

from redisu_pipeline.common.money import KNOWN_CURRENCIES, exponent

E8 = 100_000_000
E4 = 10_000


def floor_divided(number: nw.Expr, by: nw.Expr | int) -> nw.Expr:
    """Return ⌊number / by⌋ for numbers ≥ 0. Not ``//``: Spark divides doubles there and cuts what they come to.

    Doubles come in here too, but for a quotient that is whole: it is off by less than a half, and rounded away, while
    the quotient is below 2^51, whatever the number (two roundings of 2^-53 each go in, a third comes out).
    """
    exact = number - number % by
    return (exact / by).round(0).cast(nw.Int64)


def converted(amount: nw.Expr, rate_e8: nw.Expr, up: nw.Expr, down: nw.Expr) -> nw.Expr:
    """Return amount × rate × up / down, half up, for amounts ≥ 0; ``up`` and ``down`` bridge the currencies' decimals.

    ⌊(x + ½·down) / down⌋ needs only ⌊x⌋, so no fraction is lost where ``down`` > 1; where it is 1, half of E8 is added.
    """
    scaled, fraction = amount * up, rate_e8 % E8
    whole = scaled * floor_divided(rate_e8, E8)
    half = (down == 1).cast(nw.Int64) * (E8 // 2)
    # scaled × fraction = high × 10^4 + low: the product itself would leave 64 bits at 10^11.
    high, low = scaled * floor_divided(fraction, E4), scaled * (fraction % E4)
    near = whole + floor_divided(high + floor_divided(low + half, E4), E4)
    return nw.when(down > 1).then(floor_divided(near + floor_divided(down, 2), down)).otherwise(near)


def convert(amount: int, rate_e8: int, up: int, down: int) -> int:
    """Return the same of one amount ≥ 0."""
    return (2 * amount * rate_e8 * up + E8 * down) // (2 * E8 * down)


def decimals() -> list[tuple[str, int]]:
    """Return (currency, 10^decimals) of every currency that Stripe knows."""
    return [(currency, int(10 ** exponent(currency))) for currency in sorted(KNOWN_CURRENCIES)]
