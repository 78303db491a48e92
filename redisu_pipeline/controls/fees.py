"""What Stripe keeps, and what conversion does: C14, C18, C19."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

import narwhals as nw

from redisu_pipeline.controls.conversion import at_rate
from redisu_pipeline.controls.evidence import Evidence
from redisu_pipeline.controls.outcome import ZERO, Outcome, count, in_major, money, nothing, work_list
from redisu_pipeline.controls.rows import Row, ids_of, rows_of
from redisu_pipeline.journals.books import Frame
from redisu_pipeline.journals.model import JournalClass
from redisu_pipeline.journals.transactions import REFUND, SALE

_FEE_ROWS = ("stripe_fee", "stripe_fx_fee", "tax_fee")
_COSTS = ("fee_processing", "fee_product", "fee_dispute", "fee_fx", "fee_tax", "input_vat")


def invoice_of_stripe(evidence: Evidence) -> Iterator[Outcome]:
    """C14: what Stripe kept in the UTC month; its monthly fee invoice stands only in the Dashboard."""
    start, end = evidence.inputs.period.bounds("UTC")
    rows = evidence.books["transactions"].filter(nw.col("created") >= start, nw.col("created") < end)
    whole = nw.when(nw.col("type").is_in(_FEE_ROWS)).then(nw.col("amount")).otherwise(0)
    kept = rows.with_columns((nw.col("fee") - whole).alias("kept")).group_by("currency").agg(nw.col("kept").sum())
    sums = {currency: int(amount) for currency, amount in kept.collect().rows()}
    utc = (start, end) == evidence.inputs.period.bounds(evidence.inputs.account.timezone)
    for currency in evidence.currencies:
        amount = sums.get(currency, 0)
        if not utc:
            yield work_list("the books' month is not the UTC month of Stripe's fee invoice", currency=currency)
            continue
        costs = evidence.own_sum(
            currency,
            lambda line: line.gl_role in _COSTS and line.class_ in (JournalClass.FEES, JournalClass.DISPUTES),
        )
        detail = "compare with Stripe's fee invoice (Dashboard, Settings, Documents): it is not in the API"
        yield Outcome(
            left=in_major(amount, currency), right=costs, currency=currency, scope="fees in the journals", detail=detail
        )


def rates_known(evidence: Evidence) -> Iterator[Outcome]:
    """C18: every currency but the subsidiary's own has an exchange rate for the month."""
    base = evidence.inputs.account.base_currency.upper()
    foreign = sorted({line.currency for line in evidence.inputs.lines} - {base})
    without = [currency for currency in foreign if not evidence.inputs.rates.get(currency)]
    given = evidence.inputs.rates
    other = [
        f"{line.external_id} line {line.line}"
        for line in evidence.inputs.lines
        if line.currency in given and line.exchange_rate != given[line.currency]
    ]
    yield count(len(foreign), len(foreign) - len(without), scope="exchange rates", wrong=[*without, *other])


def at_printed_rate(evidence: Evidence) -> Iterator[Outcome]:
    """C18: converted payments and refunds are their presentment amount at Stripe's rate, within 1 minor unit each."""
    legs = evidence.posted(lambda total: total.key.role == "clearing").filter(
        ~nw.col("rate_e8").is_null(), ~nw.col("presentment_amount").is_null()
    )
    sizes = legs.with_columns(
        nw.col("amount").abs().alias("amount"), nw.col("presentment_amount").abs().alias("presentment")
    )
    worked = evidence.books.keep(at_rate(evidence.books, sizes))
    sums = rows_of(
        worked.group_by("currency").agg(nw.col("amount").sum(), nw.col("at_rate").sum(), nw.len().alias("legs")),
        *("currency", "amount", "at_rate", "legs"),
    )
    apart = (nw.col("amount") - nw.col("at_rate")).abs() > 1
    wrong: dict[str, list[str]] = defaultdict(list)
    for row in rows_of(worked.filter(apart), "source_id", "currency"):
        wrong[row["currency"]].append(row["source_id"])
    for row in sums:
        currency = row["currency"]
        yield money(
            currency,
            int(row["amount"]),
            int(row["at_rate"]),
            scope="converted",
            tolerance=Decimal(int(row["legs"])),
            wrong=wrong[currency],
        )
    if not sums:
        yield nothing("nothing was converted in the month", scope="converted")


