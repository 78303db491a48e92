"""Money that goes back to buyers (events 4–6) and credit without money (8a–8c).

Cash is the refund's balance transaction; tax and net are split as returns.py says, at the rate of the sale, and what
the refund's own rate makes of it is an exchange difference (netsuite-journals.md §0.11).
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from redisu_pipeline.journals.books import Books
from redisu_pipeline.journals.model import Blocked, JournalClass
from redisu_pipeline.journals.postings import Leg, LegKey
from redisu_pipeline.journals.recognition import split_return
from redisu_pipeline.journals.return_rows import Booking, Note, Refund, ReturnRows, Story, read
from redisu_pipeline.journals.returns import Return, SettledReturn, settled_returns

_REFUNDS = JournalClass.REFUNDS
_DEAD = ("failed", "canceled")


def postings(books: Books) -> tuple[list[Leg], list[Blocked]]:
    """Return what went back in the month, and what cannot be split."""
    rows = read(books)
    legs = [leg for story in rows.stories for leg in _of_story(books, story)]
    return legs, _blocked(rows)


def _of_story(books: Books, story: Story) -> Iterator[Leg]:
    """Yield the legs of one sale's returns that fall into the month."""
    of_refunds = [_of_refund(refund, story) for refund in story.refunds]
    done = settled_returns(story.sale, [one for parts in of_refunds for one in parts] + _alone(story))
    month = books.month
    for refund, returns in zip(story.refunds, of_refunds, strict=True):
        parts = [done[one.id] for one in returns]
        for booking, sign, event in ((refund.booked, 1, "4"), (refund.failed, -1, "6")):
            if booking is not None and booking.period == month and parts:
                yield from _refunded(books, story, refund, parts, booking, sign, event)
    for note in story.notes:
        alone = done.get(note.id)
        if alone is None:
            continue
        event = "8a" if note.to_balance else "8b"
        for period, sign, name in ((note.period, 1, event), (note.void_period, -1, "8c")):
            if period == month:
                yield from _credited(books, story, note, alone, sign, name)


def _refunded(
    books: Books, story: Story, refund: Refund, parts: list[SettledReturn], booking: Booking, sign: int, event: str
) -> Iterator[Leg]:
    """Dr refunds, tax; Cr clearing; the rate's gap to fx. A failed refund (sign −1) is the exact reverse."""
    sale, entry = story.sale, booking.id
    legs = [
        leg for part in parts for leg in _parts(books, story, part, entry, event, ("refund", refund.id), refund.day)
    ]
    legs = legs if sign > 0 else [leg.negated() for leg in legs]
    cash = Leg(
        entry,
        LegKey(_REFUNDS, event, "clearing"),
        booking.currency,
        booking.amount,
        "balance_transaction",
        booking.id,
        -sign * refund.amount,
        sale.shown,
        booking.rate_e8,
    )
    gap = -cash.amount - sum(leg.amount for leg in legs)
    yield cash
    yield from legs
    yield Leg(entry, LegKey(_REFUNDS, event, "fx"), booking.currency, gap, "refund", refund.id)


def _credited(books: Books, story: Story, note: Note, part: SettledReturn, sign: int, event: str) -> Iterator[Leg]:
    """Dr refunds, tax; Cr what the customer is owed, or what was settled outside Stripe. Voided: the reverse."""
    split = "8a" if note.to_balance else "8b"
    legs = list(_parts(books, story, part, note.id, split if sign > 0 else event, ("credit_note", note.id), note.day))
    legs = legs if sign > 0 else [leg.negated() for leg in legs]
    role = "customer_credit" if note.to_balance else "credit_out_of_band"
    owed = -sum(leg.amount for leg in legs)
    yield from legs
    yield Leg(note.id, LegKey(_REFUNDS, event, role), story.sale.currency, owed, "credit_note", note.id)


