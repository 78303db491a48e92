"""The lake's tables as the rows that tax is derived from: reads columns, decides nothing.

Returns are few and read whole; of invoices and report rows only those from ``since`` on, and the invoices that a
return belongs to.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from redisu_pipeline.common.settings import Account
from redisu_pipeline.lake.manifest import Cursor, read_manifest
from redisu_pipeline.lake.reading import scan
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tax.model import (
    UNKNOWN,
    Books,
    Coverage,
    CreditNote,
    Invoice,
    Place,
    Refund,
    Registration,
    ReportRow,
    TaxLine,
)
from redisu_pipeline.tax.tax_types import TaxTypes

Row = dict[str, Any]
SOURCES = (
    "tax_transactions",
    "invoices",
    "credit_notes",
    "refunds",
    "invoice_payments",
    "balance_transactions",
    "checkout_sessions",
    "tax_rates",
    "tax_registrations",
)
"""The tables behind `tax_by_jurisdiction`; a family's other tables land with its first."""

INVOICED = ("invoices", "credit_notes", "refunds", "invoice_payments", "balance_transactions", "tax_rates")
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def read_books(storage: Storage, account: Account, since: datetime = LONG_AGO) -> Books:
    """Return what the lake knows of the account's tax from ``since`` on."""
    return _Reading(storage, account, since).books()


