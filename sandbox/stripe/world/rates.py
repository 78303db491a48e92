"""Exchange rates of the world: a fixed level per currency that wanders by up to ±2 % from day to day."""

import hashlib
from decimal import ROUND_HALF_UP, Decimal
from functools import cache

from redisu_pipeline.common.money import exponent

_USD = {
    "usd": Decimal(1),
    "eur": Decimal("1.09"),
    "gbp": Decimal("1.27"),
    "jpy": Decimal("0.0067"),
    "kwd": Decimal("3.25"),
    "ils": Decimal("0.27"),
}
DAY = 86400


@cache
def rate(day: int, source: str, target: str) -> Decimal:
    """Units of `target` for one unit of `source` (major units, as `balance_transaction.exchange_rate`) on a day.

    `day` counts days since 1970. Six significant decimals, as Stripe prints them. Raises ValueError for a currency
    without a level.
    """
    for currency in (source, target):
        if currency not in _USD:
            raise ValueError(
                f"the world has no exchange rate for {currency!r}; add it to sandbox/stripe/world/rates.py"
            )
    digest = hashlib.blake2b(f"{day}:{source}:{target}".encode(), digest_size=4).digest()
    wander = Decimal(int.from_bytes(digest) % 4001 - 2000) / 100000
    return (_USD[source] / _USD[target] * (1 + wander)).quantize(Decimal("0.000001"))


def convert(amount: int, source: str, target: str, at_rate: Decimal) -> int:
    """`amount` in minor units of `source` as minor units of `target`, half up."""
    return half_up(Decimal(amount) * at_rate * Decimal(10) ** (exponent(target) - exponent(source)))


def half_up(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), rounding=ROUND_HALF_UP))