def in_one_currency(evidence: Evidence) -> Iterator[Outcome]:
    """C18: where nothing is converted, a payment's booking is what was charged, to the cent."""
    found = [row for row in evidence.charged if not row["is_converted"] and row["currency"] == row["charged_in"]]
    for row in found:
        wrong = _not_as_charged(evidence, row["currency"]) if row["differ"] else []
        yield money(row["currency"], int(row["amount"]), int(row["charged"]), scope="not converted", wrong=wrong)
    if not found:
        yield nothing("every payment of the month was converted", scope="not converted")


def _not_as_charged(evidence: Evidence, currency: str) -> list[str]:
    own = evidence.payments.filter(
        ~nw.col("is_converted"), nw.col("currency") == currency, nw.col("charged_in") == currency
    )
    return [row["source"] for row in rows_of(own.filter(nw.col("amount") != nw.col("charged")), "source")]


def exchange_difference(evidence: Evidence) -> Iterator[Outcome]:
    """C18: the exchange difference of refunds and won disputes is their own rate against the one before."""
    expected, number = _expected_gaps(evidence)
    classes = (JournalClass.REFUNDS, JournalClass.DISPUTES)
    for currency in evidence.currencies:
        left = evidence.own_sum(currency, lambda line: line.gl_role == "fx" and line.class_ in classes)
        unit = in_major(1, currency)
        yield Outcome(
            left=left,
            right=round(expected.get(currency, ZERO) * unit, 3),  # as fine as the table of controls is
            currency=currency,
            scope="exchange differences",
            tolerance=number.get(currency, 0) * unit,
        )


def _expected_gaps(evidence: Evidence) -> tuple[dict[str, Decimal], dict[str, int]]:
    """Return by currency Σ (own booking − what it was at the rate of the sale) in minor units, and how many."""
    sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
    number: dict[str, int] = defaultdict(int)
    for row in _converted_refunds(evidence):
        sign = -1 if row["category"] == "refund" else 1
        then = sign * Decimal(row["presentment"]) * row["charged_amount"] / row["charge_amount"]
        sums[row["currency"]] += then - row["amount"]
        number[row["currency"]] += 1
    back = evidence.transactions.filter(
        nw.col("category") == "dispute_reversal", ~nw.col("rate_e8").is_null(), nw.col("amount") != 0
    )
    opened = evidence.books["transactions"].filter(nw.col("category") == "dispute")
    # A countered fee may have a row of its own beside the withdrawal.
    first = opened.group_by("source").agg(nw.col("amount").sum().alias("withdrawn"))
    for row in rows_of(back.join(first, on="source"), "id", "currency", "amount", "withdrawn"):
        sums[row["currency"]] += -row["withdrawn"] - row["amount"]
    return sums, number


def _converted_refunds(evidence: Evidence) -> list[Row]:
    moved = evidence.transactions.filter(nw.col("category").is_in(REFUND), ~nw.col("rate_e8").is_null())
    if not ids_of(moved):
        return []
    refunds = evidence.books["refunds"].select(
        nw.col("id").alias("source"), "charge", nw.col("amount").alias("presentment")
    )
    charges = evidence.books["charges"].select(nw.col("id").alias("charge"), nw.col("amount").alias("charge_amount"))
    booked = evidence.books["transactions"].filter(nw.col("category").is_in(SALE))
    paid = booked.select(nw.col("source").alias("charge"), nw.col("amount").alias("charged_amount"))
    joined: Frame = moved.join(refunds, on="source").join(charges, on="charge").join(paid, on="charge")
    return rows_of(joined, "id", "category", "currency", "amount", "presentment", "charge_amount", "charged_amount")


def rounding(evidence: Evidence) -> Iterator[Outcome]:
    """C19: what conversion rounded away is no more than half a minor unit for each amount that was rounded."""
    anew = evidence.converted_sales
    for currency in evidence.currencies:
        posted = evidence.own_sum(currency, lambda line: line.gl_role == "rounding")
        gap = anew.posted.get(currency, 0) - anew.sums.get(currency, 0)
        unit = in_major(1, currency)
        yield Outcome(
            left=posted + in_major(gap, currency),
            right=ZERO,
            currency=currency,
            tolerance=anew.tolerances.get(currency, ZERO) * unit,
        )
