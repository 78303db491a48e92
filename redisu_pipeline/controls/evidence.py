"""The inputs of the controls, with what several of them need worked out once.

A month may have a million balance transactions: sums are made in the frames' engine, and single rows are only fetched
where sides differ, or where a kind of row is rare (payouts, disputes, refunds).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import narwhals as nw

from redisu_pipeline.controls.conversion import at_rate
from redisu_pipeline.controls.flight import Flight, flight_of
from redisu_pipeline.controls.inputs import ControlInputs
from redisu_pipeline.controls.outcome import ZERO, in_major
from redisu_pipeline.controls.rows import Row, rows_of
from redisu_pipeline.journals import sales
from redisu_pipeline.journals.books import Frame, month_number
from redisu_pipeline.journals.derive import Total
from redisu_pipeline.journals.model import JournalClass, JournalLine
from redisu_pipeline.journals.postings import FEW
from redisu_pipeline.journals.taxes import UNKNOWN
from redisu_pipeline.journals.transactions import PAYMENTS, REFUND, SALE

_DEAD = ("failed", "canceled")


@dataclass(frozen=True)
class KindSum:
    """Balance transactions of one currency, reporting category, type and balance, summed. Minor units."""

    currency: str
    category: str
    type: str
    balance_type: str
    count: int
    amount: int
    fee: int
    net: int


@dataclass(frozen=True)
class Converted:
    """Revenue of converted sales, worked out anew at the printed rate, by settlement currency, in minor units.

    ``tolerances``: half a minor unit for each amount that was rounded (C19): the payment, each tax, each part.
    """

    posted: Mapping[str, int]
    sums: Mapping[str, int]
    tolerances: Mapping[str, Decimal]


class Evidence:
    """Both sides of every equation, as far as they are shared."""

    def __init__(self, inputs: ControlInputs) -> None:
        self.inputs = inputs
        self.books = inputs.books
        self.month = inputs.books.month
        self.first_month = month_number(inputs.account.first_month)

    # -- balance transactions ------------------------------------------------------------------------------------------

    @cached_property
    def transactions(self) -> Frame:
        """The balance transactions of the month, worked out."""
        columns = "id currency amount fee net category type source rate_e8 balance_type"
        rows = self.books["transactions"].filter(nw.col("period") == self.month)
        return self.books.keep(rows.select(*columns.split()))

    @cached_property
    def invoices(self) -> Frame:
        """The paid invoices of the month over more than nothing, worked out."""
        columns = "id currency total total_excluding_tax amount_paid amount_overpaid amount_paid_off_stripe"
        return self.books.keep(sales.paid_in(self.books).select(*columns.split()))

    @cached_property
    def sessions(self) -> Frame:
        """The Checkout Sessions of the month, worked out."""
        here = self.books["checkout_sessions"].filter(nw.col("period") == self.month)
        return self.books.keep(here.select("id", "invoice", "status", "payment_status"))

    @cached_property
    def charged(self) -> Sequence[Row]:
        """What Stripe booked for the month's payments against what was charged, added up.

        By `currency` (of settlement), `charged_in` and `is_converted`: `amount`, `charged`, and in how many they
        `differ` as numbers.
        """
        keys = ("currency", "charged_in", "is_converted")
        differ = (nw.col("amount") != nw.col("charged")).cast(nw.Int64).sum().alias("differ")
        sums = self.payments.group_by(*keys).agg(nw.col("amount").sum(), nw.col("charged").sum(), differ)
        return rows_of(sums, *keys, "amount", "charged", "differ")

    @property
    def payments(self) -> Frame:
        """The month's payments with their charge: `source, currency, amount, charged, charged_in, is_converted`."""
        charges = self.books["charges"].select(
            nw.col("id").alias("source"), nw.col("amount").alias("charged"), nw.col("currency").alias("charged_in")
        )
        converted = (~nw.col("rate_e8").is_null()).alias("is_converted")
        booked = self.transactions.filter(nw.col("category").is_in(SALE))
        return booked.select("source", "currency", "amount", converted).join(charges, on="source", how="inner")

    @cached_property
    def flight(self) -> Flight:
        """What the journals put in flight in the month, and what landed."""
        legs = self.posted(lambda total: total.key.role == "in_flight" and total.key.event == "3")
        return flight_of(self.books, self.transactions, legs)

    @cached_property
    def of_month(self) -> Sequence[KindSum]:
        """The month's balance transactions by kind."""
        return _kinds(self.transactions)

    @cached_property
    def since_start(self) -> Sequence[KindSum]:
        """All balance transactions since the books began, up to the month's end, by kind."""
        period = nw.col("period")
        return _kinds(self.books["transactions"].filter(period >= self.first_month, period <= self.month))

    @cached_property
    def currencies(self) -> Sequence[str]:
        """Settlement currencies of the month: of its balance transactions and lines, and of what it began with."""
        held = {currency for (currency, _), amount in self.inputs.opening.items() if amount}
        moved = {kind.currency for kind in self.of_month}
        return sorted(held | moved | {line.currency for line in self.inputs.lines})

    def net(self, kinds: Iterable[KindSum], currency: str, balances: Callable[[str], bool]) -> int:
        """Return Σ net of ``kinds`` in ``currency`` on the balances that ``balances`` accepts."""
        return sum(kind.net for kind in kinds if kind.currency == currency and balances(kind.balance_type))

    # -- journals ------------------------------------------------------------------------------------------------------

    @cached_property
    def _moved(self) -> Mapping[tuple[str, str], Decimal]:
        sums: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
        for line in self.inputs.lines:
            sums[line.currency, line.gl_role] += line.amount
        return sums

    def opening(self, currency: str, role: str) -> Decimal:
        """Return a role's balance at the month's start, debit positive, major units."""
        return in_major(self.inputs.opening.get((currency, role), 0), currency)

    def closing(self, currency: str, role: str) -> Decimal:
        """Return a role's balance at the month's end by the journals."""
        return self.opening(currency, role) + self._moved.get((currency, role), ZERO)

    def late(self, currency: str, role: str) -> Decimal:
        """Return what late changes of locked months posted to a role."""
        lines = (line for line in self.inputs.lines if line.adjusts_period is not None)
        return sum((line.amount for line in lines if (line.currency, line.gl_role) == (currency, role)), ZERO)

    def configured(self, currency: str, role: str) -> int:
        """Return a role's balance at the account's `start` in minor units."""
        return self.inputs.opening_configured.get((currency, role), 0)

    def own_sum(self, currency: str, accepts: Callable[[JournalLine], bool]) -> Decimal:
        """Return the sum, debit positive, of the month's own lines that ``accepts`` takes."""
        return sum((line.amount for line in self.inputs.own if line.currency == currency and accepts(line)), ZERO)

    # -- postings ------------------------------------------------------------------------------------------------------

    def posted(self, accepts: Callable[[Total], bool]) -> Frame:
        """Return the postings whose totals ``accepts`` takes; their categories are texts again, as the lake's are."""
        keys = sorted({str(total.key) for total in self.inputs.derived.totals if accepts(total)})
        chosen = self.inputs.derived.postings.filter(nw.col("key").is_in(keys))
        return chosen.with_columns(nw.col(*FEW).cast(nw.String))

    @cached_property
    def sold(self) -> Sequence[Row]:
        """Revenue and deferred of sales by currencies: `legs, amount, presentment, is_converted`, credit positive."""
        roles = ("revenue", "deferred")
        legs = self.posted(lambda total: total.key.klass == JournalClass.SALES and total.key.role in roles)
        return _sums(legs)

    @cached_property
    def converted_sales(self) -> Converted:
        """Revenue and deferred of converted sales, at the rate that Stripe printed."""
        if not any(row["is_converted"] for row in self.sold):
            return Converted({}, {}, {})
        roles = ("revenue", "deferred")
        legs = self.posted(lambda total: total.key.klass == JournalClass.SALES and total.key.role in roles)
        shown = legs.filter(~nw.col("rate_e8").is_null()).with_columns(
            (nw.col("amount") * -1).alias("amount"), (nw.col("presentment_amount") * -1).alias("presentment")
        )
        sums = at_rate(self.books, shown).group_by("currency").agg(nw.col("amount").sum(), nw.col("at_rate").sum())
        posted, anew = {}, {}
        for currency, amount, whole in sums.collect().rows():
            posted[currency], anew[currency] = int(amount), int(whole)
        rounded: dict[str, int] = defaultdict(int)
        for row in (*self.sold, *self.taxed):
            if row["is_converted"]:
                # A part is rounded twice here (with its payment, and anew), a tax once.
                rounded[row["currency"]] += row["legs"] * (1 if "key" in row else 2)
        return Converted(posted, anew, {currency: Decimal(n) / 2 for currency, n in rounded.items()})

    @cached_property
    def refunded_charges(self) -> Mapping[str, Sequence[Row]]:
        """By presentment currency the charges of which something went back in the month, with Σ of all refunds."""
        moved = self.transactions.filter(nw.col("category").is_in(REFUND)).select(nw.col("source").alias("id"))
        of_month = self.books["refunds"].join(moved, on="id", how="semi")
        charges = self.books.keep(of_month.select("charge").unique("charge"))
        counted = nw.when(nw.col("status").is_in(_DEAD)).then(0).otherwise(nw.col("amount"))
        all_of = self.books["refunds"].join(charges, on="charge", how="semi").with_columns(counted.alias("refunded"))
        sums = all_of.group_by("charge").agg(nw.col("refunded").sum())
        said = self.books["charges"].select(
            nw.col("id").alias("charge"), "currency", "amount_captured", "amount_refunded"
        )
        known = said.join(charges, on="charge", how="semi")
        columns = ("charge", "currency", "refunded", "amount_captured", "amount_refunded")
        found: dict[str, list[Row]] = {currency: [] for currency in self.currencies}
        for row in rows_of(sums.join(known, on="charge", how="left"), *columns):
            found.setdefault(row["currency"] or UNKNOWN, []).append(row)
        return dict(sorted(found.items()))

    @cached_property
    def taxed(self) -> Sequence[Row]:
        """The same of tax, by key too."""
        roles = ("sales_tax", "vat", "vat_il")
        return _sums(self.posted(lambda total: total.key.role in roles), "key")


