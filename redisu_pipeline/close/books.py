"""The lake's tables as the frames that journals are derived from: columns and names, no decisions.

What is read is pinned by the manifests: the files they list, each with its hash, so that two derivations of the same
manifests see the same rows, and a file that somebody edited by hand is refused. Which engine reads is engine.py's.
"""

import narwhals as nw

from redisu_pipeline.close.engine import Engine
from redisu_pipeline.close.pins import Pins
from redisu_pipeline.close.polars_engine import PolarsEngine
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.journals.books import Books, CourseTerms, Frame, Policy

HELD = {
    "transactions": "balance_transactions",
    "invoices": "invoices",
    "payouts": "payouts",
}
"""Frames that many rules and controls stand on, with their tables: read once where the engine can hold them."""


def read_books(settings: Settings, account: Account, period: Month, pins: Pins) -> Books:
    """Return the books of ``account`` for ``period`` over the pinned files, read on this machine."""
    return books_of(PolarsEngine(pins, account.timezone), settings, account, period, pins)


def books_of(engine: Engine, settings: Settings, account: Account, period: Month, pins: Pins) -> Books:
    """Return the same, read by ``engine``."""
    frames = _Tables(engine).all()
    for name, table in HELD.items():
        if pins.rows.get(table, 0) <= engine.most_held:
            frames[name] = engine.keep(frames[name])
    policy = policy_of(settings, account)
    return Books(period, policy, frames, make=engine.make, keep=engine.keep, gather=engine.gather)


def policy_of(settings: Settings, account: Account) -> Policy:
    """Return the decisions of the configuration that rules need."""

    def map_transaction(category: str, kind: str, description: str) -> str | None:
        fitting = (one for one in settings.journal_mapping if one.matches(category, kind, description))
        found = next(fitting, None)
        return found.role if found else None

    return Policy(
        account=account.name,
        courses={slug: CourseTerms(course.access_days) for slug, course in settings.courses.items()},
        map_transaction=map_transaction,
        recoverable_fee_tax=account.fee_tax_recoverable,
        bank_leg=settings.netsuite.post_bank_arrivals,
    )


