"""Amounts of money: minor units by Stripe's own table, exact conversion, exact allocation. Never a float.

Source: https://docs.stripe.com/currencies (not ISO 4217: ISK and UGX have two decimals here, and always 00).
"""

from collections.abc import Sequence
from decimal import Decimal

_ZERO_DECIMAL = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
_THREE_DECIMAL = frozenset("BHD JOD KWD OMR TND".split())
# ISK and UGX stand here on purpose: logically without decimals, but Stripe sends 5 UGX as 500.
_TWO_DECIMAL = frozenset(
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP
    CRC CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR ISK JMD
    KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD
    PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SLL SOS SRD STD SVC SZL THB TJS TOP TRY TTD
    TWD TZS UAH UGX USD UYU UZS WST XCD XCG YER ZAR ZMW
    """.split()
)
_EXPONENTS = {
    **dict.fromkeys(_ZERO_DECIMAL, 0),
    **dict.fromkeys(_TWO_DECIMAL, 2),
    **dict.fromkeys(_THREE_DECIMAL, 3),
}

# Upper case, as ISO writes them; Stripe's API writes lower case. Every function here takes either.
KNOWN_CURRENCIES: frozenset[str] = frozenset(_EXPONENTS)


def exponent(currency: str) -> int:
    """Return how many decimals Stripe's minor unit of ``currency`` stands for; ValueError when it is unknown.

    An unknown currency is refused rather than taken for two decimals: that mistake is a factor of 100.
    """
    try:
        return _EXPONENTS[currency.upper()]
    except KeyError:
        raise ValueError(
            f"currency {currency!r} is not in Stripe's table of minor units; add it to redisu_pipeline/common/money.py"
        ) from None


def to_major(minor: int, currency: str) -> Decimal:
    """Return ``minor`` units as a Decimal in major units with exactly the currency's decimals (10825 usd: 108.25)."""
    digits = exponent(currency)
    sign, figures = (1, str(-minor)) if minor < 0 else (0, str(minor))
    # Built from its digits: scaleb would round to the context's 28 digits, which a sum over many rows may pass.
    return Decimal((sign, tuple(int(figure) for figure in figures), -digits))


def to_minor(major: Decimal, currency: str) -> int:
    """Return ``major`` as an integer of minor units; ValueError when it is not a whole number of them."""
    digits = exponent(currency)
    if not major.is_finite():
        raise ValueError(f"{major} is not an amount of {currency.upper()}")
    scale: int = 10**digits
    numerator, denominator = major.as_integer_ratio()
    minor, rest = divmod(numerator * scale, denominator)
    if rest:
        raise ValueError(f"{major} {currency.upper()} has more than {digits} decimals")
    return minor


def show(minor: int, currency: str) -> str:
    """Return ``minor`` units for people: ``1,234.50 USD``, ``-500 JPY``."""
    return f"{to_major(minor, currency):,f} {currency.upper()}"


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Split ``total`` minor units in proportion to ``weights``; the parts sum to ``total`` exactly.

    Largest remainder, ties to the earlier part, so the same input gives the same cents on every run. A negative
    total mirrors the positive one. ValueError for no weights, a negative weight, or weights that are all zero
    (unless ``total`` is zero as well).
    """
    if any(weight < 0 for weight in weights):
        raise ValueError(f"weights must not be negative: {list(weights)}")
    whole = sum(weights)
    if not whole:
        if total == 0:
            return [0] * len(weights)
        raise ValueError(f"{total} cannot be allocated: the weights sum to zero")
    sign = -1 if total < 0 else 1
    quotients = [divmod(abs(total) * weight, whole) for weight in weights]
    parts = [quotient for quotient, _ in quotients]
    by_remainder = sorted(range(len(weights)), key=lambda place: (-quotients[place][1], place))
    for place in by_remainder[: abs(total) - sum(parts)]:
        parts[place] += 1
    return [sign * part for part in parts]
