"""A closed month made by hand: every class, two currencies, a delta journal, 30 controls; and a draft of it.

The figures fit together: each journal balances, the trial balance is their sum, the roll-forward ends on it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import DEFAULT_CHART, Account, NetSuite
from redisu_pipeline.controls.model import ControlRow, Status, Unit
from redisu_pipeline.export.month import (
    ClosedMonth,
    DailySales,
    DisputeRow,
    LargeInvoice,
    PayoutRow,
    RollForwardRow,
    TaxRow,
    TrialBalanceRow,
)
from redisu_pipeline.journals.model import JournalClass, JournalLine, external_id

OCTOBER = Month(2026, 10)
SEPTEMBER = Month(2026, 9)
ACCOUNT = Account(
    name="us",
    stripe_api_key_env="STRIPE_API_KEY_US",
    stripe_webhook_secret_envs=("STRIPE_WEBHOOK_SECRET_US",),
    subsidiary="Redis Inc.",
    base_currency="USD",
    start=date(2026, 8, 1),
)
NETSUITE = NetSuite(exchange_rates=Path("rates.csv"))
RATES = {"USD": Decimal(1), "JPY": Decimal("0.00670000")}
OPENING = {("USD", "clearing"): Decimal("1204.56"), ("USD", "transit"): Decimal("310.00")}

# class, currency: role, side, amount, course, country, state
ENTRIES = """
SALES USD
    revenue cr 1592.00 redis-101
    revenue cr 800.00 cert-dev
    sales_tax cr 120.40 - US NY
    sales_tax cr 87.60 - US TX
    clearing dr 2600.00
FEES USD
    fee_processing dr 75.40
    fee_product dr 25.00
    input_vat dr 4.52
    clearing cr 104.92
REFUNDS USD
    refunds dr 199.00 redis-101
    fx dr 0.30
    sales_tax dr 17.66 - US NY
    clearing cr 216.96
DISPUTES USD
    fee_dispute dr 15.00
    dispute_loss dr 59.00
    disputed dr 118.00
    disputed cr 59.00
    clearing cr 133.00
PAYOUTS USD
    transit dr 1950.00
    transit cr 90.00
    clearing dr 90.00
    clearing cr 1950.00
RESERVES USD
    reserve dr 50.00
    clearing cr 50.00
DEFERRAL USD
    revenue cr 40.00 cert-dev
    deferred dr 40.00 cert-dev
ADJ USD
    adjustments dr 3.10
    clearing cr 3.10
SALES JPY
    revenue cr 24000 redis-101
    vat cr 2400 - JP
    clearing dr 26400
FEES JPY
    fee_processing dr 970
    clearing cr 970
PAYOUTS JPY
    transit dr 11000
    clearing cr 11000
"""
LATE = """
REFUNDS USD
    refunds dr 59.00 redis-101
    clearing cr 59.00
