"""Lakes written by hand in which everything happens to sales that tax asks for, by chance: see ``put_sales``."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from lakes import SmallLake

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = datetime(2026, 8, 28, tzinfo=UTC)
SINCE = datetime(2026, 9, 1, tzinfo=UTC)
UNTIL = datetime(2026, 10, 20, tzinfo=UTC)
NOW = datetime(2026, 10, 22, 9, tzinfo=UTC)
REASONS = ("standard_rated", "standard_rated", "product_exempt", "because", None)
PLACES = (
    ("US", "NY", "sales_tax"),
    ("US", "TX", "sales_tax"),
    ("DE", None, "vat"),
    ("IL", None, "vat"),
    ("US", "WA", None),
)
TABLES = (
    "invoices invoice_taxes invoice_payments checkout_sessions refunds balance_transactions credit_notes "
    "credit_note_taxes tax_transactions tax_registrations tax_rates"
).split()

Rows = dict[str, list[dict[str, Any]]]


def put_sales(lake: SmallLake, chance: Random, sales: int) -> Rows:
    """Write ``sales`` sales with what may happen to each, some of it wrong or missing, and return the rows."""
    rows: Rows = {table: [] for table in TABLES}
    for number in range(sales):
        _sale(rows, chance, number)
    for place, state, since in (("US", "NY", LONG_AGO), ("US", "TX", UNTIL), ("FR", None, LONG_AGO)):
        registration = {"id": f"taxreg_{place}{state}", "created": since, "active_from": since, "country": place}
        rows["tax_registrations"].append({**registration, "country_options_us_state": state})
    rate = {"id": "txr_tx", "created": FIRST, "country": "US", "state": "TX", "display_name": "Sales tax"}
    rows["tax_rates"].append({**rate, "jurisdiction_level": "state", "jurisdiction": "Texas", "tax_type": "sales_tax"})
    for table, made in rows.items():
        lake.put(table, *sorted(made, key=lambda row: (row["created"], row["id"])), complete=UNTIL)
    return rows


def _sale(rows: Rows, chance: Random, number: int) -> None:
    at = FIRST + timedelta(hours=chance.randrange(53 * 24))
    paid = at + timedelta(days=chance.choice((0, 0, 0, 6)))
    total = chance.choice((10_000, 10_825, 3_333))
    automatic = chance.random() < 0.7
    invoice = {
        "id": f"in_{number}",
        "created": at,
        "status": chance.choice(("paid", "paid", "paid", "paid", "open")),
        "effective_at": chance.choice((paid, paid, paid, paid, None)),
        "automatic_tax_enabled": automatic,
        "currency": chance.choice(("usd", "ils")),
        "total": total,
        "total_excluding_tax": chance.choice((total - 800, None)),
        "customer_address_country": chance.choice(("US", "IL", "DE", None)),
        "customer_tax_exempt": chance.choice(("none", "exempt", None)),
        "_deleted_at": chance.choice((None, None, None, None, None, at)),
    }
    rows["invoices"].append(invoice)
    taxes = list(_taxes(chance, invoice, "invoice"))
    rows["invoice_taxes"] += taxes
    session = {"id": f"cs_{number}", "created": at - timedelta(hours=1), "invoice": invoice["id"]}
    rows["checkout_sessions"] += [session] * chance.choice((1, 1, 0))
    payment = {"id": f"inpay_{number}", "created": at, "payment_payment_intent": f"pi_{number}"}
    rows["invoice_payments"] += [{**payment, "invoice": invoice["id"]}] * chance.choice((1, 1, 1, 0))
    printed_as = chance.choice((invoice["id"], session["id"], session["id"]))
    rows["tax_transactions"] += _printed(chance, printed_as, taxes, paid, total, 1)
    refunds = [_refund(rows, chance, f"{number}_{n}", paid, total) for n in range(chance.choice((0, 0, 1, 2)))]
    for refund in refunds:
        rows["tax_transactions"] += _printed(chance, refund["id"], taxes, refund["created"], refund["amount"], -1)
    if chance.random() < 0.4:
        _note(rows, chance, invoice, refunds)


def _taxes(chance: Random, document: dict[str, Any], parent: str) -> Iterator[dict[str, Any]]:
    for n in range(chance.choice((0, 1, 2, 3))):
        country, state, tax_type = chance.choice(PLACES)
        yield {
            "id": f"{document['id']}:{n}",
            "created": document["created"],
            parent: document["id"],
            f"{parent}_line": f"il_{document['id']}_{n // 2}",
            "currency": document["currency"],
            "amount": chance.choice((825, 400, 0)),
            "taxable_amount": chance.choice((10_000, None)),
            "taxability_reason": chance.choice(REASONS),
            "tax_rate": f"txr_{n}",
            "country": country,
            "state": state,
            "tax_type": tax_type,
        }


def _printed(
    chance: Random, source: str, taxes: list[dict[str, Any]], at: datetime, total: int, sign: int
) -> Iterator[dict[str, Any]]:
    """Yield what the report prints of ``taxes``, now and then nothing or another amount."""
    for n, tax in enumerate(taxes if chance.random() < 0.8 and at < UNTIL else ()):
        yield {
            "id": f"taxrow_{source}_{n}",
            "created": at,
            "source_id": source,
            "type": "invoice" if sign > 0 else "refund",
            "line_item_id": tax.get("invoice_line"),
            "transaction_date": at,
            "currency": tax["currency"],
            "total": sign * total,
            "tax_amount": sign * (tax["amount"] + chance.choice((0, 0, 0, 5))),
            "taxable_amount": chance.choice((None, None, sign * 9_000)),
            "tax_name": chance.choice(("Sales tax", "Texas levy", None)),
            "tax_type": chance.choice((None, tax["tax_type"])),
            "taxability_reason": tax["taxability_reason"],
            "jurisdiction_level": "state",
            "jurisdiction_name": "Texas",
            "country_code": tax["country"],
            "state_code": tax["state"],
        }


def _refund(rows: Rows, chance: Random, name: str, paid: datetime, total: int) -> dict[str, Any]:
    at = paid + timedelta(days=chance.randrange(30))
    failed = chance.random() < 0.2
    refund = {
        "id": f"re_{name}",
        "created": at,
        "payment_intent": f"pi_{name.partition('_')[0]}",
        "amount": chance.choice((total, total // 2, 100)),
        "status": "failed" if failed else "succeeded",
        "balance_transaction": f"txn_{name}",
        "failure_balance_transaction": f"txn_{name}_failed" if failed else None,
    }
    rows["refunds"].append(refund)
    rows["balance_transactions"].append({"id": f"txn_{name}", "created": at})
    rows["balance_transactions"].append({"id": f"txn_{name}_failed", "created": at + timedelta(days=3)})
    return refund


def _note(rows: Rows, chance: Random, invoice: dict[str, Any], refunds: list[dict[str, Any]]) -> None:
    linked = [refund for refund in refunds if chance.random() < 0.5]
    voided = not linked and chance.random() < 0.3
    at = invoice["created"] + timedelta(days=7)
    note = {
        "id": f"cn_{invoice['id']}",
        "created": at,
        "invoice": invoice["id"],
        "currency": invoice["currency"],
        "total": sum(refund["amount"] for refund in linked) or (refunds[0]["amount"] if refunds else invoice["total"]),
        "status": "void" if voided else "issued",
        "effective_at": chance.choice((None, at)),
        "voided_at": at + timedelta(days=2) if voided else None,
        "refunds_refund": [refund["id"] for refund in linked] or None,
        "refunds_amount_refunded": [refund["amount"] for refund in linked] or None,
        "customer_balance_transaction": chance.choice((None, "cbtxn_1")),
    }
    rows["credit_notes"].append(note)
    taxes = list(_taxes(chance, note, "credit_note"))
    rows["credit_note_taxes"] += taxes
    rows["tax_transactions"] += _printed(chance, note["id"], taxes, at, note["total"], -1)
