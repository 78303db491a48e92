"""Invoices, sessions and charges against the journals' sales: C9, C9a, C10, C15, C20."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import narwhals as nw

from redisu_pipeline.controls.evidence import Evidence
from redisu_pipeline.controls.flight import received
from redisu_pipeline.controls.model import Status
from redisu_pipeline.controls.outcome import ZERO, Outcome, count, in_major, money, named, nothing
from redisu_pipeline.controls.rows import Row, ids_of, rows_of
from redisu_pipeline.journals import sales
from redisu_pipeline.journals.books import Frame
from redisu_pipeline.journals.deferral import closing_deferred
from redisu_pipeline.journals.model import JournalClass
from redisu_pipeline.journals.transactions import SALE_FAILED

_SOLD = ("revenue", "deferred")


# -- C9: invoices and charges -----------------------------------------------------------------------------------------


def paid_and_charged(evidence: Evidence) -> Iterator[Outcome]:
    """C9: what the month's invoices brought in, with what is in flight, is what was charged in the month."""
    invoiced = _by_currency(evidence.invoices.with_columns(received().alias("amount")))
    charged: dict[str, int] = defaultdict(int)
    for row in evidence.charged:
        charged[row["charged_in"]] += int(row["charged"])
    for currency in sorted({*invoiced, *charged, *evidence.currencies}):
        flying = sum(one.shown for one in evidence.flight.ahead if one.shown_currency == currency)
        flying -= sum(one.shown for one in evidence.flight.behind if one.shown_currency == currency)
        left, right = invoiced.get(currency, 0) + flying, charged.get(currency, 0)
        of_invoices = in_major(invoiced.get(currency, 0), currency)
        detail = f"invoices {of_invoices:,f}, in flight {in_major(flying, currency):,f}"
        differing = _differing(evidence, currency) if left != right else []
        yield money(currency, left, right, detail=detail, wrong=differing)


def _by_currency(frame: Frame) -> dict[str, int]:
    return {currency: int(a) for currency, a in frame.group_by("currency").agg(nw.col("amount").sum()).collect().rows()}


def _differing(evidence: Evidence, currency: str) -> list[str]:
    """Return invoices of the month that did not bring in what was charged for them."""
    paid = sales.invoices_by_intent(evidence.books)
    charges = evidence.books["charges"].filter(nw.col("status") == "succeeded")
    charged = charges.select("payment_intent", nw.col("amount").alias("charged")).join(paid, on="payment_intent")
    sums = charged.group_by("invoice").agg(nw.col("charged").sum())
    ours = evidence.invoices.filter(nw.col("currency") == currency)
    both = ours.join(sums, left_on="id", right_on="invoice", how="left")
    return ids_of(both.filter(nw.col("charged").fill_null(0) != received()))


def charges_without_invoice(evidence: Evidence) -> Iterator[Outcome]:
    """C9: every charge that Stripe booked and that did not fail paid an invoice."""
    ids = sorted(one.charge for one in evidence.flight.ahead if not one.invoiced and one.status != "failed")
    yield count(len(ids), 0, scope="charges without invoice", wrong=ids)


def flight(evidence: Evidence) -> Iterator[Outcome]:
    """C9: in flight by the journals is what flew before, money without an invoice and invoices without money."""
    failed = {kind.currency: 0 for kind in evidence.of_month}
    for kind in evidence.of_month:
        failed[kind.currency] += kind.amount if kind.category in SALE_FAILED else 0
    for currency in evidence.currencies:
        moved = sum(one.amount for one in evidence.flight.behind if one.currency == currency)
        moved -= sum(one.amount for one in evidence.flight.ahead if one.currency == currency)
        moved -= failed.get(currency, 0)
        late = evidence.late(currency, "in_flight")
        unpaid = _uncharged(evidence, currency)
        opening = evidence.opening(currency, "in_flight")
        detail = f"opening {opening:,f}" + (f", late changes {late:,f}" if late else "")
        yield Outcome(
            left=evidence.closing(currency, "in_flight"),
            right=opening + late + in_major(moved, currency),
            currency=currency,
            scope="in flight",
            detail=f"{detail}; not what was charged for them: {named(unpaid)}" if unpaid else detail,
            wrong=bool(unpaid),
        )


def _uncharged(evidence: Evidence, currency: str) -> list[str]:
    """Return the month's invoices whose money no charge of any month is.

    In the first month of the books a charge may be from before `start` and so not in the lake.
    """
    first = evidence.month == evidence.first_month
    waiting = [one for one in evidence.flight.behind if one.currency == currency and one.uncharged]
    return [one.invoice for one in waiting if one.charges or not first]


# -- C9a: an invoice in itself ----------------------------------------------------------------------------------------


