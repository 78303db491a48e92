"""What a sale, and a part of it that goes back, means for the ledger.

Same currency: the integers of the invoice. Converted: each tax total × the charge's rate, half up; revenue is the rest
of the settled amount (netsuite-journals.md §2.2), shared among courses by their net.
Going back: each tax pro rata on the cumulated amount, so that the last refund lands exactly on the original (§2.4).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from redisu_pipeline.common.money import allocate
from sandbox.stripe.world import tax
from sandbox.stripe.world.ledger import Leg
from sandbox.stripe.world.model import LineTax, Returned, Sale, Settled, Share
from sandbox.stripe.world.rates import convert, half_up


def sale_legs(sale: Sale) -> list[Leg]:
    """Credit revenue by course and tax by jurisdiction: together −`sale.settled`."""
    taxes = [_tax_leg(sale, each) for each in tax.total_taxes(sale.lines)]
    revenue = -sale.settled - sum(leg.amount for leg in taxes)
    return taxes + _by_course(sale, "revenue", revenue, [line.net for line in sale.lines])


def returned_legs(sale: Sale, share: Share) -> list[Leg]:
    """Debit refunds by course and tax by jurisdiction for a share, at the rate of the charge."""
    shown = _by_rate(sale, share.taxes)
    taxes = [
        Leg(
            "tax",
            share.settled.taxes[each.rate_id],
            country=each.levy.country,
            state=each.levy.state,
            tax_type=each.levy.tax_type,
            presentment=(shown[each.rate_id], sale.currency),
        )
        for each in tax.total_taxes(sale.lines)
    ]
    return taxes + [Leg("refunds", amount, course=course) for course, amount in share.settled.net.items()]


def _settled(sale: Sale, amount: int) -> int:
    if sale.rate is None:
        return amount
    return half_up(Decimal(amount * sale.settled) / Decimal(sale.total))


def _settled_tax(sale: Sale, amount: int) -> int:
    return amount if sale.rate is None else convert(amount, sale.currency, sale.settlement, sale.rate)


def _settle(sale: Sale, total: int, net: list[int], taxes: list[list[int]]) -> Settled:
    """What a step comes to that brings all that went back to `total`: by its `net` and `taxes`, less what was booked.

    Conversion works on cumulated amounts, so that the parts sum to the whole whatever failed in between.
    """
    booked = sale.returned.settled
    so_far = _by_rate(sale, taxes)
    by_rate = {rate: _settled_tax(sale, shown) - booked.taxes.get(rate, 0) for rate, shown in so_far.items()}
    amount = _settled(sale, total) - booked.amount
    left = sum(booked.net.values()) + amount - sum(by_rate.values())
    by_course = {leg.course or "": leg.amount for leg in _by_course(sale, "refunds", left, net)}
    courses = dict.fromkeys([*by_course, *booked.net])
    return Settled(amount, by_rate, {one: by_course.get(one, 0) - booked.net.get(one, 0) for one in courses})


def _tax_leg(sale: Sale, each: LineTax) -> Leg:
    """One tax of a sale, in settlement currency."""
    return Leg(
        "tax",
        -_settled_tax(sale, each.amount),
        country=each.levy.country,
        state=each.levy.state,
        tax_type=each.levy.tax_type,
        presentment=(-each.amount, sale.currency),
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
    settled = _settle(sale, after, parts, _plus(before.taxes, taxes))
    return Share(amount, [part - gone for part, gone in zip(parts, done, strict=True)], taxes, settled)


def give_back(sale: Sale, share: Share, sign: int = 1) -> None:
    """Count a share as returned (`sign` −1: a refund that failed, a credit note that was voided)."""
    before, settled = sale.returned, share.settled
    net = before.net or [0] * len(sale.lines)
    sale.returned = Returned(
        before.total + sign * share.amount,
        [gone + sign * part for gone, part in zip(net, share.net, strict=True)],
        _plus(before.taxes, [[sign * part for part in parts] for parts in share.taxes]),
        Settled(
            before.settled.amount + sign * settled.amount,
            _more(before.settled.taxes, settled.taxes, sign),
            _more(before.settled.net, settled.net, sign),
        ),
    )


def _more(one: Mapping[str, int], other: Mapping[str, int], sign: int) -> dict[str, int]:
    return {name: one.get(name, 0) + sign * other.get(name, 0) for name in dict.fromkeys([*one, *other])}


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
