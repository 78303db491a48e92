"""Presentment to settlement currency in whole numbers, once for frames and once for single amounts.

The cash leg is the balance transaction's own integer; only tax and parts of a payment are ever converted (§2.2).
Stripe's rate has eight decimals, so amount × rate × 10^8 is exact in 64 bits when whole and fraction go apart.
"""

import narwhals as nw

from redisu_pipeline.common.money import KNOWN_CURRENCIES, exponent

E8 = 100_000_000


def floor_divided(number: nw.Expr, by: nw.Expr | int) -> nw.Expr:
    """Return ⌊number / by⌋ for numbers ≥ 0. Not ``//``: Spark divides doubles there, which are not exact."""
    exact = number - number % by
    return (exact / by).round(0).cast(nw.Int64)


def converted(amount: nw.Expr, rate_e8: nw.Expr, up: nw.Expr, down: nw.Expr) -> nw.Expr:
    """Return amount × rate × up / down, half up, for amounts ≥ 0; ``up`` and ``down`` bridge the currencies' decimals.

    ⌊(x + ½·down) / down⌋ needs only ⌊x⌋, so no fraction is lost where ``down`` > 1; where it is 1, half of E8 is added.
    """
    whole = amount * floor_divided(rate_e8, E8) * up
    fraction = amount * (rate_e8 % E8) * up
    nearest = whole + floor_divided(fraction + E8 // 2, E8)
    floor = whole + floor_divided(fraction, E8)
    scaled = floor_divided(floor + floor_divided(down, 2), down)
    return nw.when(down > 1).then(scaled).otherwise(nearest)


def convert(amount: int, rate_e8: int, up: int, down: int) -> int:
    """Return the same of one amount ≥ 0."""
    return (2 * amount * rate_e8 * up + E8 * down) // (2 * E8 * down)


def decimals() -> list[tuple[str, int]]:
    """Return (currency, 10^decimals) of every currency that Stripe knows."""
    return [(currency, int(10 ** exponent(currency))) for currency in sorted(KNOWN_CURRENCIES)]
