"""Small random shops on paper: sales of every kind, and what goes back of them, over the borders of months."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from paper_books import Paper, at, dated

from redisu_pipeline.common.periods import Month
from redisu_pipeline.journals.books import CourseTerms

MONTHS = tuple(Month(2026, number) for number in (9, 10, 11))
COURSES = {"spot": CourseTerms(None), "week": CourseTerms(7), "month": CourseTerms(31)}
"""Whoever bought until the middle of October has had a month of access by the end of November."""
PLACES = (("US", "NY"), ("US", "TX"), ("DE", None), ("IL", None))
E8 = 10**8
RATES = {"EUR": 1.08, "JPY": 0.0067, "KWD": 3.25}
SCALES = {"USD": 100, "EUR": 100, "JPY": 1, "KWD": 1000}


@dataclass
class Sold:
    """A sale on paper and what is left of it; amounts in presentment minor units."""

    name: str
    shown: str
    settled: str
    total: int
    rate_e8: int | None
    day: datetime
    lines: list[tuple[str, int, int]]  # id, net, tax
    left: int = 0
    turn: int = 0
    disputed: bool = False


@dataclass
class Shop:
    """The rows, and what was sold."""

    paper: Paper = field(repr=False)
    sales: list[Sold] = field(default_factory=list)
    whole: bool = False

    @property
    def rows(self) -> Mapping[str, list[dict[str, Any]]]:
        return self.paper.rows


def settle(amount: int, shown: str, settled: str, rate_e8: int | None) -> int:
    """Return a presentment amount in settlement minor units, half up; the same where nothing is converted."""
    if rate_e8 is None:
        return amount
    up, down = SCALES[settled], SCALES[shown]
    return (2 * amount * rate_e8 * up + E8 * down) // (2 * E8 * down)


@st.composite
def worlds(draw: st.DrawFn) -> Shop:
    """Up to nine sales from September to the middle of October, and up to four things that happen to each."""
    world = Shop(Paper(courses=COURSES))
    for slug in COURSES:
        world.paper.put("products", id=f"prod_{slug}", metadata_course=slug)
    for number in range(draw(st.integers(1, 9))):
        world.sales.append(_sell(draw, world.paper, f"{number}"))
    world.whole = draw(st.booleans())
    for sale in world.sales:
        for _ in range(draw(st.integers(0, 3))):
            if sale.left and not sale.disputed:
                _happen(draw, world.paper, sale)
        if world.whole and sale.left and not sale.disputed:
            _refund(draw, world.paper, sale, sale.left, fails=False)
    if draw(st.booleans()):
        _reserve(draw, world.paper)
    return world


def _sell(draw: st.DrawFn, paper: Paper, name: str) -> Sold:
    shown, settled = draw(
        st.sampled_from([("USD", "USD"), ("USD", "USD"), *((c, "USD") for c in RATES), ("JPY", "JPY")])
    )
    rate = round(RATES[shown] * draw(st.integers(95, 105)) / 100 * E8) if shown != settled else None
    day = at("09-04") + timedelta(days=draw(st.integers(0, 42)))
    place = draw(st.sampled_from(PLACES))
    percent, inclusive = draw(st.sampled_from([0, 7, 18])), draw(st.booleans())
    lines = []
    for position, course in enumerate(draw(st.lists(st.sampled_from([*COURSES]), min_size=1, max_size=3))):
        net = draw(st.integers(100, 30_000)) * (10 if shown == "KWD" else 1)
        tax = (net * percent + 50) // 100
        line = f"il_{name}_{position}"
        amount = net + tax if inclusive else net
        paper.put("invoice_lines", id=line, invoice=f"in_{name}", created=day, position=position, amount=amount,
                  product=f"prod_{course}")  # fmt: skip
        if tax:
            paper.put("invoice_taxes", invoice=f"in_{name}", invoice_line=line, created=day, amount=tax,
                      tax_rate=f"txr_{place[0]}{place[1] or ''}", country=place[0], state=place[1],
                      tax_behavior="inclusive" if inclusive else "exclusive")  # fmt: skip
        lines.append((line, net, tax))
    total = sum(net + tax for _, net, tax in lines)
    sale = Sold(name, shown, settled, total, rate, day, lines, left=total)
    _pay(draw, paper, sale)
    return sale


def _pay(draw: st.DrawFn, paper: Paper, sale: Sold) -> None:
    """The invoice counts up to three days before or after its money comes."""
    name, paid = sale.name, sale.day + timedelta(days=draw(st.sampled_from([0, 0, -3, 3])))
    net = sum(net for _, net, _ in sale.lines)
    amount = settle(sale.total, sale.shown, sale.settled, sale.rate_e8)
    fee = draw(st.integers(0, 300))
    paper.transaction(f"txn_{name}", paid, "charge", amount, fee=fee, currency=sale.settled, source=f"ch_{name}",
                      rate_e8=sale.rate_e8)  # fmt: skip
    if fee:
        paper.put("fees", transaction=f"txn_{name}", amount=fee, type="stripe_fee")
    paper.put("charges", id=f"ch_{name}", currency=sale.shown, amount=sale.total, amount_captured=sale.total,
              payment_intent=f"pi_{name}")  # fmt: skip
    paper.put("invoice_payments", invoice=f"in_{name}", payment_intent=f"pi_{name}", charge=f"ch_{name}")
    paper.put("invoices", id=f"in_{name}", currency=sale.shown, total=sale.total, total_excluding_tax=net,
              tax_amount=sale.total - net, amount_paid=sale.total, **dated(sale.day))  # fmt: skip


def _happen(draw: st.DrawFn, paper: Paper, sale: Sold) -> None:
    kind = draw(st.sampled_from(["refund", "refund", "failing", "note", "alone", "dispute"]))
    amount = draw(st.one_of(st.just(sale.left), st.integers(1, sale.left)))
    if kind == "dispute":
        return _dispute(draw, paper, sale)
    if kind == "alone":
        return _note_alone(draw, paper, sale, amount)
    if kind == "note" and sale.left == sale.total:
        return _noted(draw, paper, sale)
    return _refund(draw, paper, sale, amount, fails=kind == "failing")


def _later(draw: st.DrawFn, sale: Sold) -> datetime:
    """Return a moment after everything that happened to the sale so far, before December."""
    sale.turn += 1
    return sale.day + timedelta(days=3 + sale.turn * 7 + draw(st.integers(0, 6)), minutes=sale.turn)


def _refund(draw: st.DrawFn, paper: Paper, sale: Sold, amount: int, *, fails: bool) -> None:
    moment, id = _later(draw, sale), f"re_{sale.name}_{sale.turn}"
    rate = sale.rate_e8 and sale.rate_e8 * draw(st.integers(95, 105)) // 100
    money = settle(amount, sale.shown, sale.settled, rate)
    paper.transaction(f"txn_{id}", moment, "refund", -money, currency=sale.settled, source=id, rate_e8=rate)
    failure = None
    if fails:
        back = moment + timedelta(days=draw(st.integers(1, 6)))
        failure = paper.transaction(f"txn_{id}_back", back, "refund_failure", money, currency=sale.settled, source=id,
                                    rate_e8=rate)  # fmt: skip
    else:
        sale.left -= amount
    when = dated(moment)
    paper.put("refunds", id=id, charge=f"ch_{sale.name}", amount=amount, created=moment, day=when["day"],
              status="failed" if fails else "succeeded", transaction=f"txn_{id}",
              failure_transaction=failure)  # fmt: skip


def _noted(draw: st.DrawFn, paper: Paper, sale: Sold) -> None:
    """A refund with a credit note that takes one whole line, its tax and no other."""
    line, net, tax = draw(st.sampled_from(sale.lines))
    _refund(draw, paper, sale, net + tax, fails=False)
    refund = paper.rows["refunds"][-1]
    note = f"cn_{sale.name}"
    when = dated(refund["created"])
    paper.put("credit_notes", id=note, invoice=f"in_{sale.name}", total=net + tax, **when)
    paper.put("credit_note_refunds", credit_note=note, refund=refund["id"], amount=net + tax)
    known = [one for one in paper.rows.get("invoice_taxes", ()) if one["invoice_line"] == line]
    for one in known:
        paper.put("credit_note_taxes", credit_note=note, tax_rate=one["tax_rate"], amount=one["amount"])
    inside = sum(one["amount"] for one in known if one["tax_behavior"] == "inclusive")
    paper.put("credit_note_lines", credit_note=note, invoice_line=line, amount=net + inside, discount_amount=0,
              inclusive_tax=inside or None)  # fmt: skip


def _note_alone(draw: st.DrawFn, paper: Paper, sale: Sold, amount: int) -> None:
    """A credit note without money, with the tax of its part; it may be voided."""
    moment, note = _later(draw, sale), f"cn_{sale.name}_{sale.turn}"
    tax = sum(tax for _, _, tax in sale.lines)
    voided = moment + timedelta(days=draw(st.integers(1, 6))) if draw(st.booleans()) or sale.left < sale.total else None
    void = dated(voided) if voided else {"period": None, "day": None}
    paper.put("credit_notes", id=note, invoice=f"in_{sale.name}", total=amount, to_balance=draw(st.booleans()),
              status="void" if voided else "issued", voided_at=voided, void_period=void["period"],
              void_day=void["day"], **dated(moment))  # fmt: skip
    part = tax * amount // sale.total
    rates = {one["tax_rate"] for one in paper.rows.get("invoice_taxes", ()) if one["invoice"] == f"in_{sale.name}"}
    for rate in rates:
        paper.put("credit_note_taxes", credit_note=note, tax_rate=rate, amount=part)
    if voided is None:
        sale.left -= amount


def _dispute(draw: st.DrawFn, paper: Paper, sale: Sold) -> None:
    """Over all of the sale: open, won at the same rate or another, or lost."""
    if sale.left < sale.total:
        return
    sale.disputed = True
    moment = _later(draw, sale)
    id, end = f"dp_{sale.name}_{sale.turn}", draw(st.sampled_from(["needs_response", "won", "lost"]))
    rate = sale.rate_e8 and sale.rate_e8 * draw(st.integers(95, 105)) // 100
    money = settle(sale.total, sale.shown, sale.settled, rate)
    common = {"currency": sale.settled, "source": id, "type": "adjustment"}
    paper.transaction(f"txn_{id}", moment, "dispute", -money, fee=1500, rate_e8=rate, **common)
    paper.put("fees", transaction=f"txn_{id}", amount=1500, type="stripe_fee")
    over = moment + timedelta(days=draw(st.integers(1, 12)))
    paper.put("disputes", id=id, charge=f"ch_{sale.name}", amount=sale.total, currency=sale.shown, status=end,
              closed_period=dated(over)["period"] if end == "lost" else None)  # fmt: skip
    if end == "won":
        other = rate and rate * draw(st.integers(98, 102)) // 100
        back = settle(sale.total, sale.shown, sale.settled, other)
        paper.transaction(f"txn_{id}_won", over, "dispute_reversal", back, rate_e8=other, **common)
        sale.disputed = False


def _reserve(draw: st.DrawFn, paper: Paper) -> None:
    moment, amount = at("09-05") + timedelta(days=draw(st.integers(0, 60))), draw(st.integers(1, 9_999))
    for turn, sign in enumerate((-1, 1)):
        when = moment + timedelta(days=20 * turn)
        for kind, part in (("payments", sign * amount), ("risk_reserved", -sign * amount)):
            paper.transaction(f"txn_{kind}_{turn}", when, "risk_reserved_funds", part, balance_type=kind)
