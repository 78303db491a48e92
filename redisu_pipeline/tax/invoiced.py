"""Tax as invoices, credit notes and refunds tell it: near real time, and the only side of manual rates.

A sale counts when its invoice is paid, dated by `effective_at`. A return counts when its money moved (a refund's
balance transaction), or at the credit note's date where no money moved; one that failed or was voided counts back then.
Split of a refund (netsuite-journals.md §2.4): the linked credit note's taxes, else pro rata on the cumulated amount,
so that the last refund lands exactly on the tax of the sale.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from redisu_pipeline.tax.model import Books, CreditNote, Invoice, Movement, Place, Refund, TaxLine, once

_DEAD = ("failed", "canceled")


@dataclass(frozen=True, slots=True)
class _Share:
    """A tax rate's part of a document."""

    place: Place
    tax: int
    taxable: int


_Shares = Mapping[str, _Share]  # by tax rate


@dataclass(frozen=True, slots=True)
class _Return:
    """Something that goes back: ``at`` is its turn, ``counted`` and ``undone`` when its tax moves; see module."""

    documents: tuple[str, ...]
    at: datetime
    counted: datetime | None
    undone: datetime | None
    amount: int
    shares: _Shares | None


@once
def movements(books: Books) -> Iterator[Movement]:
    """Yield every movement of tax of every paid invoice, sales and returns."""
    taxes, note_taxes = _by_document(books.invoice_taxes), _by_document(books.credit_note_taxes)
    returns = _returns(books, note_taxes)
    for invoice in books.invoices.values():
        if invoice.status != "paid" or invoice.at is None:
            continue
        lines = taxes.get(invoice.id, ())
        for one in lines:
            yield Movement(invoice.at, one.place, one.tax, one.taxable, (invoice.id,), one.line, invoice.id)
        yield from _given_back(invoice, _by_rate(lines), returns.get(invoice.id, ()))


def _by_document(lines: Iterable[TaxLine]) -> dict[str, list[TaxLine]]:
    found: dict[str, list[TaxLine]] = defaultdict(list)
    for line in lines:
        found[line.document].append(line)
    return found


def _by_rate(lines: Iterable[TaxLine]) -> dict[str, _Share]:
    found: dict[str, _Share] = {}
    for line in lines:
        before = found.get(line.rate, _Share(line.place, 0, 0))
        found[line.rate] = _Share(line.place, before.tax + line.tax, before.taxable + line.taxable)
    return found


def _returns(books: Books, note_taxes: Mapping[str, Sequence[TaxLine]]) -> dict[str, list[_Return]]:
    """Return what goes back of each invoice: refunds with the notes that explain them, and the rest of the notes."""
    found: dict[str, list[_Return]] = defaultdict(list)
    linked: dict[str, list[tuple[CreditNote, int, _Shares]]] = defaultdict(list)
    for note in books.credit_notes:
        shares, so_far = _by_rate(note_taxes.get(note.id, ())), 0
        for refund, amount in note.refunds:
            linked[refund].append((note, amount, _step(shares, so_far, so_far + amount, note.total)))
            so_far += amount
        if so_far < note.total:
            rest = _step(shares, so_far, note.total, note.total)
            undone = note.voided if note.status == "void" else None
            found[note.invoice].append(_Return((note.id,), note.at, note.effective, undone, note.total - so_far, rest))
    for refund_ in books.refunds:
        found[refund_.invoice].extend(_of_refund(refund_, linked.get(refund_.id, ())))
    return found


def _of_refund(refund: Refund, notes: Iterable[tuple[CreditNote, int, _Shares]]) -> Iterator[_Return]:
    if refund.status in _DEAD and refund.booked is None:
        return  # no money ever moved
    left = refund.amount
    for note, amount, shares in notes:
        yield _Return((refund.id, note.id), refund.at, refund.booked, refund.failed, amount, shares)
        left -= amount
    if left > 0:
        yield _Return((refund.id,), refund.at, refund.booked, refund.failed, left, None)


def _step(shares: _Shares, low: int, high: int, total: int) -> dict[str, _Share]:
    """Return the part of each share between ``low`` and ``high`` of ``total``, cumulated so that the parts add up."""
    return {
        rate: _Share(
            share.place,
            _part(share.tax, high, total) - _part(share.tax, low, total),
            _part(share.taxable, high, total) - _part(share.taxable, low, total),
        )
        for rate, share in shares.items()
    }


def _part(amount: int, numerator: int, total: int) -> int:
    """Return amount × numerator / total, half up, never more than the whole."""
    if total <= 0:
        return 0
    return (2 * amount * min(numerator, total) + total) // (2 * total)


def _given_back(invoice: Invoice, sold: _Shares, returns: Sequence[_Return]) -> Iterator[Movement]:
    """Yield the movements of the returns of one invoice, in the order in which they were decided."""
    steps = [(one.at, 0, one) for one in returns] + [(one.undone, 1, one) for one in returns if one.undone]
    total = 0
    gone: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    shares: dict[int, _Shares] = {}
    for at, undone, one in sorted(steps, key=lambda step: (step[0], step[1], step[2].documents)):
        sign = -1 if undone else 1
        if not undone:
            shares[id(one)] = one.shares if one.shares is not None else _rest(sold, gone, total + one.amount, invoice)
        total += sign * one.amount
        for rate, share in shares[id(one)].items():
            tax, taxable = gone[rate]
            gone[rate] = (tax + sign * share.tax, taxable + sign * share.taxable)
        moment = at if undone else one.counted
        if moment is not None:
            for share in shares[id(one)].values():
                yield Movement(
                    moment, share.place, -sign * share.tax, -sign * share.taxable, one.documents, "", invoice.id
                )


def _rest(sold: _Shares, gone: Mapping[str, tuple[int, int]], after: int, invoice: Invoice) -> dict[str, _Share]:
    """Return the tax due back once ``after`` of the invoice has gone back, less what went back before."""
    return {
        rate: _Share(
            share.place,
            _part(share.tax, after, invoice.total) - gone[rate][0],
            _part(share.taxable, after, invoice.total) - gone[rate][1],
        )
        for rate, share in sold.items()
    }
