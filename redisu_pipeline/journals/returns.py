"""What a part of a sale that goes back consists of (netsuite-journals.md §2.4): a refund has no tax and no lines.

Tax: the linked credit note's, else the tax report's, else pro rata on the cumulated amount, so that the last refund
lands exactly on the tax of the sale. Conversion works on cumulated amounts too: the parts add up to the whole.
Amounts are minor units of the presentment currency unless they are called settled; all are positive.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from redisu_pipeline.common.money import allocate
from redisu_pipeline.journals.conversion import convert


class TaxPart(NamedTuple):
    """A tax rate's part of a sale."""

    rate: str
    role: str
    country: str
    state: str
    amount: int


class LinePart(NamedTuple):
    """An invoice line without tax."""

    id: str
    course: str
    net: int


class Sale(NamedTuple):
    """A paid invoice and what its payment came to: ``received`` settled minor units for ``charged`` presented ones."""

    invoice: str
    currency: str
    shown: str  # presentment currency
    total: int
    charged: int
    received: int
    rate_e8: int | None
    up: int
    down: int
    day: int
    taxes: tuple[TaxPart, ...]
    lines: tuple[LinePart, ...]

    def settled(self, amount: int) -> int:
        """Return ``amount`` at the rate of the payment; the whole is the balance transaction's own integer."""
        if self.rate_e8 is None:
            return amount
        return (2 * amount * self.received + self.charged) // (2 * self.charged)

    def settled_tax(self, amount: int) -> int:
        """Return a tax at Stripe's printed rate, as it was booked with the sale."""
        return amount if self.rate_e8 is None else convert(amount, self.rate_e8, self.up, self.down)


class Split(NamedTuple):
    """What an amount consists of: tax by tax rate, net by line."""

    taxes: Mapping[str, int]
    nets: Mapping[str, int]


class Return(NamedTuple):
    """Something that goes back: ``at`` decides its turn, ``undone`` when it was taken back (failed, voided).

    ``taxes`` and ``nets`` where a document tells them; None: pro rata. A rest of the taxes' documents is pro rata.
    """

    id: str
    at: datetime
    amount: int
    undone: datetime | None = None
    taxes: Mapping[str, int] | None = None
    nets: Mapping[str, int] | None = None


_Sums = defaultdict[str, int]


def _none() -> _Sums:
    return defaultdict(int)


@dataclass
class _Gone:
    """What has gone back so far, and what of it was booked in settlement currency."""

    amount: int = 0
    taxes: _Sums = field(default_factory=_none)  # by tax rate
    nets: _Sums = field(default_factory=_none)  # by line
    settled: int = 0
    settled_taxes: _Sums = field(default_factory=_none)
    settled_nets: _Sums = field(default_factory=_none)  # by course

    def add(self, one: "_Done", sign: int) -> None:
        self.amount += sign * one.amount
        self.settled += sign * one.settled.amount
        settled_taxes = {tax.part.rate: tax.amount for tax in one.settled.taxes}
        for mine, part in (
            (self.taxes, one.split.taxes),
            (self.nets, one.split.nets),
            (self.settled_taxes, settled_taxes),
            (self.settled_nets, one.settled.nets),
        ):
            for key, value in part.items():
                mine[key] += sign * value


class SettledTax(NamedTuple):
    """Tax that goes back, in both currencies."""

    part: TaxPart
    amount: int
    shown: int


class SettledReturn(NamedTuple):
    """A return in settlement currency: ``amount`` = taxes + nets by course.

    ``net_before`` is what of each course had not gone back before.
    """

    id: str
    amount: int
    taxes: tuple[SettledTax, ...]
    nets: Mapping[str, int]
    shown_nets: Mapping[str, int]
    net_before: Mapping[str, int]


class _Done(NamedTuple):
    """A return that was worked out: presented and settled."""

    amount: int
    split: Split
    settled: SettledReturn


def settled_returns(sale: Sale, returns: Sequence[Return]) -> dict[str, SettledReturn]:
    """Return what each return comes to, by its id. Those of one sale depend on each other: give all of them."""
    sold = _by_course(sale, _nets(sale), _settled_net(sale))
    if len(returns) == 1 and _is_whole(sale, returns[0]):  # as most are
        return {returns[0].id: _everything(sale, returns[0], sold)}
    gone = _Gone()
    done: dict[str, _Done] = {}
    for one, undone in _in_turn(returns):
        if undone:
            gone.add(done[one.id], -1)
            continue
        split = _split(sale, gone, one)
        before = {course: sold[course] - gone.settled_nets[course] for course in sold}
        done[one.id] = _Done(one.amount, split, _settled(sale, gone, one, split, before))
        gone.add(done[one.id], +1)
    return {id: one.settled for id, one in done.items()}


def _is_whole(sale: Sale, one: Return) -> bool:
    return one.taxes is None and one.amount == sale.total


def _everything(sale: Sale, one: Return, sold: Mapping[str, int]) -> SettledReturn:
    """Return the whole sale: what `_split` and `_settled` come to while nothing else has gone back."""
    taxes = tuple(SettledTax(part, sale.settled_tax(part.amount), part.amount) for part in sale.taxes)
    return SettledReturn(one.id, sale.settled(sale.total), taxes, sold, _of_courses(sale, _nets(sale)), sold)


