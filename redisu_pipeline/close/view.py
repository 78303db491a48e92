"""What the exports of a month show beside its lines: read from the lake's tables, grouped, nothing decided."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

import polars as pl

from redisu_pipeline.close.stored import PeriodState
from redisu_pipeline.common.money import to_major
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.controls.model import ControlRow
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
from redisu_pipeline.journals.books import Books
from redisu_pipeline.journals.model import Blocked, JournalLine

OPEN_DISPUTES = ("needs_response", "under_review", "appeal_needs_response", "appeal_under_review")


class MonthView:
    """The page of one account and month, made of the books that its journals were derived from."""

    def __init__(self, settings: Settings, account: Account, books: Books, until: datetime | None) -> None:
        self._settings, self._account, self._books = settings, account, books
        self._period, self._month = books.period, books.month
        self._until = until  # how far Stripe was read

    def page(
        self,
        state: PeriodState,
        lines: Sequence[JournalLine],
        controls: Sequence[ControlRow],
        balances: Sequence[TrialBalanceRow],
        taxes: Sequence[TaxRow],
        blocked: Sequence[Blocked],
    ) -> ClosedMonth:
        """Return everything that the exports show. No clock is asked: the same month gives the same page."""
        return ClosedMonth(
            account=self._account,
            netsuite=self._settings.netsuite,
            period=self._period,
            status=state.status,
            version=state.version,
            lines=lines,
            controls=controls,
            trial_balance=balances,
            taxes=taxes,
            roll_forward=self.roll_forward(),
            clearing={row.currency: (row.opening, row.closing) for row in balances if row.gl_role == "clearing"},
            payouts=self.payouts(),
            disputes=self.disputes(),
            large_invoices=self.large_invoices(),
            sales_by_day=self.sales_by_day(),
            blocked=[f"{one.what}: {_ids(one.ids)}; {one.mend}" for one in blocked],
            complete_until=self._until,
            brand=self._settings.pages.brand,
            accent_color=self._settings.pages.accent_color,
            locked_by=state.locked_by,
            locked_at=state.locked_at,
            courses={slug: course.name for slug, course in self._settings.courses.items()},
        )

    def _rows(self, table: str) -> pl.LazyFrame:
        frame: pl.LazyFrame = self._books[table].to_native()
        return frame

    def roll_forward(self) -> list[RollForwardRow]:
        """Return the payments balance by Stripe's reporting category."""
        of_month = self._rows("transactions").filter(
            pl.col("period") == self._month, pl.col("balance_type") == "payments"
        )
        sums = of_month.group_by("currency", "category").agg(
            pl.len().alias("count"), pl.col("amount", "fee", "net").sum()
        )
        return [
            RollForwardRow(
                currency=currency,
                category=category,
                count=count,
                gross=to_major(amount, currency),
                fee=to_major(fee, currency),
                net=to_major(net, currency),
            )
            for currency, category, count, amount, fee, net in sums.sort("currency", "category").collect().rows()
        ]

    def payouts(self) -> list[PayoutRow]:
        """Return payouts made in the month or sent back in it."""
        here = (pl.col("period") == self._month) | (pl.col("failure_period") == self._month)
        columns = "id currency amount status created arrival_date automatic failure_code".split()
        rows = self._rows("payouts").filter(here).select(columns).sort("created", "id").collect().rows(named=True)
        return [
            PayoutRow(
                id=row["id"],
                currency=row["currency"],
                amount=to_major(row["amount"], row["currency"]),
                status=row["status"],
                created=row["created"],
                arrival=row["arrival_date"],
                note=_payout_note(row["automatic"], row["failure_code"]),
            )
            for row in rows
        ]

    def disputes(self) -> list[DisputeRow]:
        """Return disputes that are open now, or moved in the month."""
        moved = self._rows("transactions").filter(
            pl.col("period") == self._month, pl.col("category").is_in(["dispute", "dispute_reversal"])
        )
        rows = (
            self._rows("disputes")
            .join(moved.select(pl.col("source").alias("id"), pl.lit(value=True).alias("moved")).unique(), "id", "left")
            .filter(
                pl.col("moved")
                | (pl.col("closed_period") == self._month)
                | (pl.col("status").is_in(OPEN_DISPUTES) & (pl.col("period") <= self._month))
            )
            .select("id", "charge", "currency", "amount", "status", "reason", "created")
        )
        return [
            DisputeRow(**{**row, "amount": to_major(row["amount"], row["currency"])})
            for row in rows.sort("created", "id").collect().rows(named=True)
        ]

    def sales_by_day(self) -> list[DailySales]:
        """Return revenue before tax and refunds by day and presentment currency, as invoices and refunds tell it."""
        sold = self._rows("invoices").filter(pl.col("period") == self._month, pl.col("status") == "paid")
        net = pl.coalesce("total_excluding_tax", "total")
        revenue = sold.group_by("day", "currency").agg(net.sum().alias("revenue"))
        booked = self._rows("transactions").filter(pl.col("period") == self._month, pl.col("category") == "refund")
        back = booked.group_by("day", "currency").agg((-pl.col("amount")).sum().alias("refunds"))
        both = revenue.join(back, on=["day", "currency"], how="full", coalesce=True)
        return [
            DailySales(
                day=date.fromordinal(date(1970, 1, 1).toordinal() + day),
                currency=currency,
                revenue=to_major(revenue or 0, currency),
                refunds=to_major(refunds or 0, currency),
            )
            for day, currency, revenue, refunds in both.sort("day", "currency").collect().rows()
        ]

    def large_invoices(self) -> list[LargeInvoice]:
        """Return Israeli B2B invoices that need an allocation number from the tax authority (§4.1)."""
        invoices = self._rows("israeli_business_invoices").filter(pl.col("period") == self._month)
        found = []
        for row in invoices.sort("day", "id").collect().rows(named=True):
            day = date.fromordinal(date(1970, 1, 1).toordinal() + row["day"])
            threshold = self._settings.netsuite.allocation_threshold(day)
            net = to_major(row["net"], row["currency"])
            if threshold is not None and net >= threshold:
                found.append(
                    LargeInvoice(
                        id=row["id"],
                        number=row["number"] or "",
                        day=day,
                        net=net,
                        currency=row["currency"],
                        threshold=Decimal(threshold),
                    )
                )
        return found


def _payout_note(automatic: bool | None, failure: str | None) -> str:  # noqa: FBT001  (a column)
    said = [] if automatic else ["manual: Stripe cannot say what it contains"]
    return "; ".join([*said, *([f"failed: {failure}"] if failure else [])])


def _ids(ids: Sequence[str], most: int = 20) -> str:
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(ids[:most]) + more


def tax_rows(rows: Sequence[dict[str, object]], period: Month) -> list[TaxRow]:
    """Return rows of `netsuite/tax_by_jurisdiction` of one month for the report."""
    return [
        TaxRow(
            country=str(row["country"]),
            state=str(row["state"]),
            tax_type=str(row["tax_type"]),
            currency=str(row["currency"]).upper(),
            taxable=Decimal(str(row["taxable"])),
            collected=Decimal(str(row["collected"])),
            refunded=Decimal(str(row["refunded"])),
            source=str(row["source"]),
            complete=bool(row["complete"]),
        )
        for row in rows
        if row["period"] == str(period)
    ]