def invoices_add_up(evidence: Evidence) -> Iterator[Outcome]:
    """C9a: per invoice, net and tax are the total, and so are its lines with their taxes."""
    books = evidence.books
    ours = books["invoices"].filter(nw.col("period") == evidence.month, nw.col("status") != "draft")
    parts = nw.col("total_excluding_tax") + nw.col("tax_amount").fill_null(0)
    heads = books.keep(ours.select("id", "created", "currency", "total", "tax_amount", parts.alias("parts")))
    wrong: dict[str, list[str]] = defaultdict(list)
    agree = (nw.col("parts") == nw.col("total")).fill_null(value=False)
    for row in rows_of(heads.filter(~agree), "id", "currency"):
        wrong[row["currency"]].append(row["id"])
    astray = _astray(evidence, heads)
    sums = heads.group_by("currency").agg(nw.col("parts").sum(), nw.col("total").sum())
    for row in rows_of(sums, "currency", "parts", "total"):
        currency, total = row["currency"], int(row["total"])
        yield money(currency, int(row["parts"]), total, scope="net and tax", wrong=wrong[currency])
        own = [one for one in astray if one["currency"] == currency]
        whole = total - sum(one["rest"] for one in own)
        yield money(currency, whole, total, scope="lines and taxes", wrong=[one["id"] for one in own])


def _astray(evidence: Evidence, heads: Frame) -> list[Row]:
    """Return invoices whose lines and taxes are not their total, or whose taxes are not their tax.

    Lines and taxes carry the `created` of their invoice: all that was made in one second is added up first, which is
    quick, and only seconds that do not come out even are looked at invoice by invoice.
    """
    seconds = heads.select(nw.col("created").min().alias("first"), nw.col("created").max().alias("last")).collect()
    first, last = seconds["first"][0], seconds["last"][0]
    if first is None:
        return []
    inside = nw.col("created").is_between(first, last)
    frames = [evidence.books[name].filter(inside) for name in ("invoices", "invoice_lines", "invoice_taxes")]
    uneven = evidence.books.keep(_rest(frames, "created").select("created"))
    if not _len(uneven):
        return []
    suspects = [frame.join(uneven, on="created", how="semi") for frame in frames]
    return rows_of(heads.join(_rest(suspects, "id"), on="id", how="inner"), "id", "currency", "rest")


def _rest(frames: Sequence[Frame], key: str) -> Frame:
    """Return, by ``key``, the total less what lines and taxes explain, where that or the tax does not come out even."""
    heads, lines, taxes = frames
    of = "created" if key == "created" else "invoice"
    net = nw.col("amount") - nw.col("discount_amount").fill_null(0)
    outside = nw.when(nw.col("tax_behavior") == "inclusive").then(0).otherwise(nw.col("amount"))
    tax = nw.col("tax_amount").fill_null(0)
    parts = [
        heads.select(nw.col(key).alias("id"), nw.col("total").alias("rest"), tax.alias("untaxed")),
        lines.select(nw.col(of).alias("id"), (net * -1).alias("rest"), (net * 0).alias("untaxed")),
        taxes.select(nw.col(of).alias("id"), (outside * -1).alias("rest"), (nw.col("amount") * -1).alias("untaxed")),
    ]
    summed = nw.concat(parts, how="vertical").group_by("id").agg(nw.col("rest").sum(), nw.col("untaxed").sum())
    return summed.filter((nw.col("rest") != 0) | (nw.col("untaxed") != 0)).rename({"id": key})


# -- C10: revenue -----------------------------------------------------------------------------------------------------


def revenue(evidence: Evidence) -> Iterator[Outcome]:
    """C10: revenue and deferred of sales is what the paid invoices say without tax, converted where they were."""
    billed = _by_currency(evidence.invoices.with_columns(nw.col("total_excluding_tax").alias("amount")))
    elsewhere: dict[str, int] = defaultdict(int)
    for row in evidence.sold:
        if row["is_converted"]:
            elsewhere[row["presentment_currency"]] += int(row["presentment"])
    anew = evidence.converted_sales
    for currency in evidence.currencies:
        left = -evidence.own_sum(currency, lambda line: line.class_ == JournalClass.SALES and line.gl_role in _SOLD)
        right = billed.get(currency, 0) - elsewhere.get(currency, 0) + anew.sums.get(currency, 0)
        tolerance = anew.tolerances.get(currency, ZERO) * in_major(1, currency)
        detail = f"of it converted {in_major(anew.sums[currency], currency):,f}" if currency in anew.sums else ""
        yield Outcome(left=left, right=in_major(right, currency), currency=currency, tolerance=tolerance, detail=detail)


def revenue_as_shown(evidence: Evidence) -> Iterator[Outcome]:
    """C10: in the buyers' currency, revenue and deferred is exactly what the paid invoices say without tax."""
    billed = _by_currency(evidence.invoices.with_columns(nw.col("total_excluding_tax").alias("amount")))
    shown: dict[str, int] = defaultdict(int)
    for row in evidence.sold:
        shown[row["presentment_currency"]] += int(row["presentment"])
    for currency in sorted({*billed, *shown}):
        yield money(currency, shown[currency], billed.get(currency, 0), scope="buyers' currency")


