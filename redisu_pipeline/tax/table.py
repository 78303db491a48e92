"""`netsuite/tax_by_jurisdiction` as a table of the lake: its columns, and the rows in major units."""

from collections.abc import Iterable
from types import MappingProxyType

import pyarrow as pa

from redisu_pipeline.common.money import to_major
from redisu_pipeline.lake.catalog import CatalogTable
from redisu_pipeline.lake.schemas import ACCOUNT, INSTANT
from redisu_pipeline.tax.model import JurisdictionRow

AMOUNT = pa.decimal128(18, 3)
COLUMNS = (
    ("account", ACCOUNT, "Key of the Stripe account in `redisu.toml`"),
    ("period", pa.string(), "Month of the books, YYYY-MM, cut in the account's zone"),
    ("country", pa.string(), "ISO 3166 country whose tax it is"),
    ("state", pa.string(), "State or province whose tax it is; empty for the tax of a whole country"),
    ("tax_type", pa.string(), "sales_tax, vat, gst …; `unknown` where neither report nor tax rate tells"),
    ("currency", pa.string(), "Currency of the sale (presentment), lower case"),
    ("taxable", AMOUNT, "Base of the tax: of sales, less what was given back; major units"),
    ("collected", AMOUNT, "Tax that became payable: sales, and refunds that failed or notes that were voided"),
    ("refunded", AMOUNT, "Tax given back by refunds and credit notes"),
    ("source", pa.string(), "`report` (automatic tax) or `invoice` (manual rates; automatic tax not yet reported)"),
    ("complete", pa.bool_(), "Whether everything of the month is in the row"),
    ("complete_until", INSTANT, "Up to when it is; at most the month's end; null when that cannot be said"),
)
TAX_BY_JURISDICTION = CatalogTable(
    "netsuite",
    "tax_by_jurisdiction",
    "Tax by account, month, country, state, tax type, currency and source: automatic tax from Stripe's report, manual "
    "rates (Israel) from invoices, credit notes and refunds; no tax is in it twice. Payable: collected − refunded.",
    pa.schema([pa.field(name, kind, nullable=name == "complete_until") for name, kind, _ in COLUMNS]),
    MappingProxyType({"month": "The same as `period`; stands only in the path", **{n: doc for n, _, doc in COLUMNS}}),
)


def to_arrow(account: str, rows: Iterable[JurisdictionRow]) -> pa.Table:
    """Return rows as the table's; minor units become exact decimals here and nowhere earlier."""
    values = [
        {
            "account": account,
            "period": row.period,
            **row.place._asdict(),
            "taxable": to_major(row.taxable, row.place.currency),
            "collected": to_major(row.collected, row.place.currency),
            "refunded": to_major(row.refunded, row.place.currency),
            "source": row.source,
            "complete": row.complete,
            "complete_until": row.until,
        }
        for row in rows
    ]
    return pa.Table.from_pylist(values, schema=TAX_BY_JURISDICTION.schema)


def sums_of(rows: Iterable[JurisdictionRow]) -> dict[str, dict[str, int]]:
    """Return the money of ``rows`` by column and currency in minor units, as a manifest records it."""
    sums: dict[str, dict[str, int]] = {}
    for row in rows:
        for name in ("taxable", "collected", "refunded"):
            by_currency = sums.setdefault(name, {})
            by_currency[row.place.currency] = by_currency.get(row.place.currency, 0) + getattr(row, name)
    return sums
