"""Rows of Stripe's itemised tax report: Stripe Tax has no list of tax transactions, only report runs.

The grain is (business object, kind, line, jurisdiction, tax name, rate, moment): one row for each tax on each line of
a sale, a refund or a credit note. `total`, `subtotal` and their filing counterparts repeat on every row of a line, so
they are summed once a line; `tax_amount` is summed over all rows.
Source: stripe.md §6.5, §6.6; https://docs.stripe.com/reports/report-types/tax.
"""

from redisu_pipeline.tables.model import (
    CREATED,
    CURRENCY,
    ID,
    JURISDICTION_LEVELS,
    Resource,
    Scope,
    Table,
    instant,
    minor,
    personal,
    rate,
    text,
)
from redisu_pipeline.tables.sales import TAXABILITY

TAX_TRANSACTIONS = Resource(
    table=Table(
        "tax_transactions",
        "Rows of the itemised tax report: automatic tax by line and jurisdiction. Sum `tax_amount` over all rows, "
        "`total` once a line. `id` is a hash of the grain: source_id, type, line_item_id, country_code, state_code, "
        "jurisdiction_level, jurisdiction_name, tax_name, tax_rate, transaction_date, and a number where all of these "
        "are equal. Manual rates (Israel) are never in it: see `invoice_taxes`.",
        (
            ID,
            CREATED,
            text("source_id", "The report's `id`: invoice, session, refund, credit note …", required=True),
            text(
                "type",
                "What it is the tax of",
                values="checkout credit_note invoice order payment_intent payment_link refund",
                required=True,
            ),
            text("line_item_id", "Line of that object"),
            instant("transaction_date", "When it counted; the same as `created`", required=True),
            instant("tax_date", "The date whose rates were used; of a credit note the sale's"),
            text("currency", CURRENCY.doc, required=True),
            text("quantity", "Units, as printed"),
            text("tax_code", "Stripe Tax product code"),
            minor("subtotal", "Of the line, before tax; repeats on its rows"),
            minor("total", "Of the line, with tax; repeats on its rows", required=True),
            minor("tax_amount", "Tax of this row; negative when given back", required=True),
            minor("taxable_amount", "Part of the line that this tax is computed on"),
            minor("non_taxable_amount", "The rest of the line"),
            text("tax_name", "Name of the tax"),
            text("tax_type", "sales_tax, vat, gst …; only newer report types print it"),
            rate("tax_rate", "As a fraction of 1, as the report prints it"),
            text("taxability", "Whether it is taxed", values="non_taxable taxable"),
            text("taxability_reason", "Why, or why not", values=TAXABILITY),
            text("jurisdiction_level", "Level of the authority", values=JURISDICTION_LEVELS),
            text("jurisdiction_name", "Name of the authority"),
            text("country_code", "ISO 3166 country whose tax it is"),
            text("state_code", "State or province whose tax it is"),
            text("destination_resolved_address_country", "Country of the buyer as resolved by Stripe Tax"),
            text("destination_resolved_address_state", "State of the buyer as resolved by Stripe Tax"),
            text("origin_resolved_address_country", "Country of the seller"),
            text("origin_resolved_address_state", "State of the seller"),
            personal(text("customer_tax_id", "The buyer's tax id")),
            text("filing_currency", "Currency of the authority"),
            rate("filing_exchange_rate", "`currency` to `filing_currency`"),
            minor("filing_total", "`total` in minor units of `filing_currency`"),
            minor("filing_taxable_amount", "`taxable_amount` in minor units of `filing_currency`"),
            minor("filing_non_taxable_amount", "`non_taxable_amount` in minor units of `filing_currency`"),
            minor("filing_tax_amount", "`tax_amount` in minor units of `filing_currency`"),
            text("tax_transaction_id", "tax_…; only newer report types print it"),
            text("transaction_type", "transaction or reversal; only newer report types print it"),
            text("reversal_original_tax_transaction_id", "What a reversal reverses; only newer report types print it"),
            text("payment_intent_id", "Payment intent; only newer report types print it"),
        ),
    ),
    path="/v1/reporting/report_runs",
    object="reporting.report_run",
    scope=Scope.REPORT,
)
