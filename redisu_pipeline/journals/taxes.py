"""Whose tax it is, and which role owes it: Stripe's integers per tax rate, never base × percentage (stripe.md §7)."""

import narwhals as nw

from redisu_pipeline.journals.books import Books, Frame
from redisu_pipeline.journals.conversion import with_converted

UNKNOWN = "?"
"""Stands in a leg for a course or jurisdiction that nobody told; it blocks the month (C17)."""


ROLES = {"US": "sales_tax", "IL": "vat_il"}
OTHER = "vat"


def tax_role(country: str) -> str:
    """Return the role that owes a country's tax."""
    return ROLES.get(country, OTHER)


def of_invoices(books: Books, invoices: Frame) -> Frame:
    """Return the tax of ``invoices`` (see sales.invoiced_of) by jurisdiction, in both currencies.

    One row per invoice and place: `id, currency, role, country, state, amount, presentment, …`. Where currencies
    differ, each tax rate's total is converted by itself before they are added by place.
    """
    columns = ["id", "currency", "presentment_currency", "rate_e8", "up", "down"]
    taxed = (
        books["invoice_taxes"]
        .filter(nw.col("amount") != 0)
        .select("invoice", "tax_rate", "country", "state", nw.col("amount").alias("presentment"))
    )
    joined = taxed.join(invoices.select(*columns), left_on="invoice", right_on="id", how="inner")
    same = joined.filter(nw.col("rate_e8").is_null()).with_columns(nw.col("presentment").alias("amount"))
    by_rate = (
        joined.filter(~nw.col("rate_e8").is_null())
        .group_by("invoice", "tax_rate", "country", "state", *columns[1:])
        .agg(nw.col("presentment").sum())
    )
    kept = ["invoice", "country", "state", *columns[1:4], "presentment", "amount"]
    both = nw.concat([same.select(*kept), with_converted(by_rate, amount="presentment").select(*kept)], how="vertical")
    return _by_place(both)


_OF_INVOICE = ("currency", "presentment_currency", "rate_e8")
"""The same in every tax of an invoice: as keys of a group they cost less than as its least ones."""


def _by_place(taxes: Frame) -> Frame:
    summed = taxes.group_by("invoice", "country", "state", *_OF_INVOICE).agg(
        nw.col("amount").sum(), nw.col("presentment").sum()
    )
    return summed.with_columns(nw.col("invoice").alias("id"), *_place())


def _place() -> tuple[nw.Expr, nw.Expr, nw.Expr]:
    country, state = nw.col("country").fill_null(UNKNOWN), nw.col("state").fill_null("")
    role = nw.lit(OTHER)
    for of, named in ROLES.items():
        role = nw.when(country == of).then(nw.lit(named)).otherwise(role)
    # US tax is owed per state; a rate without one is nobody's.
    nobody = (country == "US") & (state == "")
    return (
        country.alias("country"),
        nw.when(nobody).then(nw.lit(UNKNOWN)).otherwise(state).alias("state"),
        role.alias("role"),
    )
