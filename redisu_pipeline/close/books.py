"""The lake's tables as the frames that journals are derived from, read with Polars: columns and names, no decisions.

What is read is pinned by the manifests: the files they list, each with its hash, so that two derivations of the same
manifests see the same rows, and a file that somebody edited by hand is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import polars as pl

from redisu_pipeline.close.pins import Pins
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.journals.books import Books, CourseTerms, Frame, Policy

HELD = {
    "transactions": "balance_transactions",
    "invoices": "invoices",
}
"""Frames that many rules and controls stand on, with their tables: read once where they are not too large."""
MOST_HELD = 3_000_000

KINDS: Mapping[str, type[pl.DataType]] = {"string": pl.String, "int64": pl.Int64}


def read_books(settings: Settings, account: Account, period: Month, pins: Pins) -> Books:
    """Return the books of ``account`` for ``period`` over the pinned files."""
    tables = _Tables(pins, account.timezone)
    frames = {name: nw.from_native(frame) for name, frame in tables.all().items()}
    for name, table in HELD.items():
        if pins.rows.get(table, 0) <= MOST_HELD:
            frames[name] = keep(frames[name])
    return Books(period=period, policy=policy_of(settings, account), frames=frames, make=make, keep=keep)


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


def make(columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]) -> Frame:
    """Return rows as a frame; columns are "string" or "int64"."""
    schema = {name: KINDS[kind] for name, kind in columns.items()}
    made: Frame = nw.from_native(pl.DataFrame(list(rows), schema=schema, orient="row").lazy())
    return made


def keep(frame: Frame) -> Frame:
    """Return the frame worked out."""
    kept: Frame = nw.from_native(frame.to_native().collect().lazy())
    return kept


class _Tables:
    def __init__(self, pins: Pins, timezone: str) -> None:
        self._pins, self._zone = pins, timezone

    def all(self) -> dict[str, pl.LazyFrame]:
        """Return every frame of Books."""
        return {
            "transactions": self._transactions(),
            "fees": self._table("balance_transaction_fees", "balance_transaction amount type").rename(
                {"balance_transaction": "transaction"}
            ),
            "charges": self._table(
                "charges",
                "id amount amount_captured amount_refunded payment_intent status livemode",
                _upper("currency"),
            ),
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

    def _table(self, name: str, columns: str, *more: pl.Expr) -> pl.LazyFrame:
        return self._pins.scan(name).select(*columns.split(), *more)

    def _month(self, column: str) -> pl.Expr:
        """Return the books' month of an instant, as a number."""
        local = pl.col(column).dt.convert_time_zone(self._zone)
        return local.dt.year().cast(pl.Int64) * 100 + local.dt.month().cast(pl.Int64)

    def _day(self, column: str) -> pl.Expr:
        return pl.col(column).dt.convert_time_zone(self._zone).dt.date().cast(pl.Int32).cast(pl.Int64)

    def _transactions(self) -> pl.LazyFrame:
        return self._table(
            "balance_transactions",
            "id created amount fee net type source description livemode",
            _upper("currency"),
            _named("category", "reporting_category"),
            self._month("created").alias("period"),
            self._day("created").alias("day"),
            # The unscaled value of decimal(18,8) is the rate × 10^8.
            pl.col("exchange_rate").to_physical().cast(pl.Int64).alias("rate_e8"),
            pl.col("balance_type").fill_null("payments"),
        )

    def _invoices(self) -> pl.LazyFrame:
        columns = (
            "id created status total total_excluding_tax tax_amount amount_paid amount_overpaid amount_paid_off_stripe "
            "pre_payment_credit_notes_amount metadata_course livemode test_clock"
        )
        # One that was sent to be paid later counts when it was paid: no receivable is kept until then.
        paid_later = pl.col("collection_method") == "send_invoice"
        paid = pl.coalesce("status_transitions_paid_at", "effective_at")
        at = pl.when(paid_later).then(paid).otherwise(pl.col("effective_at")).alias("at")
        whole = self._pins.scan("invoices").with_columns(at)
        return whole.select(
            *columns.split(),
            _upper("currency"),
            _named("automatic", "automatic_tax_enabled"),
            paid_later.fill_null(value=False).alias("sent"),
            self._month("at").alias("period"),
            self._day("at").alias("day"),
        )

    def _refunds(self) -> pl.LazyFrame:
        return self._table(
            "refunds",
            "id charge amount status created livemode",
            _named("transaction", "balance_transaction"),
            _named("failure_transaction", "failure_balance_transaction"),
            self._day("created").alias("day"),
        )

    def _credit_notes(self) -> dict[str, pl.LazyFrame]:
        notes = self._pins.scan("credit_notes").with_columns(pl.coalesce("effective_at", "created").alias("at"))
        inside = self._table("credit_note_taxes", "credit_note_line amount tax_behavior").filter(
            pl.col("tax_behavior") == "inclusive"
        )
        inside = inside.group_by("credit_note_line").agg(pl.col("amount").sum().alias("inclusive_tax"))
        lines = self._table(
            "credit_note_lines", "id credit_note amount discount_amount", _named("invoice_line", "invoice_line_item")
        )
        return {
            "credit_notes": notes.select(
                *"id invoice total status created voided_at".split(),
                self._month("at").alias("period"),
                self._day("at").alias("day"),
                self._month("voided_at").alias("void_period"),
                self._day("voided_at").alias("void_day"),
                pl.col("customer_balance_transaction").is_not_null().alias("to_balance"),
                _named("pre_payment", "pre_payment_amount"),
            ),
            "credit_note_refunds": notes.select(
                _named("credit_note", "id"),
                _named("refund", "refunds_refund"),
                _named("amount", "refunds_amount_refunded"),
            )
            .explode("refund", "amount")
            .drop_nulls("refund"),
            "credit_note_taxes": self._table("credit_note_taxes", "credit_note tax_rate amount"),
            "credit_note_lines": lines.join(inside, left_on="id", right_on="credit_note_line", how="left").drop("id"),
        }

    def _israeli_business_invoices(self) -> pl.LazyFrame:
        """Paid invoices to Israeli buyers who gave a tax id, with VAT: they may need an allocation number."""
        whole = self._pins.scan("invoices").filter(
            pl.col("customer_address_country") == "IL",
            pl.col("customer_tax_ids_type").list.len() > 0,
            pl.col("status") == "paid",
            pl.col("tax_amount") > 0,
        )
        return whole.select(
            *"id number".split(),
            _upper("currency"),
            pl.coalesce("total_excluding_tax", "total").alias("net"),
            self._month("effective_at").alias("period"),
            self._day("effective_at").alias("day"),
        )

    def _report_refunds(self) -> pl.LazyFrame:
        rows = self._table(
            "tax_transactions",
            "source_id type",
            _named("country", "country_code"),
            _named("state", "state_code"),
            _named("amount", "tax_amount"),
        )
        return rows.filter(pl.col("type") == "refund").drop("type")

    def _disputes(self) -> pl.LazyFrame:
        """A dispute does not tell when it was lost: its closing event does; without it the last day for evidence."""
        events = self._table("events", "type created", _named("dispute", "data_object_id"))
        closed = events.filter(pl.col("type") == "charge.dispute.closed")
        closings = closed.group_by("dispute").agg(pl.col("created").max().alias("closed"))
        disputes = self._table(
            "disputes",
            "id charge amount status created reason livemode _synced_at",
            _upper("currency"),
            _named("due_by", "evidence_details_due_by"),
        )
        # `due_by` is 1970 where no evidence is possible.
        known = disputes.join(closings, left_on="id", right_on="dispute", how="left")
        last_day = pl.min_horizontal(pl.max_horizontal("due_by", "created"), pl.col("_synced_at"))
        dated = known.with_columns(pl.coalesce("closed", last_day).alias("closed_at"))
        return dated.select(
            *"id charge amount currency status reason created livemode".split(),
            self._month("created").alias("period"),
            self._month("closed_at").alias("closed_period"),
            pl.col("closed").is_not_null().alias("closing_known"),
        )

    def _payouts(self) -> pl.LazyFrame:
        failures = self._table("balance_transactions", "id", self._month("created").alias("failure_period"))
        payouts = self._table(
            "payouts",
            "id amount status automatic created arrival_date failure_code reconciliation_status livemode",
            _upper("currency"),
            _named("transaction", "balance_transaction"),
            _named("failure_transaction", "failure_balance_transaction"),
            self._month("created").alias("period"),
            self._month("arrival_date").alias("arrival_period"),
        )
        return payouts.join(failures, left_on="failure_transaction", right_on="id", how="left")

    def _sessions(self) -> pl.LazyFrame:
        columns = "id status payment_status invoice amount_total livemode"
        return self._table("checkout_sessions", columns, self._month("created").alias("period"))


def _upper(column: str) -> pl.Expr:
    return pl.col(column).str.to_uppercase()


def _named(name: str, column: str) -> pl.Expr:
    return pl.col(column).alias(name)
