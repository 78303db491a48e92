"""Revenue of ratable courses, released day by day (event 23): Dr deferred, Cr revenue, a line a course and month.

released = unearned at the month's start + sold in it − refunded unearned in it − unearned at its end; so deferred
always stands at the unearned remainder of every invoice (C20).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import narwhals as nw

from redisu_pipeline.common.periods import Month
from redisu_pipeline.journals import courses, sales, taxes
from redisu_pipeline.journals.books import Books
from redisu_pipeline.journals.model import JournalClass
from redisu_pipeline.journals.postings import Leg, LegKey
from redisu_pipeline.journals.recognition import split_return, unearned
from redisu_pipeline.journals.refunds import returns_of
from redisu_pipeline.journals.return_rows import Story, stories_of
from redisu_pipeline.journals.returns import settled_returns

_EPOCH = Month(1970, 1).first_day.toordinal()


def first_day(month: Month) -> int:
    """Return the month's first day as days since 1970-01-01."""
    return month.first_day.toordinal() - _EPOCH


def postings(books: Books) -> list[Leg]:
    """Return what ratable courses earned in the month."""
    found = []
    for invoice, currency, course, released in releases(books):
        for role, amount in (("deferred", released), ("revenue", -released)):
            key = LegKey(JournalClass.DEFERRAL, "23", role, course)
            found.append(Leg(invoice, key, currency, amount, "invoice", invoice))
    return found


def releases(books: Books) -> Iterator[tuple[str, str, str, int]]:
    """Yield (invoice, currency, course, minor units earned in the month)."""
    start, end = first_day(books.period), first_day(books.period.next())
    sold = list(_sold(books, start))
    returned = _returned(books, sold, start, end)
    for invoice, currency, course, net, day in sold:
        days = books.policy.courses[course].access_days or 1
        before, after, never = returned.get((invoice, course), (0, 0, 0))
        opening = net if day >= start else unearned(net - before, days, start - day)
        closing = unearned(net - after, days, end - day)
        yield invoice, currency, course, opening - never - closing


def closing_deferred(books: Books) -> dict[tuple[str, str], int]:
    """Return what is unearned at the month's end by (currency, course): the balance that deferred must have (C20)."""
    start, end = first_day(books.period), first_day(books.period.next())
    sold = list(_sold(books, start))
    returned = _returned(books, sold, start, end)
    found: dict[tuple[str, str], int] = defaultdict(int)
    for invoice, currency, course, net, day in sold:
        days = books.policy.courses[course].access_days or 1
        _, after, _ = returned.get((invoice, course), (0, 0, 0))
        found[currency, course] += unearned(net - after, days, end - day)
    return dict(found)


def _sold(books: Books, start: int) -> Iterator[tuple[str, str, str, int, int]]:
    """Yield (invoice, currency, course, net, day) of ratable sales whose access was not over when the month began."""
    ratable = {course: terms.access_days for course, terms in books.policy.courses.items() if terms.access_days}
    if not ratable:
        return
    open_ = (nw.col("period") <= books.month) & (nw.col("day") > start - max(ratable.values()))
    paid = books.keep(sales.paid_invoices(books).filter(open_))
    ids = paid.select(nw.col("id").alias("invoice"))
    cash = books.keep(sales.payments_of(books, sales.charges_of(books, ids)))
    invoices = books.keep(sales.invoiced_of(books, cash, paid))
    taxed = taxes.of_invoices(books, invoices).group_by("id").agg(nw.col("amount").sum().alias("taxes"))
    net = (nw.col("gross") - nw.col("taxes").fill_null(0)).alias("net")
    revenue = courses.revenue(books, invoices.join(taxed, on="id", how="left").with_columns(net))
    rows = revenue.filter(nw.col("role") == "deferred").select("id", "currency", "course", "amount", "day").collect()
    yield from sorted(rows.rows())


def _returned(
    books: Books, sold: Iterable[tuple[str, str, str, int, int]], start: int, end: int
) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Return by (invoice, course): net returned before the month, until its end, and unearned of it in the month."""
    found: dict[tuple[str, str], tuple[int, int, int]] = {}
    for story in stories_of(books, {invoice for invoice, *_ in sold}):
        done = settled_returns(story.sale, returns_of(story))
        for day, sign, part in _steps(story):
            if part not in done or day >= end:
                continue
            for course, net in done[part].nets.items():
                terms = books.policy.courses.get(course)
                if terms is None or not terms.access_days:
                    continue
                elapsed = _day_of(story, part) - story.sale.day
                never, _ = split_return(done[part].net_before[course], net, terms.access_days, elapsed)
                before, after, of_month = found.get((story.sale.invoice, course), (0, 0, 0))
                earlier = day < start
                found[story.sale.invoice, course] = (
                    before + sign * net * earlier,
                    after + sign * net,
                    of_month + sign * never * (not earlier),
                )
    return found


def _steps(story: Story) -> Iterator[tuple[int, int, str]]:
    """Yield (day, +1 or −1, id of the part) of everything that went back and of what was taken back."""
    for refund in story.refunds:
        for part in (one.id for one in returns_of(story) if one.id.partition("/")[0] == refund.id):
            for booking, sign in ((refund.booked, 1), (refund.failed, -1)):
                if booking is not None:
                    yield booking.day, sign, part
    for note in story.notes:
        yield note.day, 1, note.id
        if note.void_day is not None and note.status == "void":
            yield note.void_day, -1, note.id


def _day_of(story: Story, part: str) -> int:
    """Return the day that decides what was unearned: the refund's own, or the note's."""
    days = {refund.id: refund.day for refund in story.refunds} | {note.id: note.day for note in story.notes}
    return days[part.partition("/")[0]]