class _Reading:
    def __init__(self, storage: Storage, account: Account, since: datetime) -> None:
        self._storage, self._account, self._since = storage, account, since

    def books(self) -> Books:
        notes, refunds = list(self._credit_notes()), list(self._refunds())
        invoices = {one.id: one for one in self._invoices({*(n.invoice for n in notes), *(r.invoice for r in refunds)})}
        return Books(
            account=self._account.name,
            timezone=self._account.timezone,
            coverage=coverage_of(self._storage, self._account.name),
            since=self._since,
            invoices=invoices,
            invoice_taxes=list(self._tax_lines("invoice_taxes", "invoice", invoices.keys())),
            refunds=refunds,
            credit_notes=notes,
            credit_note_taxes=list(self._tax_lines("credit_note_taxes", "credit_note", {n.id for n in notes})),
            report=list(self._report()),
            registrations=list(self._registrations()),
            sales=self._sales(invoices.keys(), refunds, notes),
        )

    def _scan(self, table: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        manifest, _ = read_manifest(self._storage, table, self._account.name)
        yield from scan(self._storage, manifest, columns)

    def _rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        for rows in self._scan(table, columns):
            yield from rows.to_pylist()

    def _invoices(self, named: set[str]) -> Iterator[Invoice]:
        columns = (
            "id status effective_at automatic_tax_enabled currency total total_excluding_tax customer_address_country "
            "customer_tax_exempt _deleted_at"
        ).split()
        wanted = pa.array(sorted(named), pa.string())
        for rows in self._scan("invoices", columns):
            recent = pc.fill_null(pc.greater_equal(rows.column("effective_at"), self._since), False)
            for row in rows.filter(pc.or_(recent, pc.is_in(rows.column("id"), wanted))).to_pylist():
                if row["_deleted_at"] is None:
                    yield Invoice(
                        id=row["id"],
                        status=row["status"] or "",
                        at=row["effective_at"],
                        automatic=bool(row["automatic_tax_enabled"]),
                        currency=row["currency"],
                        total=row["total"],
                        net=row["total_excluding_tax"] if row["total_excluding_tax"] is not None else row["total"],
                        country=row["customer_address_country"] or "",
                        exempt=row["customer_tax_exempt"] or "none",
                    )

    def _tax_lines(self, table: str, parent: str, documents: Any) -> Iterator[TaxLine]:
        columns = ["id", parent, f"{parent}_line", "currency", "amount", "taxable_amount", "taxability_reason"]
        columns += ["tax_rate", "country", "state", "tax_type"]
        wanted = pa.array(sorted(documents), pa.string())
        for rows in self._scan(table, columns):
            for row in rows.filter(pc.is_in(rows.column(parent), wanted)).to_pylist():
                yield TaxLine(
                    document=row[parent],
                    line=row[f"{parent}_line"],
                    rate=row["tax_rate"] or "",
                    place=_place(row["country"], row["state"], row["tax_type"], row["currency"]),
                    tax=row["amount"],
                    taxable=row["taxable_amount"] or 0,
                    reason=row["taxability_reason"],
                )

    def _credit_notes(self) -> Iterator[CreditNote]:
        columns = (
            "id invoice total status created effective_at voided_at refunds_refund refunds_amount_refunded "
            "customer_balance_transaction"
        ).split()
        for row in self._rows("credit_notes", columns):
            linked = zip(row["refunds_refund"] or (), row["refunds_amount_refunded"] or (), strict=True)
            yield CreditNote(
                id=row["id"],
                invoice=row["invoice"],
                total=row["total"],
                status=row["status"],
                at=row["created"],
                effective=row["effective_at"] or row["created"],
                voided=row["voided_at"],
                refunds=tuple((refund, amount) for refund, amount in linked if refund),
                to_balance=row["customer_balance_transaction"] is not None,
            )

    def _refunds(self) -> Iterator[Refund]:
        columns = "id charge payment_intent amount status created balance_transaction failure_balance_transaction"
        rows = list(self._rows("refunds", columns.split()))
        booked = self._booked({row[name] for row in rows for name in _BOOKINGS if row[name]})
        invoices = self._invoice_of({row["payment_intent"] for row in rows if row["payment_intent"]})
        for row in rows:
            yield Refund(
                id=row["id"],
                invoice=invoices.get(row["payment_intent"], ""),
                amount=row["amount"],
                status=row["status"],
                at=row["created"],
                booked=booked.get(row["balance_transaction"]),
                failed=booked.get(row["failure_balance_transaction"]),
            )

    def _booked(self, transactions: set[str]) -> dict[str | None, datetime]:
        wanted = pa.array(sorted(transactions), pa.string())
        found: dict[str | None, datetime] = {}
        for rows in self._scan("balance_transactions", ["id", "created"]):
            chosen = rows.filter(pc.is_in(rows.column("id"), wanted)).to_pylist()
            found.update({row["id"]: row["created"] for row in chosen})
        return found

    def _invoice_of(self, intents: set[str]) -> dict[str, str]:
        wanted = pa.array(sorted(intents), pa.string())
        found: dict[str, str] = {}
        for rows in self._scan("invoice_payments", ["invoice", "payment_payment_intent"]):
            chosen = rows.filter(pc.is_in(rows.column("payment_payment_intent"), wanted)).to_pylist()
            found.update({row["payment_payment_intent"]: row["invoice"] for row in chosen})
        return found

    def _report(self) -> Iterator[ReportRow]:
        columns = (
            "id source_id type line_item_id transaction_date currency total tax_amount taxable_amount tax_name "
            "tax_type taxability_reason jurisdiction_level jurisdiction_name country_code state_code"
        ).split()
        types = TaxTypes(self._rows("tax_rates", _RATE))
        for rows in self._scan("tax_transactions", columns):
            recent = rows.filter(pc.greater_equal(rows.column("transaction_date"), self._since)).to_pylist()
            on_line = _tax_on_line(recent)
            for row in recent:
                yield ReportRow(
                    id=row["id"],
                    source_id=row["source_id"],
                    type=row["type"],
                    line=row["line_item_id"] or "",
                    at=row["transaction_date"],
                    place=_place(row["country_code"], row["state_code"], types.of(row), row["currency"]),
                    tax=row["tax_amount"],
                    taxable=_base(row, on_line),
                    reason=row["taxability_reason"],
                )

    def _registrations(self) -> Iterator[Registration]:
        columns = ["id", "country", "country_options_us_state", "active_from", "expires_at", "_deleted_at"]
        for row in self._rows("tax_registrations", columns):
            if row["_deleted_at"] is None and row["active_from"] is not None:
                state = row["country_options_us_state"] or ""
                yield Registration(row["id"], row["country"] or "", state, row["active_from"], row["expires_at"])

    def _sales(self, invoices: Any, refunds: Sequence[Refund], notes: Sequence[CreditNote]) -> dict[str, str]:
        """Return the invoice behind each id that a report may print."""
        found = {refund.id: refund.invoice for refund in refunds}
        found.update({note.id: note.invoice for note in notes})
        wanted = pa.array(sorted(invoices), pa.string())
        for rows in self._scan("checkout_sessions", ["id", "invoice"]):
            chosen = rows.filter(pc.is_in(rows.column("invoice"), wanted)).to_pylist()
            found.update({row["id"]: row["invoice"] for row in chosen})
        return found


_BOOKINGS = ("balance_transaction", "failure_balance_transaction")
_RATE = ("country", "state", "jurisdiction_level", "jurisdiction", "display_name", "tax_type")


def _line(row: Row) -> tuple[Any, ...]:
    return row["source_id"], row["line_item_id"], row["transaction_date"]


def _tax_on_line(rows: Sequence[Row]) -> Counter[tuple[Any, ...]]:
    """Return the tax of each line over all its jurisdictions."""
    found: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        found[_line(row)] += row["tax_amount"]
    return found


def _base(row: Row, on_line: Mapping[tuple[Any, ...], int]) -> int:
    """Return what a report row was computed on; types that do not print it print the line with tax."""
    if row["taxable_amount"] is not None:
        return int(row["taxable_amount"])
    return int(row["total"]) - on_line[_line(row)] if row["tax_amount"] else 0


def _place(country: str | None, state: str | None, tax_type: str | None, currency: str) -> Place:
    return Place(country or "", state or "", tax_type or UNKNOWN, currency)


def coverage_of(storage: Storage, account: str) -> Coverage:
    """Return how far the report and the invoices of ``account`` reach, by their manifests."""
    report = _cursor(storage, "tax_transactions", account)
    untils = [_cursor(storage, table, account).complete_until for table in INVOICED]
    known = [datetime.fromisoformat(until) for until in untils if until]
    start = report.extra.get("available_start")
    return Coverage(
        reported_from=datetime.fromisoformat(start) if start else None,
        reported_until=datetime.fromisoformat(report.complete_until) if report.complete_until else None,
        invoiced_until=min(known) if len(known) == len(untils) else None,
        note=report.extra.get("note", ""),
    )


def _cursor(storage: Storage, table: str, account: str) -> Cursor:
    manifest, _ = read_manifest(storage, table, account)
    return manifest.cursor if manifest else Cursor()