"""


def closed_month() -> ClosedMonth:
    """October 2026 of account us: final, every control green or a work list."""
    lines = sorted(
        (*_lines(ENTRIES, OCTOBER, 1), *_lines(LATE, SEPTEMBER, 2)), key=lambda line: (line.external_id, line.line)
    )
    trial_balance = trial_balance_of(lines)
    return ClosedMonth(
        account=ACCOUNT,
        netsuite=NETSUITE,
        period=OCTOBER,
        status="final",
        version=1,
        lines=lines,
        controls=controls(),
        trial_balance=trial_balance,
        taxes=(
            tax("US", "NY", "sales_tax", "USD", "1393.00", "120.40", "17.66"),
            tax("US", "TX", "sales_tax", "USD", "999.00", "87.60", "0.00"),
            tax("JP", "", "vat", "JPY", "24000", "2400", "0"),
        ),
        roll_forward=ROLL_FORWARD,
        clearing={row.currency: (row.opening, row.closing) for row in trial_balance if row.gl_role == "clearing"},
        payouts=(
            payout("po_1OctA", "USD", "1860.00", "paid", 12, ""),
            payout("po_1OctB", "USD", "90.00", "failed", 19, "failed: account_closed"),
            payout("po_1OctJ", "JPY", "11000", "in_transit", 30, "manual: contents cannot be proved"),
        ),
        disputes=(
            DisputeRow(
                id="dp_1Open",
                charge="ch_1Buyer",
                currency="USD",
                amount=Decimal("118.00"),
                status="needs_response",
                reason="fraudulent",
                created=datetime(2026, 10, 21, 9, tzinfo=UTC),
            ),
        ),
        large_invoices=(
            LargeInvoice(
                id="in_1Large",
                number="REDIS-0042",
                day=date(2026, 10, 14),
                net=Decimal("12400.00"),
                currency="ILS",
                threshold=Decimal(5000),
            ),
        ),
        sales_by_day=tuple(daily_sales()),
        complete_until=datetime(2026, 11, 9, 6, tzinfo=UTC),
        courses={"redis-101": "Redis 101", "cert-dev": "Certified Developer exam"},
    )


def draft_month() -> ClosedMonth:
    """The same month while it is open: a control fails and something blocks it."""
    month = closed_month()
    failing = replace(
        month.controls[2],
        right_amount=month.controls[2].left_amount - Decimal("0.01"),
        status=Status.FAIL,
        detail="txn_1Moved: 199.00 USD in the journals, 198.99 USD at Stripe",
    )
    return replace(
        month,
        status="open",
        controls=(*month.controls[:2], failing, *month.controls[3:]),
        blocked=(
            "category network_cost: 2 balance transactions have no rule (txn_1A, txn_1B); add a [[journal_mapping]]",
        ),
    )


def with_line(month: ClosedMonth, place: int, **changes: object) -> ClosedMonth:
    """Return the month with one of its lines changed."""
    lines = list(month.lines)
    lines[place] = replace(lines[place], **changes)
    return replace(month, lines=lines)


def with_lines(month: ClosedMonth, lines: Sequence[JournalLine]) -> ClosedMonth:
    """Return the month with these lines and no others."""
    return replace(month, lines=list(lines))


def trial_balance_of(lines: Sequence[JournalLine]) -> tuple[TrialBalanceRow, ...]:
    """Return the balance of every account that the lines or the opening touch."""
    debits: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    credits_: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in lines:
        debits[line.currency, line.gl_role] += line.debit or 0
        credits_[line.currency, line.gl_role] += line.credit or 0
    rows = []
    for currency, role in sorted(debits, key=lambda key: (key[0] != "USD", DEFAULT_CHART[key[1]][0].number)):
        opening = OPENING.get((currency, role), Decimal(0))
        debit, credit = debits[currency, role], credits_[currency, role]
        rows.append(
            TrialBalanceRow(
                currency=currency,
                gl_role=role,
                gl_account=DEFAULT_CHART[role][0].number,
                gl_account_name=DEFAULT_CHART[role][0].name,
                opening=opening,
                debit=debit,
                credit=credit,
                closing=opening + debit - credit,
            )
        )
    return tuple(rows)


def _lines(entries: str, month: Month, version: int) -> list[JournalLine]:
    lines: list[JournalLine] = []
    klass, currency, number = JournalClass.SALES, "", 0
    for text in entries.strip().splitlines():
        words = text.split()
        if not text.startswith(" "):
            klass, currency, number = JournalClass(words[0]), words[1], 0
            continue
        number += 1
        role, side, amount, course, country, state = (*words, *["-"] * (6 - len(words)))
        gl = DEFAULT_CHART[role][0]
        lines.append(
            JournalLine(
                account="us",
                subsidiary="Redis Inc.",
                period=str(OCTOBER),
                external_id=external_id("us", currency, month, klass, version, None),
                class_=klass,
                version=version,
                tran_date=OCTOBER.last_day,
                posting_period="Oct 2026",
                currency=currency,
                exchange_rate=RATES[currency],
                line=number,
                gl_role=role,
                gl_account=gl.number,
                gl_account_name=gl.name,
                debit=Decimal(amount) if side == "dr" else None,
                credit=Decimal(amount) if side == "cr" else None,
                memo=f"{gl.name}, {currency}" + ("" if course == "-" else f", {course}"),
                department=None,
                location=None,
                course=None if course == "-" else course,
                tax_country=None if country == "-" else country,
                tax_state=None if state == "-" else state,
                adjusts_period=None if month == OCTOBER else str(month),
            )
        )
    return lines


def tax(country: str, state: str, kind: str, currency: str, taxable: str, collected: str, refunded: str) -> TaxRow:
    """Return a jurisdiction's tax."""
    return TaxRow(
        country=country,
        state=state,
        tax_type=kind,
        currency=currency,
        taxable=Decimal(taxable),
        collected=Decimal(collected),
        refunded=Decimal(refunded),
        source="tax report",
        complete=True,
    )


def payout(id_: str, currency: str, amount: str, status: str, day: int, note: str) -> PayoutRow:
    """Return a payout created in October."""
    created = datetime(2026, 10, day, 1, 30, tzinfo=UTC)
    arrival = datetime(2026, 10, day, tzinfo=UTC) if status == "paid" else None
    return PayoutRow(
        id=id_, currency=currency, amount=Decimal(amount), status=status, created=created, arrival=arrival, note=note
    )