class _Tables:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> dict[str, Frame]:
        """Return every frame of Books."""
        return {
            "transactions": self._transactions(),
            "fees": self._table("balance_transaction_fees", "balance_transaction amount type").rename(
                {"balance_transaction": "transaction"}
            ),
            "charges": self._charges(),
            "invoice_payments": self._table(
                "invoice_payments", "invoice status", _named("payment_intent", "payment_payment_intent")
            ),
            "invoices": self._invoices(),
            "invoice_lines": self._table(
                "invoice_lines", "id invoice created position amount discount_amount product metadata_course"
            ),
            "invoice_taxes": self._table(
                "invoice_taxes", "invoice invoice_line created amount tax_behavior tax_rate country state tax_type"
            ),
            "products": self._table("products", "id metadata_course"),
            "refunds": self._refunds(),
            **self._credit_notes(),
            "report_refunds": self._report_refunds(),
            "disputes": self._disputes(),
            "payouts": self._payouts(),
            "checkout_sessions": self._sessions(),
            "israeli_business_invoices": self._israeli_business_invoices(),
        }

    def _table(self, name: str, columns: str, *more: nw.Expr) -> Frame:
        return self._engine.scan(name).select(*columns.split(), *more)

    def _transactions(self) -> Frame:
        rows = self._engine.scan("balance_transactions")
        rows = self._engine.with_months(rows, period="created")
        rows = self._engine.with_days(rows, day="created")
        return self._engine.with_e8(rows, rate_e8="exchange_rate").select(
            *"id created amount fee net type source description livemode period day rate_e8".split(),
            _upper("currency"),
            _named("category", "reporting_category"),
            nw.col("balance_type").fill_null("payments"),
        )

    def _invoices(self) -> Frame:
        columns = (
            "id created period day status total total_excluding_tax tax_amount amount_paid amount_overpaid "
            "amount_paid_off_stripe pre_payment_credit_notes_amount metadata_course livemode test_clock"
        )
        # One that was sent to be paid later counts when it was paid: no receivable is kept until then.
        paid_later = nw.col("collection_method") == "send_invoice"
        paid = nw.coalesce(nw.col("status_transitions_paid_at"), nw.col("effective_at"))
        at = nw.when(paid_later).then(paid).otherwise(nw.col("effective_at")).alias("at")
        whole = self._engine.with_months(self._engine.scan("invoices").with_columns(at), period="at")
        return self._engine.with_days(whole, day="at").select(
            *columns.split(),
            _upper("currency"),
            _named("automatic", "automatic_tax_enabled"),
            paid_later.fill_null(value=False).alias("sent"),
        )

    def _charges(self) -> Frame:
        return self._engine.with_months(self._engine.scan("charges"), period="created").select(
            *"id period amount amount_captured amount_refunded payment_intent status livemode".split(),
            _upper("currency"),
            _named("transaction", "balance_transaction"),
            _named("failure_transaction", "failure_balance_transaction"),
        )

    def _refunds(self) -> Frame:
        rows = self._engine.with_months(self._engine.scan("refunds"), period="created")
        return self._engine.with_days(rows, day="created").select(
            *"id charge amount status created period day livemode".split(),
            _named("transaction", "balance_transaction"),
            _named("failure_transaction", "failure_balance_transaction"),
        )

    def _credit_notes(self) -> dict[str, Frame]:
        at = nw.coalesce(nw.col("effective_at"), nw.col("created")).alias("at")
        notes = self._engine.scan("credit_notes").with_columns(at)
        dated = self._engine.with_months(notes, period="at", void_period="voided_at")
        dated = self._engine.with_days(dated, day="at", void_day="voided_at")
        linked = notes.select(
            _named("credit_note", "id"),
            _named("refund", "refunds_refund"),
            _named("amount", "refunds_amount_refunded"),
        )
        inside = self._table("credit_note_taxes", "credit_note_line amount tax_behavior").filter(
            nw.col("tax_behavior") == "inclusive"
        )
        inside = inside.group_by("credit_note_line").agg(nw.col("amount").sum().alias("inclusive_tax"))
        lines = self._table(
            "credit_note_lines", "id credit_note amount discount_amount", _named("invoice_line", "invoice_line_item")
        )
        return {
            "credit_notes": dated.select(
                *"id invoice total status created voided_at period day void_period void_day".split(),
                (~nw.col("customer_balance_transaction").is_null()).alias("to_balance"),
                _named("pre_payment", "pre_payment_amount"),
            ),
            "credit_note_refunds": self._engine.exploded(linked, "refund", "amount").filter(
                ~nw.col("refund").is_null()
            ),
            "credit_note_taxes": self._table("credit_note_taxes", "credit_note tax_rate amount"),
            "credit_note_lines": lines.join(inside, left_on="id", right_on="credit_note_line", how="left").drop("id"),
        }

    def _israeli_business_invoices(self) -> Frame:
        """Paid invoices to Israeli buyers who gave a tax id, with VAT: they may need an allocation number."""
        whole = self._engine.scan("invoices").filter(
            nw.col("customer_address_country") == "IL",
            nw.col("customer_tax_ids_type").list.len() > 0,
            nw.col("status") == "paid",
            nw.col("tax_amount") > 0,
        )
        dated = self._engine.with_months(whole, period="effective_at")
        return self._engine.with_days(dated, day="effective_at").select(
            *"id number period day".split(),
            _upper("currency"),
            nw.coalesce(nw.col("total_excluding_tax"), nw.col("total")).alias("net"),
        )

    def _report_refunds(self) -> Frame:
        rows = self._table(
            "tax_transactions",
            "source_id type",
            _named("country", "country_code"),
            _named("state", "state_code"),
            _named("amount", "tax_amount"),
        )
        return rows.filter(nw.col("type") == "refund").drop("type")

    def _disputes(self) -> Frame:
        """A dispute does not tell when it was lost: its closing event does; without it the last day for evidence."""
        events = self._table("events", "type created", _named("dispute", "data_object_id"))
        closed = events.filter(nw.col("type") == "charge.dispute.closed")
        closings = closed.group_by("dispute").agg(nw.col("created").max().alias("closed"))
        disputes = self._table(
            "disputes",
            "id charge amount status created reason livemode _synced_at",
            _upper("currency"),
            _named("due_by", "evidence_details_due_by"),
        )
        # `due_by` is 1970 where no evidence is possible.
        known = disputes.join(closings, left_on="id", right_on="dispute", how="left")
        last_day = nw.min_horizontal(nw.max_horizontal("due_by", "created"), nw.col("_synced_at"))
        known = known.with_columns(nw.coalesce(nw.col("closed"), last_day).alias("closed_at"))
        return self._engine.with_months(known, period="created", closed_period="closed_at").select(
            *"id charge amount currency status reason created livemode period closed_period".split(),
            (~nw.col("closed").is_null()).alias("closing_known"),
        )

    def _payouts(self) -> Frame:
        booked = self._table("balance_transactions", "id created")
        failures = self._engine.with_months(booked, failure_period="created").select("id", "failure_period")
        dated = self._engine.with_months(self._engine.scan("payouts"), period="created")
        # A date, which Stripe writes as its midnight UTC: in a zone west of it that is the day before.
        arrival = nw.col("arrival_date").dt
        month = arrival.year().cast(nw.Int64) * 100 + arrival.month().cast(nw.Int64)
        payouts = dated.select(
            *"id amount status automatic created arrival_date failure_code reconciliation_status livemode".split(),
            "period",
            month.alias("arrival_period"),
            _upper("currency"),
            _named("transaction", "balance_transaction"),
            _named("failure_transaction", "failure_balance_transaction"),
        )
        return payouts.join(failures, left_on="failure_transaction", right_on="id", how="left")

    def _sessions(self) -> Frame:
        columns = "id period status payment_status invoice amount_total livemode"
        return self._engine.with_months(self._engine.scan("checkout_sessions"), period="created").select(
            *columns.split()
        )


def _upper(column: str) -> nw.Expr:
    return nw.col(column).str.to_uppercase()


def _named(name: str, column: str) -> nw.Expr:
    return nw.col(column).alias(name)
