"""October 2026 worked out on paper: 13 balance transactions with the totals of netsuite-journals.md §3.

    BT        amount    fee     net   what it is
    txn_a     108.88   3.46  105.42   sale a, course 101: 100.00 + 8.88 sales tax of New York (8.875 %, half up)
    txn_b     108.88   3.46  105.42   sale b, the same
    txn_c     118.00   3.72  114.28   sale c, course 201: 100.00 + 18.00 VAT of Israel (18 %)
    txn_d     106.80   3.40  103.40   sale d, course 201: EUR 100.00 at 1.068, no tax
    txn_e    ¥15,000   ¥570 ¥14,430   sale e, course 101: no tax
    txn_f     −25.00          −25.00  Stripe's monthly product fee: its cost is the amount, `fee` is 0 (§0.13)
    txn_rb    −54.44          −54.44  half of sale b goes back
    txn_rd   −107.10         −107.10  EUR 100.00 of sale d go back at the day's 1.071
    txn_do   −118.00  15.00 −133.00   dispute over sale c opens
    txn_dw    118.00          118.00  and is won; its fee stays
    txn_p1   −105.42         −105.42  payout
    txn_p2    −90.00          −90.00  payout
    txn_pf     90.00           90.00  which the bank sends back

Fees are 2.9 % + 0.30: 108.88 → 3.157… → 3.16 + 0.30; 118.00 → 3.422 → 3.42 + 0.30; 106.80 → 3.097… → 3.10 + 0.30.
Sales: 108.88 + 108.88 + 118.00 + 106.80 = 442.56, of it NY 17.76, VAT 18.00. Processing 3.46 + 3.46 + 3.72 + 3.40
= 14.04. USD net: 442.56 − 14.04 − 25.00 − 54.44 − 107.10 − 118.00 − 15.00 + 118.00 − 105.42 − 90.00 + 90.00 = 121.56.

How each line comes about:

    SALES    revenue 101 = a 100.00 + b 100.00; 201 = c 100.00 + d 106.80 (cash leg less no tax: revenue takes the cent)
             tax NY = 8.88 × 2, IL = 18.00; clearing = 108.88 + 108.88 + 118.00 + 106.80
    FEES     details of a, b, c, d = 14.04; txn_f 25.00; clearing = 14.04 + 25.00. The dispute's fee stands with it.
    REFUNDS  b: 54.44 of 108.88 is half: tax 8.88 × 54.44 / 108.88 = 4.44, the rest 50.00 is course 101's
             d: at the charge's rate 106.80 of course 201 go back, the day's rate takes 107.10: FX 0.30
             clearing = 54.44 + 107.10
    DISPUTES opened Dr disputed 118.00, Dr fee 15.00, Cr clearing 118.00 + 15.00; won Dr clearing 118.00, Cr disputed
    PAYOUTS  Dr transit 105.42 + 90.00, Cr clearing the same; sent back Dr clearing 90.00, Cr transit 90.00
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from itertools import groupby

import pytest
from paper_books import Paper, at, dated, journal, short

from redisu_pipeline.close.sources import Journal
from redisu_pipeline.common.money import to_minor
from redisu_pipeline.common.periods import Month
from redisu_pipeline.journals.derive import Derived

OCTOBER = Month(2026, 10)

EXPECTED = """
STR-US-JPY-202610-FEES-V1
    FEES JPY 6100 dr 570
    FEES JPY 1150 cr 570
STR-US-JPY-202610-SALES-V1
    SALES JPY 4000 redis-101 cr 15000
    SALES JPY 1150 dr 15000
STR-US-USD-202610-DISPUTES-V1
    DISPUTES USD 6120 dr 15.00
    DISPUTES USD 1170 cr 118.00
    DISPUTES USD 1170 dr 118.00
    DISPUTES USD 1150 cr 133.00
    DISPUTES USD 1150 dr 118.00
STR-US-USD-202610-FEES-V1
    FEES USD 6100 dr 14.04
    FEES USD 6110 dr 25.00
    FEES USD 1150 cr 39.04
STR-US-USD-202610-PAYOUTS-V1
    PAYOUTS USD 1160 cr 90.00
    PAYOUTS USD 1160 dr 195.42
    PAYOUTS USD 1150 cr 195.42
    PAYOUTS USD 1150 dr 90.00
STR-US-USD-202610-REFUNDS-V1
    REFUNDS USD 4900 redis-101 dr 50.00
    REFUNDS USD 4900 redis-201 dr 106.80
    REFUNDS USD 7100 dr 0.30
    REFUNDS USD 2210 US/NY dr 4.44
    REFUNDS USD 1150 cr 161.54
STR-US-USD-202610-SALES-V1
    SALES USD 4000 redis-101 cr 200.00
    SALES USD 4000 redis-201 cr 206.80
    SALES USD 2210 US/NY cr 17.76
    SALES USD 2220 IL cr 18.00
    SALES USD 1150 dr 442.56
