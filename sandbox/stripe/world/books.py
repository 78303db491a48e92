"""What a sale, and a part of it that goes back, means for the ledger.

Same currency: the integers of the invoice. Converted: each tax total × the charge's rate, half up; revenue is the rest
of the settled amount (netsuite-journals.md §2.2), shared among courses by their net.
Going back: each tax pro rata on the cumulated amount, so that the last refund lands exactly on the original (§2.4).
"""

from collections.abc import Sequence
from decimal import Decimal

from redisu_pipeline.common.money import allocate
from sandbox.stripe.world import tax
from sandbox.stripe.world.ledger import Leg
from sandbox.stripe.world.model import LineTax, Returned, Sale, Share
from sandbox.stripe.world.rates import convert, half_up


def sale_legs(sale: Sale) -> list[Leg]:
    """Credit revenue by course and tax by jurisdiction: together −`sale.settled`."""
    taxes = [_tax_leg(sale, each, 0, each.amount, sign=-1) for each in tax.total_taxes(sale.lines)]
    revenue = -sale.settled - sum(leg.amount for leg in taxes)
    return taxes + _by_course(sale, "revenue", revenue, [line.net for line in sale.lines])


def returned_legs(sale: Sale, share: Share, before: Returned) -> list[Leg]:
    """Debit refunds by course and tax by jurisdiction for a share, at the rate of the charge.

    `before` is what had gone back earlier: conversion works on cumulated amounts, so that the parts sum to the whole.
    """
    so_far, after = _by_rate(sale, before.taxes), _by_rate(sale, _plus(before.taxes, share.taxes))
    taxes = [
        _tax_leg(sale, each, so_far[each.rate_id], after[each.rate_id], sign=+1) for each in tax.total_taxes(sale.lines)
    ]
    settled = _settled(sale, before.total + share.amount) - _settled(sale, before.total)
    refunds = settled - sum(leg.amount for leg in taxes)
    return taxes + _by_course(sale, "refunds", refunds, share.net)


def _settled(sale: Sale, amount: int) -> int:
    if sale.rate is None:
        return amount
    return half_up(Decimal(amount * sale.settled) / Decimal(sale.total))


def _tax_leg(sale: Sale, each: LineTax, low: int, high: int, sign: int) -> Leg:
    """The step from `low` to `high` presentment minor units of one tax, in settlement currency."""
    amount = high - low
    if sale.rate is not None:
        ends = [convert(end, sale.currency, sale.settlement, sale.rate) for end in (low, high)]
        amount = ends[1] - ends[0]
    return Leg(
        "tax",
        sign * amount,
        country=each.levy.country,
        state=each.levy.state,
        tax_type=each.levy.tax_type,
        presentment=(sign * (high - low), sale.currency),
    )


def _by_course(sale: Sale, role: str, amount: int, nets: Sequence[int]) -> list[Leg]:
    weights: dict[str, int] = {}
    for line, net in zip(sale.lines, nets, strict=True):
        weights[line.course] = weights.get(line.course, 0) + net
    if not amount:
        return []
    if any(weight < 0 for weight in weights.values()) or not any(weights.values()):
        # Rounding of a tiny share: too small to be told apart by course.
        return [Leg(role, amount, course=next(iter(weights)))]
    parts = allocate(amount, list(weights.values()))
    return [Leg(role, part, course=course) for course, part in zip(weights, parts, strict=True)]


def take_share(sale: Sale, amount: int) -> Share:
    """What the next `amount` (presentment minor units) of a sale consists of, given what went back before."""
    before, total = sale.returned, sale.total
    after = before.total + amount
    taxes = [[0] * len(line.taxes) for line in sale.lines]
    for each in tax.total_taxes(sale.lines):
        places = [
            (i, k) for i, line in enumerate(sale.lines) for k, t in enumerate(line.taxes) if t.rate_id == each.rate_id
        ]
        due = half_up(Decimal(after * each.amount) / Decimal(total))
        parts = allocate(due, [sale.lines[i].taxes[k].amount for i, k in places])
        for (i, k), part in zip(places, parts, strict=True):
            taxes[i][k] = part - (before.taxes[i][k] if before.taxes else 0)
    net_before = sum(before.net)
    net = amount - sum(map(sum, taxes))
    parts = allocate(net_before + net, [line.net for line in sale.lines])
    done = before.net or [0] * len(sale.lines)
    return Share(amount, [part - gone for part, gone in zip(parts, done, strict=True)], taxes)


def give_back(sale: Sale, share: Share, sign: int = 1) -> None:
    """Count a share as returned (`sign` −1: a refund that failed, a credit note that was voided)."""
    before = sale.returned
    net = before.net or [0] * len(sale.lines)
    sale.returned = Returned(
        before.total + sign * share.amount,
        [gone + sign * part for gone, part in zip(net, share.net, strict=True)],
        _plus(before.taxes, [[sign * part for part in parts] for parts in share.taxes]),
    )


def _plus(one: list[list[int]], other: list[list[int]]) -> list[list[int]]:
    if not one:
        return other
    return [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(one, other, strict=True)]


def _by_rate(sale: Sale, taxes: list[list[int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for i, line in enumerate(sale.lines):
        for k, each in enumerate(line.taxes):
            sums[each.rate_id] = sums.get(each.rate_id, 0) + (taxes[i][k] if taxes else 0)
    return sums


def negated(legs: Sequence[Leg]) -> tuple[Leg, ...]:
    """The exact reverse of an entry."""
    return tuple(
        leg._replace(amount=-leg.amount, presentment=leg.presentment and (-leg.presentment[0], leg.presentment[1]))
        for leg in legs
    )
