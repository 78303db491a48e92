"""Whose tax it is, and which role owes it: Stripe's integers per tax rate, never base × percentage (stripe.md §7)."""

import narwhals as nw

from redisu_pipeline.journals.books import Books, Frame
from redisu_pipeline.journals.conversion import converted

UNKNOWN = "?"
"""Stands in a leg for a course or jurisdiction that nobody told; it blocks the month (C17)."""


def tax_role(country: str) -> str:
    """Return the role that owes a country's tax."""
    return {"US": "sales_tax", "IL": "vat_il"}.get(country, "vat")


def of_invoices(books: Books, invoices: Frame) -> Frame:
    """Return the tax of ``invoices`` (see sales.invoiced_of) by jurisdiction, in both currencies.

    One row per invoice and place: `id, entry, currency, role, country, state, amount, presentment, …`. Each tax rate's
    total is converted by itself, then they are added by place.
    """
    by_rate = (
        books["invoice_taxes"]
        .filter(nw.col("amount") != 0)
        .group_by("invoice", "tax_rate", "country", "state")
        .agg(nw.col("amount").sum().alias("presentment"))
    )
    columns = ["id", "entry", "currency", "presentment_currency", "rate_e8", "up", "down"]
    joined = by_rate.join(invoices.select(*columns), left_on="invoice", right_on="id", how="inner")
    rate = nw.col("rate_e8")
    whole = converted(nw.col("presentment"), rate.fill_null(0), nw.col("up"), nw.col("down"))
    settled = nw.when(rate.is_null()).then(nw.col("presentment")).otherwise(whole)
    placed = joined.with_columns(settled.alias("amount"), *_place())
    place = ("invoice", "entry", "currency", "presentment_currency", "rate_e8", "role", "country", "state")
    summed = placed.group_by(*place).agg(nw.col("amount").sum(), nw.col("presentment").sum())
    return summed.with_columns(nw.col("invoice").alias("id"))


def _place() -> tuple[nw.Expr, nw.Expr, nw.Expr]:
    country, state = nw.col("country").fill_null(UNKNOWN), nw.col("state").fill_null("")
    role = (
        nw.when(country == "US")
        .then(nw.lit("sales_tax"))
        .otherwise(nw.when(country == "IL").then(nw.lit("vat_il")).otherwise(nw.lit("vat")))
    )
    # US tax is owed per state; a rate without one is nobody's.
    nobody = (country == "US") & (state == "")
    return (
        country.alias("country"),
        nw.when(nobody).then(nw.lit(UNKNOWN)).otherwise(state).alias("state"),
        role.alias("role"),
    )