"""
# Journal line → its sources in minor units, debit positive.
SOURCES = """
JPY-202610-FEES 1: txn_e 570
JPY-202610-FEES 2: txn_e -570
JPY-202610-SALES 1: in_e -15000
JPY-202610-SALES 2: txn_e 15000
USD-202610-DISPUTES 1: txn_do 1500
USD-202610-DISPUTES 2: dp_c -11800
USD-202610-DISPUTES 3: dp_c 11800
USD-202610-DISPUTES 4: txn_do -11800, txn_do -1500
USD-202610-DISPUTES 5: txn_dw 11800
USD-202610-FEES 1: txn_a 346, txn_b 346, txn_c 372, txn_d 340
USD-202610-FEES 2: txn_f 2500
USD-202610-FEES 3: txn_a -346, txn_b -346, txn_c -372, txn_d -340, txn_f -2500
USD-202610-PAYOUTS 1: po_2 -9000
USD-202610-PAYOUTS 2: po_1 10542, po_2 9000
USD-202610-PAYOUTS 3: txn_p1 -10542, txn_p2 -9000
USD-202610-PAYOUTS 4: txn_pf 9000
USD-202610-REFUNDS 1: re_b 5000
USD-202610-REFUNDS 2: re_d 10680
USD-202610-REFUNDS 3: re_d 30
USD-202610-REFUNDS 4: re_b 444
USD-202610-REFUNDS 5: txn_rb -5444, txn_rd -10710
USD-202610-SALES 1: in_a -10000, in_b -10000
USD-202610-SALES 2: in_c -10000, in_d -10680
USD-202610-SALES 3: in_a -888, in_b -888
USD-202610-SALES 4: in_c -1800
USD-202610-SALES 5: txn_a 10888, txn_b 10888, txn_c 11800, txn_d 10680
"""


def sale(paper: Paper, name: str, day: str, course: str, net: int, tax: int = 0, place: str = "", **cash: int) -> None:
    """Write down a paid invoice with its charge and its balance transaction; ``cash`` has what differs from it."""
    shown = {"d": "EUR", "e": "JPY"}.get(name, "USD")
    total, settled = net + tax, "JPY" if shown == "JPY" else "USD"
    moment = at(day)
    rate = cash.get("rate_e8")
    paper.transaction(
        f"txn_{name}",
        moment,
        "charge",
        cash.get("amount", total),
        fee=cash["fee"],
        source=f"ch_{name}",
        currency=settled,
        rate_e8=rate,
    )
    paper.put("fees", transaction=f"txn_{name}", amount=cash["fee"], type="stripe_fee")
    paper.put(
        "charges", id=f"ch_{name}", currency=shown, amount=total, amount_captured=total, payment_intent=f"pi_{name}"
    )
    paper.put("invoice_payments", invoice=f"in_{name}", payment_intent=f"pi_{name}", charge=f"ch_{name}")
    paper.put(
        "invoices",
        id=f"in_{name}",
        currency=shown,
        total=total,
        total_excluding_tax=net,
        tax_amount=tax,
        amount_paid=total,
        **dated(moment),
    )
    line = f"il_{name}"
    paper.put("invoice_lines", id=line, invoice=f"in_{name}", created=moment, amount=net, product=f"prod_{course}")
    if tax:
        country, _, state = place.partition("/")
        paper.put(
            "invoice_taxes",
            invoice=f"in_{name}",
            invoice_line=line,
            created=moment,
            amount=tax,
            tax_rate=f"txr_{country}",
            country=country,
            state=state or None,
        )


def october() -> Paper:
    """The rows of the month."""
    paper = Paper()
    for course in ("redis-101", "redis-201"):
        paper.put("products", id=f"prod_{course}", metadata_course=course)
    sale(paper, "a", "10-02", "redis-101", 100_00, 8_88, "US/NY", fee=3_46)
    sale(paper, "b", "10-05", "redis-101", 100_00, 8_88, "US/NY", fee=3_46)
    sale(paper, "c", "10-07", "redis-201", 100_00, 18_00, "IL", fee=3_72)
    sale(paper, "d", "10-09", "redis-201", 100_00, amount=106_80, fee=3_40, rate_e8=106_800_000)
    sale(paper, "e", "10-10", "redis-101", 15000, fee=570)
    paper.transaction("txn_f", at("10-11"), "fee", -25_00, type="stripe_fee", description="Billing - Usage Fee")
    _refund(paper, "b", "10-12", 54_44, -54_44)
    _refund(paper, "d", "10-13", 100_00, -107_10, rate_e8=107_100_000)
    paper.put("disputes", id="dp_c", charge="ch_c", amount=118_00, currency="USD", status="won")
    paper.transaction("txn_do", at("10-14"), "dispute", -118_00, type="adjustment", fee=15_00, source="dp_c")
    paper.put("fees", transaction="txn_do", amount=15_00, type="stripe_fee")
    paper.transaction("txn_dw", at("10-28"), "dispute_reversal", 118_00, type="adjustment", source="dp_c")
    paper.transaction("txn_p1", at("10-20"), "payout", -105_42, source="po_1")
    paper.transaction("txn_p2", at("10-21"), "payout", -90_00, source="po_2")
    paper.transaction("txn_pf", at("10-23"), "payout_reversal", 90_00, type="payout_failure", source="po_2")
    for id, amount, status in (("po_1", 105_42, "paid"), ("po_2", 90_00, "failed")):
        paper.put("payouts", id=id, currency="USD", amount=amount, status=status, arrival_period=202610, period=202610)
    return paper


def _refund(paper: Paper, name: str, day: str, shown: int, amount: int, rate_e8: int | None = None) -> None:
    moment = at(day)
    paper.transaction(f"txn_r{name}", moment, "refund", amount, source=f"re_{name}", rate_e8=rate_e8)
    when = dated(moment)
    paper.put(
        "refunds",
        id=f"re_{name}",
        charge=f"ch_{name}",
        amount=shown,
        transaction=f"txn_r{name}",
        created=when["created"],
        day=when["day"],
    )


@pytest.fixture(scope="module")
def worked() -> tuple[Derived, Journal]:
    return journal(october().books(OCTOBER))


def test_the_balance_transactions_have_the_totals_of_the_reference() -> None:
    nets: dict[str, int] = defaultdict(int)
    rows = october().rows["transactions"]
    for row in rows:
        nets[row["currency"]] += row["net"]
    assert (len(rows), dict(nets)) == (13, {"USD": 121_56, "JPY": 14430})


def test_every_journal_line_is_the_one_on_paper(worked: tuple[Derived, Journal]) -> None:
    derived, found = worked
    shown = [
        text
        for id, lines in groupby(found.lines, key=lambda line: line.external_id)
        for text in (id, *(f"    {short(line)}" for line in lines))
    ]
    assert shown == EXPECTED.strip().splitlines()
    assert derived.blocked == ()


def test_every_line_comes_from_the_ids_on_paper(worked: tuple[Derived, Journal]) -> None:
    _, found = worked
    parts: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for place, id, amount in found.legs.select("place", "source_id", "amount").rows():
        parts[place].append((id, amount))
    shown = [
        f"{line.external_id.removeprefix('STR-US-').removesuffix('-V1')} {line.line}: "
        + ", ".join(f"{id} {amount}" for id, amount in sorted(parts[place]))
        for place, line in enumerate(found.lines)
    ]
    assert shown == SOURCES.strip().splitlines()


def test_the_accounts_close_as_the_reference_says(worked: tuple[Derived, Journal]) -> None:
    """Clearing is Σ BT.net (C3), transit what is on its way (C7, bank side off), nothing is disputed or in flight."""
    _, found = worked
    closing: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in found.lines:
        closing[line.gl_role, line.currency] += line.amount
    assert closing["clearing", "USD"] == Decimal("121.56")
    assert closing["clearing", "JPY"] == Decimal(14430)
    assert closing["transit", "USD"] == Decimal("105.42")
    assert closing["disputed", "USD"] == 0
    assert ("in_flight", "USD") not in closing
    assert sum(closing[role, "USD"] for role, currency in list(closing) if currency == "USD") == 0


def test_what_the_buyer_saw_stands_beside_the_settled_amount(worked: tuple[Derived, Journal]) -> None:
    """Sale d in EUR: 100.00 came in at 1.068 and went back at 1.071."""
    _, found = worked
    columns = ["source_id", "amount", "presentment_amount", "presentment_currency", "rate_e8"]
    rows = {row[0]: row for row in found.legs.select(columns).rows() if row[3] == "EUR"}
    assert rows["txn_d"] == ("txn_d", 106_80, 100_00, "EUR", 106_800_000)
    assert rows["in_d"] == ("in_d", -106_80, -100_00, "EUR", 106_800_000)
    assert rows["txn_rd"] == ("txn_rd", -107_10, -100_00, "EUR", 107_100_000)
    assert rows["re_d"] == ("re_d", 106_80, 100_00, "EUR", 106_800_000)


def test_dates_and_names_are_those_of_the_month(worked: tuple[Derived, Journal]) -> None:
    _, found = worked
    about = {
        (line.period, str(line.tran_date), line.account, line.version, line.adjusts_period) for line in found.lines
    }
    assert about == {("2026-10", "2026-10-31", "us", 1, None)}
    for line in found.lines:
        assert to_minor(abs(line.amount), line.currency) > 0
        assert len(line.external_id) <= 45


@pytest.mark.parametrize(("month", "lines"), [(Month(2026, 9), 0), (Month(2026, 11), 0)])
def test_the_months_beside_it_are_empty(month: Month, lines: int) -> None:
    _, found = journal(october().books(month))
    assert len(found.lines) == lines
