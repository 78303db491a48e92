"""A class with more than 200 lines stands in parts that each balance: NetSuite takes no more in one journal."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import polars as pl
import pytest
from paper_books import Paper, at, dated, heading_of, in_order, journal

from redisu_pipeline.close.late_changes import Standing, accounts_posted, delta, late_journal
from redisu_pipeline.close.sources import Journal
from redisu_pipeline.common.money import to_minor
from redisu_pipeline.common.periods import Month
from redisu_pipeline.journals.lines import MOST_LINES

OCTOBER = Month(2026, 10)
STATES = "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND".split()


def sell(paper: Paper, number: int, courses: list[int], state: str, *, cash: bool = True) -> None:
    """Write down a sale of one or more courses with the tax of a state, and half of it back."""
    name, day = f"{number:04d}", at("10-05")
    nets = [100_00 + course for course in courses]
    total = sum(nets) + 7 * len(courses)
    for place, (course, net) in enumerate(zip(courses, nets, strict=True)):
        line = f"il_{name}_{place}"
        paper.put("invoice_lines", id=line, invoice=f"in_{name}", created=day, position=place, amount=net,
                  product=f"prod_{course:03d}")  # fmt: skip
        paper.put("invoice_taxes", invoice=f"in_{name}", invoice_line=line, created=day, amount=7,
                  tax_rate=f"txr_{state}", country="US", state=state)  # fmt: skip
    if cash:
        paper.transaction(f"txn_{name}", day, "charge", total, source=f"ch_{name}")
    paper.put("charges", id=f"ch_{name}", currency="USD", amount=total, amount_captured=total,
              payment_intent=f"pi_{name}")  # fmt: skip
    paper.put("invoice_payments", invoice=f"in_{name}", payment_intent=f"pi_{name}", charge=f"ch_{name}")
    paper.put("invoices", id=f"in_{name}", currency="USD", total=total, total_excluding_tax=sum(nets),
              tax_amount=7 * len(courses), amount_paid=total, **dated(day))  # fmt: skip
    if cash:
        paper.transaction(f"txn_re_{name}", at("10-09"), "refund", -(total // 2), source=f"re_{name}")
        when = dated(at("10-09"))
        paper.put("refunds", id=f"re_{name}", charge=f"ch_{name}", amount=total // 2, created=when["created"],
                  day=when["day"], transaction=f"txn_re_{name}")  # fmt: skip


def shop(courses: int, *, bundles: bool = False, cash: bool = True) -> Paper:
    """Every course sold in some state; with bundles, each together with the next one and the last one."""
    paper = Paper()
    for course in range(courses):
        paper.put("products", id=f"prod_{course:03d}", metadata_course=f"course-{course:03d}")
    for course in range(courses):
        together = [course, (course + 1) % courses, courses - 1] if bundles else [course]
        sell(paper, course, list(dict.fromkeys(together)), STATES[course % len(STATES)], cash=cash)
    return paper


def check(found: Journal) -> dict[str, int]:
    """Every part balances, has at most 200 lines numbered from 1, and its lines are their sources."""
    sums: Counter[str] = Counter()
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    parts = dict(found.legs.group_by("place").agg(pl.col("amount").sum()).rows())
    for place, line in enumerate(found.lines):
        sums[line.external_id] += to_minor(line.amount, line.currency)
        numbers[line.external_id].append(line.line)
        assert parts[place] == to_minor(line.amount, line.currency), line
    assert set(sums.values()) == {0}, sums
    for id, own in numbers.items():
        assert own == list(range(1, len(own) + 1)), id
        assert len(own) <= MOST_LINES
    return {id: len(own) for id, own in numbers.items()}


@pytest.mark.parametrize("bundles", [False, True])
def test_a_class_with_too_many_lines_is_split(bundles: bool) -> None:
    derived, found = journal(shop(240, bundles=bundles).books(OCTOBER))
    lengths = check(found)
    assert sum(length for id, length in lengths.items() if "-SALES-" in id) > MOST_LINES
    for klass in ("SALES", "REFUNDS"):
        names = [id for id in lengths if f"-{klass}-" in id]
        assert names == [f"STR-US-USD-202610-{klass}-V1-P{part}" for part in range(1, len(names) + 1)]
        assert len(names) >= 2
    assert sum(abs(total.amount) for total in derived.totals) == found.legs["amount"].abs().sum()


def test_what_fits_has_no_parts() -> None:
    _, found = journal(shop(150).books(OCTOBER))
    assert max(check(found).values()) > 150
    assert not any(line.external_id[-3:-1] == "-P" for line in found.lines)


def test_the_parts_are_the_same_on_every_run() -> None:
    one, other = (journal(shop(240).books(OCTOBER))[1] for _ in range(2))
    assert one.lines == other.lines
    assert in_order(one).equals(in_order(other))


def test_late_changes_with_too_many_lines_are_split_into_parts_that_balance() -> None:
    """The money of 240 sales came to light late: cash and what it bridged have different ids; each part balances."""
    late, stood = shop(240), shop(240, cash=False)
    _, fresh = journal(late.books(OCTOBER))
    _, before = journal(stood.books(OCTOBER))
    posted = accounts_posted(before.lines, fresh.lines)
    other = replace(heading_of(late.books(OCTOBER)), version=2, adjusts=OCTOBER, posted=posted)
    found = late_journal(delta(fresh, Standing(before.lines, before.legs)), other)
    lengths = check(found)
    assert len(lengths) >= 3
