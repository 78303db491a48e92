"""What goes back of a sale, whatever its order: nothing is lost, nothing goes back twice, the last lands exactly."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redisu_pipeline.journals.returns import LinePart, Return, Sale, SettledReturn, TaxPart, settled_returns

SOLD = datetime(2026, 10, 1, tzinfo=UTC)
PLACES = (("sales_tax", "US", "NY"), ("sales_tax", "US", "TX"), ("vat", "DE", ""))
SCALES = {"USD": 100, "EUR": 100, "JPY": 1, "KWD": 1000}


@st.composite
def sales(draw: st.DrawFn) -> Sale:
    """A sale of up to three lines and tax rates, in dollars or converted to them."""
    shown = draw(st.sampled_from(["USD", "USD", *SCALES]))
    nets = draw(st.lists(st.one_of(st.just(0), st.integers(100, 30_000)), min_size=1, max_size=3).filter(any))
    lines = [LinePart(f"il_{at}", draw(st.sampled_from(["101", "201"])), net) for at, net in enumerate(nets)]
    rates = draw(st.lists(st.sampled_from(PLACES), max_size=3, unique=True))
    percents = [draw(st.integers(1, 25)) for _ in rates]
    taxes = tuple(
        TaxPart(f"txr_{at}", *place, max(sum(nets) * percent // 100, 1))
        for at, (place, percent) in enumerate(zip(rates, percents, strict=True))
    )
    total = sum(nets) + sum(tax.amount for tax in taxes)
    converted = shown != "USD"
    rate = draw(st.integers(50_000_000, 200_000_000)) if converted else None
    if shown == "JPY" and rate is not None:
        rate //= 100
    up, down = max(SCALES["USD"] // SCALES[shown], 1), max(SCALES[shown] // SCALES["USD"], 1)
    received = (2 * total * (rate or 0) * up + 10**8 * down) // (2 * 10**8 * down) if converted else total
    return Sale("in_1", "USD", shown, total, total, received, rate, up, down, 0, taxes, tuple(lines))


@dataclass(frozen=True)
class Story:
    """A sale and what went back of it; ``whole`` tells that in the end everything has."""

    sale: Sale
    returns: tuple[Return, ...]
    whole: bool


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Returns of any size and order; some are taken back later. Never more than all is back at a time."""
    sale = draw(sales())
    returns: list[Return] = []
    left = sale.total
    for at in range(draw(st.integers(1, 5))):
        if not left:
            break
        amount = draw(st.one_of(st.just(left), st.integers(1, left)))
        moment = SOLD + timedelta(days=at)
        undone = moment + timedelta(hours=draw(st.integers(1, 100))) if draw(st.integers(0, 3)) == 0 else None
        returns.append(Return(f"re_{draw(st.integers(0, 9))}{at}", moment, amount, undone))
        gone = sum(one.amount for one in returns if one.undone is None or one.undone > moment + timedelta(days=1))
        left = sale.total - gone
    gone = sum(one.amount for one in returns if one.undone is None)
    whole = draw(st.booleans()) and gone < sale.total
    if whole:
        returns.append(Return("re_last", SOLD + timedelta(days=30), sale.total - gone))
    return Story(sale, tuple(draw(st.permutations(returns))), whole or gone == sale.total)


def taken(sale: Sale, done: dict[str, SettledReturn], returns: tuple[Return, ...]) -> Counter[str]:
    """Return what is back in the end, by tax rate and course, in settled minor units."""
    found: Counter[str] = Counter()
    for one in returns:
        if one.undone is None:
            found.update({tax.part.rate: tax.amount for tax in done[one.id].taxes})
            found.update(done[one.id].nets)
    return found


def sold(sale: Sale) -> Counter[str]:
    """Return what the sale was booked as: its one return of everything is the exact reverse."""
    whole = settled_returns(sale, [Return("re_all", SOLD, sale.total)])
    return taken(sale, whole, (Return("re_all", SOLD, sale.total),))


def check(story: Story) -> None:
    sale, returns = story.sale, story.returns
    done = settled_returns(sale, returns)
    assert set(done) == {one.id for one in returns}
    for one in returns:
        part = done[one.id]
        assert part.amount == sum(tax.amount for tax in part.taxes) + sum(part.nets.values())
        assert sum(tax.shown for tax in part.taxes) + sum(part.shown_nets.values()) == one.amount
    back, whole = taken(sale, done, returns), sold(sale)
    if story.whole:
        assert +back == +whole  # the last one lands exactly, by jurisdiction and by course
    else:
        cents = 1 + len(sale.taxes)  # each tax is rounded by itself, the price takes what that leaves
        assert all(-cents <= amount <= whole[name] + cents for name, amount in back.items()), (back, whole)


@settings(max_examples=300)
@given(stories())
def test_refunds_in_any_order_land_exactly(story: Story) -> None:
    check(story)


@pytest.mark.long
@settings(max_examples=5_000)
@given(stories())
def test_refunds_in_any_order_land_exactly_very_often(story: Story) -> None:
    check(story)


@given(sales())
def test_the_whole_sale_goes_back_as_it_was_booked(sale: Sale) -> None:
    """Tax at the printed rate, the rest of the cash leg by course: what journals/sales.py posts."""
    back = sold(sale)
    assert sum(back.values()) == sale.received
    for tax in sale.taxes:
        assert back[tax.rate] == sale.settled_tax(tax.amount)


@st.composite
def stories_with_notes(draw: st.DrawFn) -> Story:
    """Credit notes that take whole lines before refunds without any document: those must take what is left."""
    sale = draw(sales())
    lines = draw(st.permutations(sale.lines))
    notes = []
    for at, line in enumerate(lines[: draw(st.integers(0, len(lines)))]):
        if line.net:
            no_tax = {tax.rate: 0 for tax in sale.taxes}
            notes.append(Return(f"re_n{at}", SOLD + timedelta(days=at), line.net, None, no_tax, {line.id: line.net}))
    left = sale.total - sum(one.amount for one in notes)
    returns = list(notes)
    while left and len(returns) < len(notes) + 3:
        last = len(returns) == len(notes) + 2
        amount = left if last else draw(st.integers(1, left))
        returns.append(Return(f"re_r{len(returns)}", SOLD + timedelta(days=10 + len(returns)), amount))
        left -= amount
    return Story(sale, tuple(returns), not left)


@settings(max_examples=400)
@given(stories_with_notes())
def test_after_credit_notes_refunds_take_what_is_left(story: Story) -> None:
    """No line goes back twice, no tax goes back that was not charged, and no return takes tax back the wrong way."""
    sale, done = story.sale, settled_returns(story.sale, story.returns)
    whole, back = sold(sale), Counter[str]()
    for one in sorted(story.returns, key=lambda one: one.at):
        part = done[one.id]
        cents = 1 + len(sale.taxes)
        assert all(tax.shown >= 0 and tax.amount >= -1 for tax in part.taxes), (one, part)
        assert all(net >= -cents for net in (*part.nets.values(), *part.shown_nets.values())), (one, part)
        back.update({tax.part.rate: tax.amount for tax in part.taxes})
        back.update(part.nets)
        assert all(amount <= whole[name] + cents for name, amount in back.items()), (back, whole)
    if story.whole:
        assert +back == +whole
