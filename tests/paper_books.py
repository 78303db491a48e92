"""Books written down row by row, as somebody would on paper: rules are asked without a lake, a sync or a stand-in.

Amounts are minor units. What a row does not say is null, or the plain value that most rows have (``PLAIN``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import narwhals as nw
import polars as pl

from redisu_pipeline.close.polars_engine import gather, keep, make
from redisu_pipeline.close.sources import Journal, journal_of
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings.chart import DEFAULT_CHART, GLAccount, gl_account
from redisu_pipeline.journals.books import COLUMNS, Books, CourseTerms, Policy
from redisu_pipeline.journals.derive import Derived, derive
from redisu_pipeline.journals.lines import Heading
from redisu_pipeline.journals.model import JournalLine

Row = Mapping[str, Any]
EPOCH = date(1970, 1, 1)

_INTEGERS = set(
    "period day amount fee net rate_e8 amount_captured total total_excluding_tax tax_amount amount_paid "
    "amount_overpaid amount_paid_off_stripe pre_payment_credit_notes_amount position discount_amount void_period "
    "void_day pre_payment inclusive_tax closed_period arrival_period failure_period amount_total".split()
)
_TRUTHS = set("livemode automatic sent to_balance".split())
_INSTANTS = set("created voided_at".split())
PLAIN: Mapping[str, Mapping[str, Any]] = {
    "transactions": {"fee": 0, "balance_type": "payments", "livemode": True},
    "charges": {"status": "succeeded", "livemode": True},
    "invoice_payments": {"status": "paid"},
    "invoices": {
        "status": "paid",
        "amount_overpaid": 0,
        "amount_paid_off_stripe": 0,
        "pre_payment_credit_notes_amount": 0,
        "automatic": True,
        "sent": False,
        "livemode": True,
    },
    "invoice_lines": {"position": 0, "discount_amount": 0},
    "invoice_taxes": {"tax_behavior": "exclusive", "tax_type": "sales_tax"},
    "refunds": {"status": "succeeded", "livemode": True},
    "credit_notes": {"status": "issued", "to_balance": False, "pre_payment": 0},
    "disputes": {"livemode": True},
    "payouts": {"automatic": True, "livemode": True},
}


def at(day: str, time: str = "12:00") -> datetime:
    """Return a moment of 2026 (or later) in UTC: ``at("10-05")`` or ``at("2027-01-05")``."""
    whole = day if len(day) > 5 else f"2026-{day}"
    return datetime.fromisoformat(f"{whole}T{time}").replace(tzinfo=UTC)


def dated(moment: datetime) -> dict[str, Any]:
    """Return the columns that say when a row happened, the books being kept in UTC."""
    return {"created": moment, "period": moment.year * 100 + moment.month, "day": (moment.date() - EPOCH).days}


@dataclass
class Paper:
    """The rows of a small shop, by frame; ``books`` makes what rules are asked with."""

    courses: Mapping[str, CourseTerms] = field(default_factory=dict)
    bank_leg: bool = False
    mapping: Mapping[str, str] = field(default_factory=dict)  # reporting category -> role
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def put(self, frame: str, **row: Any) -> str:
        """Write a row; unknown columns are refused. Returns its id, where it has one."""
        assert set(row) <= set(COLUMNS[frame].split()), sorted(set(row) - set(COLUMNS[frame].split()))
        self.rows.setdefault(frame, []).append({**PLAIN.get(frame, {}), **row})
        return str(row.get("id", ""))

    def transaction(self, id: str, moment: datetime, category: str, amount: int, **more: Any) -> str:
        """Write a balance transaction; its type is its category unless told."""
        row = {"currency": "USD", "fee": 0, "type": category, **dated(moment), **more}
        net = amount - row["fee"]
        return self.put("transactions", id=id, category=category, amount=amount, net=net, **row)

    def books(self, period: Month, rows: Mapping[str, Sequence[Row]] | None = None) -> Books:
        """Return the books of ``period``; ``rows`` instead of ours where they are told."""
        policy = Policy(
            account="us",
            courses=self.courses,
            map_transaction=lambda category, _kind, _description: self.mapping.get(category),
            bank_leg=self.bank_leg,
        )
        frames = {name: nw.from_native(frame_of(name, (rows or self.rows).get(name, ()))) for name in COLUMNS}
        return Books(period, policy, frames, make=make, keep=keep, gather=gather)


def frame_of(name: str, rows: Sequence[Row]) -> pl.LazyFrame:
    """Return rows as a frame with the columns of journals/books.py."""
    schema = {column: _kind(column) for column in COLUMNS[name].split()}
    return pl.DataFrame([{column: row.get(column) for column in schema} for row in rows], schema=schema).lazy()


def _kind(column: str) -> pl.DataType:
    if column in _INTEGERS:
        return pl.Int64()
    if column in _TRUTHS:
        return pl.Boolean()
    return pl.Datetime("us", "UTC") if column in _INSTANTS else pl.String()


def journal(books: Books, heading: Heading | None = None) -> tuple[Derived, Journal]:
    """Return what a month derives, and its journals with the default chart."""
    derived = derive(books)
    return derived, journal_of(derived.postings.collect().to_polars(), derived.totals, heading or heading_of(books))


def in_order(found: Journal) -> pl.DataFrame:
    """Return the journal's legs as they are written, a few at a time."""
    parts = [legs.with_columns(pl.col(pl.Categorical).cast(pl.String)) for legs in found.in_order(7)]
    return pl.concat(parts) if parts else found.legs


def heading_of(books: Books) -> Heading:
    """Return the heading of an account whose every rate is 1."""
    return Heading(
        account=books.policy.account,
        subsidiary="Redis Inc.",
        period=books.period,
        posting_period=str(books.period),
        version=1,
        adjusts=None,
        rate_of=lambda _currency: Decimal(1),
        account_of=_account,
    )


def _account(
    role: str, course: str | None, state: str | None, country: str | None, currency: str, on: date
) -> GLAccount:
    if role == "?":
        return GLAccount(number="?", name="unmapped")
    return gl_account(DEFAULT_CHART, role, course=course, state=state, country=country, currency=currency, on=on)


def short(line: JournalLine) -> str:
    """Return a line as one writes it down: class, account, who it is about, side and amount."""
    about = "/".join(word for word in (line.course, line.tax_country, line.tax_state) if word)
    side, amount = ("dr", line.debit) if line.debit is not None else ("cr", line.credit)
    return " ".join(word for word in (line.class_, line.currency, line.gl_account, about, side, str(amount)) if word)


def days_after(moment: datetime, days: float) -> datetime:
    """Return the moment some days later."""
    return moment + timedelta(days=days)
