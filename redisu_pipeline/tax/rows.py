"""Rows of the lake's tables as the plain rows of model.py: here stands which columns they are made of."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from sys import intern
from typing import Any

import pyarrow as pa

from redisu_pipeline.lake.schemas import INSTANT
from redisu_pipeline.tax.model import UNKNOWN, CreditNote, Invoice, Place, ReportRow, TaxLine
from redisu_pipeline.tax.tax_types import TaxTypes

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AT_ONCE = 5_000
"""Rows whose values are Python's at the same time."""

INVOICE = (
    "id status effective_at automatic_tax_enabled currency total total_excluding_tax customer_address_country "
    "customer_tax_exempt"
).split()
REPORT = (
    "id source_id type line_item_id transaction_date currency total tax_amount taxable_amount taxability_reason "
    "country_code state_code jurisdiction_level jurisdiction_name tax_name tax_type"
).split()
RATE = "country state jurisdiction_level jurisdiction display_name tax_type".split()


def tuples(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    """Yield the rows as tuples of Python values."""
    for low in range(0, rows.num_rows, AT_ONCE):
        yield from zip(*map(_values, rows.slice(low, AT_ONCE).columns), strict=True)


def _values(column: pa.ChunkedArray) -> list[Any]:
    if column.type != INSTANT:
        return list(column.to_pylist())
    # Arrow makes each instant by way of a zone that it looks up: this takes a fifth of the time.
    return [None if at is None else EPOCH + timedelta(microseconds=at) for at in column.cast(pa.int64()).to_pylist()]


def invoices_of(rows: pa.Table) -> Iterator[Invoice]:
    """Yield the invoices in rows of the columns INVOICE."""
    for object_id, status, at, automatic, currency, total, net, country, exempt in tuples(rows):
        yield Invoice(
            id=object_id,
            status=intern(status or ""),
            at=at,
            automatic=bool(automatic),
            currency=intern(currency),
            total=total,
            net=net if net is not None else total,
            country=intern(country or ""),
            exempt=intern(exempt or "none"),
        )


def tax_columns(parent: str) -> list[str]:
    """Return the columns that a tax line is made of; ``parent`` is ``invoice`` or ``credit_note``."""
    own = "currency amount taxable_amount taxability_reason tax_rate country state tax_type".split()
    return [parent, f"{parent}_line", *own]


def tax_lines_of(rows: pa.Table, documents: Mapping[str, Invoice | CreditNote]) -> Iterator[TaxLine]:
    """Yield the taxes of ``documents`` in rows of ``tax_columns``."""
    for document, line, currency, amount, taxable, reason, rate, country, state, tax_type in tuples(rows):
        if document in documents:
            yield TaxLine(
                document=documents[document].id,  # the same text, not another one of these letters
                line=line,
                rate=intern(rate or ""),
                place=_place(country, state, tax_type, currency),
                tax=amount,
                taxable=taxable or 0,
                reason=_one(reason),
            )


def report_of(rows: pa.Table, types: TaxTypes) -> Iterator[ReportRow]:
    """Yield the report's rows in rows of the columns REPORT, which must hold every row of a line or none."""
    type_of, on_line = cache(types.of), _tax_on_line(rows)
    for object_id, source, kind, line, at, currency, total, tax, taxable, reason, *where in tuples(rows):
        yield ReportRow(
            id=object_id,
            source_id=source,
            type=intern(kind),
            line=line or "",
            at=at,
            place=_place(where[0], where[1], type_of(*where), currency),
            tax=tax,
            taxable=_base(total, tax, taxable, on_line[source, line, at]),
            reason=_one(reason),
        )


def _tax_on_line(rows: pa.Table) -> Counter[tuple[Any, ...]]:
    """Return the tax of each line over all its jurisdictions; of none, where every row prints its base."""
    found: Counter[tuple[Any, ...]] = Counter()
    if rows["taxable_amount"].null_count:
        for *line, tax in tuples(rows.select(["source_id", "line_item_id", "transaction_date", "tax_amount"])):
            found[tuple(line)] += tax
    return found


def _base(total: int, tax: int, taxable: int | None, on_line: int) -> int:
    """Return what a report row was computed on; types that do not print it print the line with tax."""
    if taxable is not None:
        return taxable
    return total - on_line if tax else 0


@cache
def _place(country: str | None, state: str | None, tax_type: str | None, currency: str) -> Place:
    return Place(country or "", state or "", tax_type or UNKNOWN, currency)


def _one(text: str | None) -> str | None:
    """Return the one text of these letters: values repeat a million times."""
    return None if text is None else intern(text)
