"""Which course earned the revenue, and whether it is earned at the sale or over time (§2.8)."""

import narwhals as nw

from redisu_pipeline.journals.books import Books, Frame
from redisu_pipeline.journals.conversion import floor_divided
from redisu_pipeline.journals.taxes import UNKNOWN


def with_course(books: Books, lines: Frame) -> Frame:
    """Return invoice lines as `id, invoice, position, course, net`: net of discounts and of tax inside the price.

    The course is the product's `metadata.course`, else the line's; the invoice's own comes in where neither is.
    """
    inside = (
        books["invoice_taxes"]
        .filter(nw.col("tax_behavior") == "inclusive")
        .group_by("invoice_line")
        .agg(nw.col("amount").sum().alias("inside"))
    )
    products = books["products"].select(nw.col("id").alias("product"), nw.col("metadata_course").alias("of_product"))
    joined = lines.join(products, on="product", how="left").join(
        inside, left_on="id", right_on="invoice_line", how="left"
    )
    net = nw.col("amount") - nw.col("discount_amount").fill_null(0) - nw.col("inside").fill_null(0)
    course = nw.coalesce(nw.col("of_product"), nw.col("metadata_course"))
    return joined.select("id", "invoice", "position", course.alias("course"), net.alias("net"))


def revenue(books: Books, invoices: Frame) -> Frame:
    """Share `net` (settlement minor units) of each invoice among its courses, in proportion to their lines.

    Returns one row per invoice and course: `id, currency, role, course, amount, presentment, …, day`.
    """
    columns = ["id", "currency", "presentment_currency", "rate_e8", "net", "metadata_course", "day"]
    heads = invoices.select(*columns).with_columns(nw.col("net").alias("whole")).drop("net")
    lines = (
        with_course(books, books["invoice_lines"]).drop("id").join(heads, left_on="invoice", right_on="id", how="inner")
    )
    named = lines.with_columns(
        nw.coalesce(nw.col("course"), nw.col("metadata_course"), nw.lit(UNKNOWN)).alias("course")
    )
    shared = _shared(books, named)
    ratable = [course for course, terms in books.policy.courses.items() if terms.access_days]
    role = nw.when(nw.col("course").is_in(ratable)).then(nw.lit("deferred")).otherwise(nw.lit("revenue"))
    return shared.with_columns(role.alias("role"), nw.col("weight").alias("presentment"))


_OF_INVOICE = ("currency", "presentment_currency", "rate_e8", "whole", "day")
_SHARED = ["id", "course", "weight", "currency", "presentment_currency", "rate_e8", "day", "amount"]


def _shared(books: Books, lines: Frame) -> Frame:
    """Add `amount`, the course's part of `whole`: largest remainder, ties to the earlier line, as money.allocate.

    Most invoices have one line, at position 0: it takes the whole, and nothing is grouped for it.
    """
    kept = books.keep(lines)
    longer = books.keep(kept.filter(nw.col("position") > 0).select("invoice").unique("invoice"))
    single = kept.join(longer, on="invoice", how="anti").with_columns(
        nw.col("invoice").alias("id"), nw.col("net").alias("weight"), nw.col("whole").alias("amount")
    )
    several = _by_course(kept.join(longer, on="invoice", how="semi")).with_columns(nw.col("invoice").alias("id"))
    return nw.concat([single.select(*_SHARED), _allocated(several).select(*_SHARED)], how="vertical")


def _by_course(lines: Frame) -> Frame:
    by_course = lines.group_by("invoice", "course").agg(
        nw.col("net").sum().alias("weight"),
        nw.col("position").min().alias("position"),
        *[nw.col(name).min() for name in _OF_INVOICE],
    )
    # The rounding of tiny invoices may leave a course below nothing: it takes no part.
    return by_course.with_columns(nw.when(nw.col("weight") < 0).then(0).otherwise(nw.col("weight")).alias("weight"))


def _allocated(by_course: Frame) -> Frame:
    weights = nw.col("weight").sum().over("id")
    several = by_course.with_columns(
        (nw.col("whole") * nw.col("weight")).alias("product"),
        nw.when(weights > 0).then(weights).otherwise(1).alias("weights"),
        nw.lit(1).alias("one"),
    )
    parted = several.with_columns(
        floor_divided(nw.col("product"), nw.col("weights")).alias("part"),
        (nw.col("product") % nw.col("weights") * -1).alias("rest"),
    )
    turn = nw.col("one").cum_sum().over("id", order_by=["rest", "position"])
    left = nw.col("whole") - nw.col("part").sum().over("id")
    placed = parted.with_columns(turn.alias("turn"), left.alias("left"))
    return placed.with_columns(
        (nw.col("part") + nw.when(nw.col("turn") <= nw.col("left")).then(1).otherwise(0)).alias("amount")
    )
