"""What goes back: every credit note and refund that the lake has, read whole, for they are few."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from redisu_pipeline.lake.parts import parts_of
from redisu_pipeline.tax.model import CreditNote, Refund, TaxLine
from redisu_pipeline.tax.rows import tax_columns, tax_lines_of, tuples
from redisu_pipeline.tax.scanning import Scan

T = TypeVar("T")
NOTE = (
    "id invoice total status created effective_at voided_at refunds_refund refunds_amount_refunded "
    "customer_balance_transaction"
).split()
REFUND = "id payment_intent amount status created balance_transaction failure_balance_transaction".split()


@dataclass(frozen=True)
class Returns:
    """Credit notes with their taxes, and refunds."""

    notes: tuple[CreditNote, ...]
    note_taxes: tuple[TaxLine, ...]
    refunds: tuple[Refund, ...]

    @property
    def sales(self) -> dict[str, str]:
        """The invoice of each return."""
        refunds = {refund.id: refund.invoice for refund in self.refunds}
        return refunds | {note.id: note.invoice for note in self.notes}

    def divided(self, number: int) -> "list[Returns]":
        """Return what belongs to each of ``number`` parts of the sales; a note's refunds are its invoice's."""
        notes = _divided(self.notes, [note.invoice for note in self.notes], number)
        invoices = {note.id: note.invoice for note in self.notes}
        taxes = _divided(self.note_taxes, [invoices[tax.document] for tax in self.note_taxes], number)
        refunds = _divided(self.refunds, [refund.invoice for refund in self.refunds], number)
        return [Returns(*parts) for parts in zip(notes, taxes, refunds, strict=True)]


def read_returns(scan: Scan) -> Returns:
    """Return what the lake has."""
    notes = {note.id: note for note in _credit_notes(scan)}
    columns = tax_columns("credit_note")
    wanted = pa.array(sorted(notes), pa.string())
    taxes = (
        tax
        for rows in scan("credit_note_taxes", columns)
        for tax in tax_lines_of(rows.filter(pc.is_in(rows["credit_note"], wanted)), notes)
    )
    return Returns(tuple(notes.values()), tuple(taxes), tuple(_refunds(scan)))


def _divided(items: Sequence[T], keys: Sequence[str], number: int) -> list[tuple[T, ...]]:
    found: list[list[T]] = [[] for _ in range(number)]
    for part, one in zip(parts_of(pa.chunked_array([keys], pa.string()), number), items, strict=True):
        found[part].append(one)
    return [tuple(part) for part in found]


def _credit_notes(scan: Scan) -> Iterator[CreditNote]:
    for rows in scan("credit_notes", NOTE):
        for object_id, invoice, total, status, created, effective, voided, refunds, amounts, balance in tuples(rows):
            linked = zip(refunds or (), amounts or (), strict=True)
            yield CreditNote(
                id=object_id,
                invoice=invoice,
                total=total,
                status=status,
                at=created,
                effective=effective or created,
                voided=voided,
                refunds=tuple((refund, amount) for refund, amount in linked if refund),
                to_balance=balance is not None,
            )


def _refunds(scan: Scan) -> Iterator[Refund]:
    refunds = [row for rows in scan("refunds", REFUND) for row in tuples(rows)]
    booked = _looked_up(scan, "balance_transactions", "id", "created", {one for row in refunds for one in row[-2:]})
    invoices = _looked_up(scan, "invoice_payments", "payment_payment_intent", "invoice", {row[1] for row in refunds})
    for object_id, intent, amount, status, created, transaction, failure in refunds:
        yield Refund(
            id=object_id,
            invoice=invoices.get(intent, ""),
            amount=amount,
            status=status,
            at=created,
            booked=booked.get(transaction),
            failed=booked.get(failure),
        )


def _looked_up(scan: Scan, table: str, key: str, value: str, keys: set[str | None]) -> dict[str, Any]:
    """Return ``value`` of the rows whose ``key`` is one of ``keys``."""
    wanted = pa.array(sorted(filter(None, keys)), pa.string())
    found: dict[str, Any] = {}
    for rows in scan(table, [key, value]):
        found.update(tuples(rows.filter(pc.is_in(rows[key], wanted))))
    return found
