"""Stripe's own figures of a month, read when the month is closed and not by a sync: see `extract.figures`.

Both tables are immutable: a payout that Stripe has reconciled and a report over a month that is over do not change.
Source: stripe.md §5.5, §6.7; https://docs.stripe.com/payouts/reconciliation,
https://docs.stripe.com/reports/report-types/balance.
"""

from redisu_pipeline.tables.balance import REPORTING_CATEGORIES
from redisu_pipeline.tables.model import (
    CURRENCY,
    ID,
    Resource,
    Scope,
    Table,
    instant,
    integer,
    minor,
    text,
)

TOTAL = "total"
"""What the summaries call the row that sums all categories of one currency."""

PAYOUT_TRANSACTIONS = Resource(
    table=Table(
        "payout_transactions",
        "What each automatic payout contains, as Stripe reconciled it: one row a balance transaction, the payout's own "
        "(−amount) among them, so that `net` sums to 0. Filled by `redisu close`; `id` is the balance transaction's.",
        (
            ID,
            instant("created", "When Stripe made the payout; the file's month is cut by it, UTC", required=True),
            text("payout", "Payout id: join `payouts`", required=True),
            instant("transaction_created", "When the balance transaction was made", required=True),
            text("currency", "Settlement currency", required=True),
            minor("amount", "Gross, signed", required=True),
            minor("fee", "Fees kept by Stripe; positive is a cost", required=True),
            minor("net", "amount − fee", required=True),
            text("type", "Kind of movement: see `balance_transactions`", required=True),
            text("reporting_category", "Stripe's accounting category", values=REPORTING_CATEGORIES, required=True),
            text("source", "Charge, refund, dispute or payout that caused it; null for product fees"),
        ),
    ),
    path="/v1/balance_transactions",
    object="payout_transaction",
    scope=Scope.CLOSE,
    immutable=True,
)

BALANCE_REPORTS = Resource(
    table=Table(
        "balance_reports",
        "Rows of Stripe's balance reports over a month of the books: balance.summary, "
        "balance_change_from_activity.summary and payouts.summary. Filled by `redisu close`; the CSV as Stripe sent it "
        "is `file`. `id` is `<report type>:<period>:<currency>:<category>`.",
        (
            ID,
            instant("created", "Midnight UTC of the period's first day: the file's month is the period", required=True),
            text("period", "Month of the books, YYYY-MM, cut in the account's zone", required=True),
            text("report_type", "Type of the report", required=True),
            text(
                "category",
                "Row of balance.summary; null in the other reports",
                values="activity activity_fee activity_gross ending_balance payouts payouts_fee payouts_gross "
                "starting_balance",
            ),
            text(
                "reporting_category",
                "Row of the other reports: Stripe's accounting category, or `total` for all of a currency",
                values=f"{REPORTING_CATEGORIES} {TOTAL}",
            ),
            text("description", "As the report words it"),
            CURRENCY,
            integer("count", "Balance transactions in the row"),
            minor("gross", "Before fees, signed; null in balance.summary"),
            minor("fee", "Fees; positive is a cost; null in balance.summary"),
            minor("net", "gross − fee; in balance.summary the row's amount", required=True),
            instant("interval_start", "First instant of the report", required=True),
            instant("interval_end", "First instant after it", required=True),
            text("report_run", "Run that made it", required=True),
            text("file", "Place of the CSV in the lake", required=True),
        ),
    ),
    path="/v1/reporting/report_runs",
    object="balance_report",
    scope=Scope.CLOSE,
    immutable=True,
)

FIGURES: tuple[Resource, ...] = (PAYOUT_TRANSACTIONS, BALANCE_REPORTS)
