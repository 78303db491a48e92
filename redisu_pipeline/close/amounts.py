"""Amounts as text, the same whether they were just derived or come back from the lake's wide decimals."""

from decimal import Decimal

from redisu_pipeline.common.money import exponent
from redisu_pipeline.controls.model import ControlRow, Unit


def plain(amount: Decimal, currency: str) -> str:
    """Return major units with the currency's decimals, without separators: ``1234.50``; a finer amount whole."""
    return f"{_with_decimals(amount, currency):f}"


def grouped(amount: Decimal, currency: str) -> str:
    """Return the same for people: ``1,234.50``."""
    return f"{_with_decimals(amount, currency):,f}"


def side(row: ControlRow, amount: Decimal) -> str:
    """Return a side of a control, without separators: money as ``plain``, a count as a whole number."""
    if row.unit is Unit.MONEY and row.currency is not None:
        return plain(amount, row.currency)
    return f"{amount.normalize():f}"


def grouped_side(row: ControlRow, amount: Decimal) -> str:
    """Return the same for people."""
    if row.unit is Unit.MONEY and row.currency is not None:
        return grouped(amount, row.currency)
    return f"{amount.normalize():,f}"


def _with_decimals(amount: Decimal, currency: str) -> Decimal:
    try:
        rounded = round(amount, exponent(currency))
    except ValueError:  # a currency that Stripe's table lacks: the month is blocked by C17, and shown all the same
        return amount.normalize()
    return rounded if rounded == amount else amount.normalize()