def on_payments(balance: str) -> bool:
    """Whether a balance type is the one that clearing stands for."""
    return balance == PAYMENTS


def on_others(balance: str) -> bool:
    """Whether a balance type is a reserve of some kind."""
    return balance != PAYMENTS


def _kinds(frame: Frame) -> list[KindSum]:
    keys = ("currency", "category", "type", "balance_type")
    sums = [nw.col(name).sum().alias(name) for name in ("amount", "fee", "net")]
    rows = frame.group_by(*keys).agg(nw.len().alias("count"), *sums).collect().rows(named=True)
    found = [KindSum(**{**row, **{name: int(row[name]) for name in ("count", "amount", "fee", "net")}}) for row in rows]
    return sorted(found, key=lambda kind: (kind.currency, kind.category, kind.type, kind.balance_type))


def _sums(postings: Frame, *more: str) -> list[Row]:
    converted = ~nw.col("rate_e8").is_null()
    keyed = postings.with_columns(converted.alias("is_converted"))
    keys = (*more, "currency", "presentment_currency", "is_converted")
    summed = keyed.group_by(*keys).agg(
        nw.len().alias("legs"),
        (nw.col("amount").sum() * -1).alias("amount"),
        (nw.col("presentment_amount").sum() * -1).alias("presentment"),
    )
    found: list[Row] = list(summed.collect().rows(named=True))
    return found