def _parts(
    books: Books, story: Story, part: SettledReturn, entry: str, event: str, source: tuple[str, str], day: int
) -> Iterator[Leg]:
    """Yield the debits of a return: tax by jurisdiction, refunds by course, deferred for what was not yet earned."""
    sale = story.sale
    for tax in part.taxes:
        key = LegKey(_REFUNDS, event, tax.part.role, "", tax.part.country, tax.part.state)
        yield Leg(entry, key, sale.currency, tax.amount, *source, tax.shown, sale.shown, sale.rate_e8)
    for course, net in part.nets.items():
        terms = books.policy.courses.get(course)
        never = 0
        if terms is not None and terms.access_days:
            never, _ = split_return(part.net_before[course], net, terms.access_days, day - sale.day)
        shown = part.shown_nets.get(course, 0)
        shown_never = shown * never // net if net else 0
        key = LegKey(_REFUNDS, event, "deferred", course)
        yield Leg(entry, key, sale.currency, never, *source, shown_never, sale.shown, sale.rate_e8)
        key = LegKey(_REFUNDS, event, "refunds", course)
        yield Leg(entry, key, sale.currency, net - never, *source, shown - shown_never, sale.shown, sale.rate_e8)


# -- the documents of a return ----------------------------------------------------------------------------------------


def returns_of(story: Story) -> list[Return]:
    """Return everything that ever went back of one sale: refunds as their documents split them, and notes alone."""
    return [one for refund in story.refunds for one in _of_refund(refund, story)] + _alone(story)


def _alone(story: Story) -> list[Return]:
    """Return what credit notes took back beside all refunds."""
    found = []
    for note in story.notes:
        rest = note.total - sum(amount for _, amount in note.refunds)
        if rest > 0:
            whole = rest == note.total
            taxes = note.taxes if whole else _share(note.taxes, note.total - rest, note.total, note.total)
            nets = note.nets if whole else None
            found.append(Return(note.id, note.created, rest, _voided(note), taxes, nets))
    return found


def _voided(note: Note) -> datetime | None:
    return note.voided if note.status == "void" else None


def _of_refund(refund: Refund, story: Story) -> list[Return]:
    """Return a refund as one part for each credit note that explains it, and a rest."""
    if refund.status in _DEAD and refund.booked is None:
        return []  # no money ever moved
    undone = refund.failed.at if refund.failed is not None else None
    parts, left = [], refund.amount
    for note in story.notes:
        so_far = 0
        for linked, amount in note.refunds:
            if linked == refund.id:
                taxes = _share(note.taxes, so_far, so_far + amount, note.total)
                nets = note.nets if amount == note.total else None
                parts.append(Return(f"{refund.id}/{note.id}", refund.created, amount, undone, taxes, nets))
                left -= amount
            so_far += amount
    if left > 0:
        reported = refund.reported if left == refund.amount else None
        parts.append(Return(refund.id, refund.created, left, undone, reported))
    return parts


def _share(taxes: Mapping[str, int], low: int, high: int, total: int) -> dict[str, int]:
    """Return the part of each tax between ``low`` and ``high`` of ``total``, cumulated so that the parts add up."""
    return {rate: _part(tax, high, total) - _part(tax, low, total) for rate, tax in taxes.items()}


def _part(tax: int, amount: int, total: int) -> int:
    return (2 * tax * amount + total) // (2 * total) if total else 0


def _blocked(rows: ReturnRows) -> list[Blocked]:
    found = []
    if rows.without_sale:
        what = "refunds whose charge has no paid invoice here: their tax and course are unknown"
        mend = "sync again (objects before `start` are fetched by id); else ask for the invoice, or map it"
        found.append(Blocked("reference", what, mend, rows.without_sale))
    if rows.before_payment:
        what = "credit notes that lowered an invoice before it was paid: no rule books them"
        found.append(
            Blocked("reference", what, "let finance book them by hand and void them at Stripe", rows.before_payment)
        )
    return found