# -- C15: sessions ----------------------------------------------------------------------------------------------------


def sessions(evidence: Evidence) -> Iterator[Outcome]:
    """C15: every session that was completed and paid, or free, has its invoice."""
    done = evidence.sessions.filter(
        nw.col("status") == "complete",
        nw.col("payment_status").is_in(["paid", "no_payment_required"]),
    )
    # Most are of the month, so that only a few are looked for among all.
    here = done.select("id", "invoice").join(_finished(evidence), left_on="invoice", right_on="id", how="anti")
    rest = evidence.books.keep(here)
    others = evidence.books["invoices"].filter(nw.col("period") != evidence.month, nw.col("status") == "paid")
    without = ids_of(rest.join(others.select("id"), left_on="invoice", right_on="id", how="anti"))
    number, free = _len(done), _len(done.filter(nw.col("payment_status") == "no_payment_required"))
    yield count(number, number - len(without), scope="sessions", detail=f"{free} free", wrong=without)


def _finished(evidence: Evidence) -> Frame:
    """Return the paid invoices of the month, free ones too."""
    paid = evidence.books["invoices"].filter(nw.col("period") == evidence.month, nw.col("status") == "paid")
    return paid.select("id", "sent")


def invoices_of_sessions(evidence: Evidence) -> Iterator[Outcome]:
    """C15: every paid invoice came from a session.

    Listed are those that finance sent by hand, and in the first month of the books those whose session may be from
    before `start`.
    """
    here = evidence.sessions.filter(~nw.col("invoice").is_null()).select("invoice")
    paid = _finished(evidence)
    rest = evidence.books.keep(paid.join(here, left_on="id", right_on="invoice", how="anti"))
    others = evidence.books["checkout_sessions"].filter(nw.col("period") != evidence.month)
    elsewhere = others.filter(~nw.col("invoice").is_null()).select("invoice")
    alone = rows_of(rest.join(elsewhere, left_on="id", right_on="invoice", how="anti"), "id", "sent")
    first = evidence.month == evidence.first_month
    by_hand = [row["id"] for row in alone if row["sent"]]
    unknown = [row["id"] for row in alone if not row["sent"]]
    early, strange = (unknown, []) if first else ([], unknown)
    number = _len(paid)
    yield count(number, number - len(strange), scope="invoices", wrong=strange)
    for ids, scope, words in (
        (by_hand, "invoices by hand", "sent by hand, without a session"),
        (early, "invoices of the first month", "no session here; look whether it is from before `start`"),
    ):
        if ids:
            detail = f"{words}: {named(ids)}"
            yield count(len(ids), len(ids), scope=scope, detail=detail, status=Status.LIST)


def invoices_posted(evidence: Evidence) -> Iterator[Outcome]:
    """C15: every paid invoice over more than nothing is in the journals; free ones book nothing (event 22)."""
    legs = evidence.posted(lambda total: total.key.klass == JournalClass.SALES and total.key.role in _SOLD)
    ids = legs.select(nw.col("source_id").alias("id"))
    number = _len(evidence.invoices)
    booked = int(ids.select(nw.col("id").n_unique()).collect()["id"][0])
    wrong = []
    if number != booked:
        # An invoice may consist of tax alone: look at its other legs too before saying so.
        whole = evidence.posted(lambda total: total.key.klass == JournalClass.SALES and total.key.role != "clearing")
        of_invoices = whole.filter(nw.col("source_object") == "invoice")
        ours = evidence.books.keep(of_invoices.select(nw.col("source_id").alias("id")).unique("id"))
        booked = _len(ours)
        wrong = [f"not posted: {id}" for id in ids_of(evidence.invoices.join(ours, on="id", how="anti"))]
        wrong += [f"not of the month: {id}" for id in ids_of(ours.join(evidence.invoices, on="id", how="anti"))]
    yield count(number, booked, scope="invoices posted", wrong=wrong)


def _len(frame: Frame) -> int:
    return int(frame.select(nw.len().alias("n")).collect()["n"][0])


# -- C20: deferred revenue --------------------------------------------------------------------------------------------


def deferred(evidence: Evidence) -> Iterator[Outcome]:
    """C20: deferred by the journals is what is unearned of every invoice of a ratable course."""
    unearned: dict[str, int] = defaultdict(int)
    for (currency, _), amount in closing_deferred(evidence.books).items():
        unearned[currency] += amount
    for currency in evidence.currencies:
        left = -evidence.closing(currency, "deferred")
        right = unearned[currency] - evidence.configured(currency, "deferred")
        yield Outcome(left=left, right=in_major(right, currency), currency=currency)
    if not evidence.currencies:
        yield nothing("no currency in the month")