def _in_turn(returns: Sequence[Return]) -> Iterator[tuple[Return, bool]]:
    """Yield what went back and what was taken back, by time. In one second room is made first: never more than all."""
    steps = [(one.at, 1, one.id, one) for one in returns]
    steps += [(one.undone, 0 if one.at < one.undone else 2, one.id, one) for one in returns if one.undone is not None]
    for _, turn, _, one in sorted(steps, key=lambda step: step[:3]):
        yield one, turn != 1


def _nets(sale: Sale) -> dict[str, int]:
    return {line.id: line.net for line in sale.lines}


def _split(sale: Sale, gone: _Gone, one: Return) -> Split:
    taxes = one.taxes
    if _is_whole(sale, one) and not gone.amount:
        return Split({part.rate: part.amount for part in sale.taxes}, _nets(sale))
    if taxes is None:
        taxes = _taxes_due(sale, gone, one.amount)
    net = one.amount - sum(taxes.values())
    nets = one.nets
    if nets is None or sum(nets.values()) != net:
        nets = _pro_rata(sale, gone, net)
    return Split(taxes, nets)


def _taxes_due(sale: Sale, gone: _Gone, amount: int) -> dict[str, int]:
    """Return the tax due for all that went back, less what was reversed already, by tax rate (§2.4).

    A credit note may have taken more or less than its part: then no tax goes back the wrong way, and the rest still
    holds both what is left of the tax and what is left of the price.
    """
    after = gone.amount + amount
    left = {tax.rate: max(tax.amount - gone.taxes[tax.rate], 0) for tax in sale.taxes}
    due_now = {tax.rate: due(tax.amount, after, sale.total) - gone.taxes[tax.rate] for tax in sale.taxes}
    taxes = {rate: min(max(wanted, 0), left[rate]) for rate, wanted in due_now.items()}
    net_left = sum(line.net for line in sale.lines) - sum(gone.nets.values())
    too_much, too_little = sum(taxes.values()) - amount, amount - sum(taxes.values()) - max(net_left, 0)
    if too_much > 0:
        return dict(zip(taxes, allocate(amount, list(taxes.values())), strict=True))
    room = [left[rate] - tax for rate, tax in taxes.items()]
    if 0 < too_little <= sum(room):
        more = allocate(too_little, room)
        return {rate: tax + extra for (rate, tax), extra in zip(taxes.items(), more, strict=True)}
    return taxes


def due(part: int, amount: int, total: int) -> int:
    """Return part × amount / total, half up, never more than the part."""
    if total <= 0:
        return 0
    return (2 * part * min(amount, total) + total) // (2 * total)


def _pro_rata(sale: Sale, gone: _Gone, net: int) -> dict[str, int]:
    """Share the net among the lines so that all shares so far are in proportion.

    Where credit notes took whole lines that cannot be: then what is left of the lines is shared.
    """
    weights = [max(line.net, 0) for line in sale.lines]
    if not any(weights):
        return {sale.lines[0].id: net} if sale.lines else {}
    parts = allocate(sum(gone.nets.values()) + net, weights)
    shares = {line.id: part - gone.nets[line.id] for line, part in zip(sale.lines, parts, strict=True)}
    left = [max(line.net - gone.nets[line.id], 0) for line in sale.lines]
    if min(shares.values()) < 0 <= net and any(left):
        return {line.id: part for line, part in zip(sale.lines, allocate(net, left), strict=True)}
    return shares


def _settled_net(sale: Sale) -> int:
    return sale.settled(sale.total) - sum(sale.settled_tax(tax.amount) for tax in sale.taxes)


def _settled(sale: Sale, gone: _Gone, one: Return, split: Split, net_before: Mapping[str, int]) -> SettledReturn:
    """Convert on cumulated amounts less what was booked: whatever failed in between, the whole is the whole."""
    taxes = []
    for part in sale.taxes:
        shown = split.taxes.get(part.rate, 0)
        whole = sale.settled_tax(gone.taxes[part.rate] + shown)
        taxes.append(SettledTax(part, whole - gone.settled_taxes[part.rate], shown))
    amount = sale.settled(gone.amount + one.amount) - gone.settled
    net = amount - sum(tax.amount for tax in taxes)
    together = {line.id: gone.nets[line.id] + split.nets.get(line.id, 0) for line in sale.lines}
    so_far = _by_course(sale, together, sum(gone.settled_nets.values()) + net)
    nets = {course: whole - gone.settled_nets[course] for course, whole in so_far.items()}
    return SettledReturn(one.id, amount, tuple(taxes), nets, _of_courses(sale, split.nets), net_before)


def _of_courses(sale: Sale, nets: Mapping[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in sale.lines:
        found[line.course] = found.get(line.course, 0) + nets.get(line.id, 0)
    return found


def _by_course(sale: Sale, nets: Mapping[str, int], amount: int) -> dict[str, int]:
    """Share a settled amount among courses in proportion to their presented nets."""
    weights = {course: max(weight, 0) for course, weight in _of_courses(sale, nets).items()}
    if len(weights) < 2:
        return dict.fromkeys(weights, amount)
    if not any(weights.values()):
        # The rounding of a tiny part: too small to be told apart by course.
        return {course: amount if place == 0 else 0 for place, course in enumerate(weights)}
    return dict(zip(weights, allocate(amount, list(weights.values())), strict=True))