def daily_sales() -> list[DailySales]:
    """Return sales that sum to the month's revenue: 2,392.00 USD less 199.00, and 24,000 JPY."""
    usd = {day: Decimal(199) for day in (1, 2, 6, 9, 15, 20, 27, 30)} | {5: Decimal(400), 14: Decimal(400)}
    refunds = {17: Decimal(199)}
    rows = [
        DailySales(
            day=date(2026, 10, day),
            currency="USD",
            revenue=usd.get(day, Decimal(0)),
            refunds=refunds.get(day, Decimal(0)),
        )
        for day in range(1, 32)
    ]
    rows.append(DailySales(day=date(2026, 10, 8), currency="JPY", revenue=Decimal(24000), refunds=Decimal(0)))
    return rows


def _roll(currency: str, category: str, count: int, gross: str, fee: str) -> RollForwardRow:
    return RollForwardRow(
        currency=currency,
        category=category,
        count=count,
        gross=Decimal(gross),
        fee=Decimal(fee),
        net=Decimal(gross) - Decimal(fee),
    )


ROLL_FORWARD = (
    _roll("USD", "charge", 13, "2600.00", "75.40"),
    _roll("USD", "fee", 2, "-29.52", "0.00"),
    _roll("USD", "refund", 2, "-275.96", "0.00"),
    _roll("USD", "dispute", 1, "-118.00", "15.00"),
    _roll("USD", "payout", 2, "-1950.00", "0.00"),
    _roll("USD", "payout_reversal", 1, "90.00", "0.00"),
    _roll("USD", "risk_reserved_funds", 1, "-50.00", "0.00"),
    _roll("USD", "other_adjustment", 1, "-3.10", "0.00"),
    _roll("JPY", "charge", 1, "26400", "970"),
    _roll("JPY", "payout", 1, "-11000", "0"),
)

_CONTROLS = """
C1 USD money 5192.36 Debits equal credits in every journal
C1 JPY money 38370 Debits equal credits in every journal
C2 USD money 5192.36 Journal lines equal their sources
C2 JPY money 38370 Journal lines equal their sources
C3 USD money 1377.58 Opening clearing plus balance transactions is closing clearing
C3 JPY money 14430 Opening clearing plus balance transactions is closing clearing
C3a USD money 2600.00 Balance transactions by category equal Stripe's balance report
C3a JPY money 26400 Balance transactions by category equal Stripe's balance report
C4 USD money 1377.58 Sum of balance transactions is Stripe's own balance
C5 - count 24 Amount less fee is net on every balance transaction
C6 USD money 1860.00 A payout is the sum of its balance transactions
C7 USD money 2170.00 Opening transit plus payouts less arrivals is closing transit
C7 JPY money 11000 Opening transit plus payouts less arrivals is closing transit
C8 USD money 1860.00 Payouts arrived against bank lines
C9 USD money 2600.00 Paid invoices equal charges
C9a - count 14 Invoice totals equal their lines and taxes
C10 USD money 2392.00 Revenue is the invoices' amount before tax
C11 USD money 216.96 Refunds equal their balance transactions
C12 USD money 102.74 Tax posted in NY is tax collected less refunded
C12 USD money 87.60 Tax posted in TX is tax collected less refunded
C12 JPY money 2400 Tax posted in JP is tax collected less refunded
C12a USD money 190.34 Tax payable rolls forward
C13 USD money 118.00 Disputed funds equal open disputes
C14 USD money 104.92 Fees equal Stripe's monthly fee invoice
C15 - count 14 Paid sessions have an invoice
C16 - count 24 Every balance transaction is posted once
C17 - count 0 Nothing is unmapped
C18 - count 1 Converted amounts follow their exchange rate
C19 USD money 0.00 Rounding stays within half a minor unit a line
C20 USD money 40.00 Deferred revenue rolls forward
C21 - count 0 Everything is extracted past the month's end
C22 USD money 59.00 All versions of a month sum to what the data derive today
C23 - count 12 Journals read back from NetSuite
C24 - count 24 Only rows of the account's own mode
C25 USD money 50.00 Reserve equals Stripe's reserve balance
"""
_LISTS = {"C8", "C12a", "C23"}
_WARNINGS = {"C4", "C14", "C19", "C25"}


def controls() -> tuple[ControlRow, ...]:
    """Return a green row for each control, the work lists as lists."""
    rows = []
    for text in _CONTROLS.strip().splitlines():
        control, currency, unit, amount, description = text.split(maxsplit=4)
        rows.append(
            ControlRow(
                account="us",
                period=str(OCTOBER),
                currency=None if currency == "-" else currency,
                control=control,
                scope="",
                description=description,
                unit=Unit(unit),
                left_amount=Decimal(amount),
                right_amount=Decimal(0) if control in _LISTS else Decimal(amount),
                tolerance=Decimal(0),
                blocking=control not in _LISTS | _WARNINGS,
                status=Status.LIST if control in _LISTS else Status.PASS,
                detail="finance supplies the other side" if control in _LISTS else "",
            )
        )
    return tuple(rows)
