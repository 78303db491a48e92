"""Months of a small synced shop with everything that controls compare, so that a fault can be planted in each part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl
import pytest
import world
from whole_tax import by_jurisdiction, tax_books

from redisu_pipeline.close.books import read_books
from redisu_pipeline.close.pins import Pins, pin
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.common.settings.chart import DEFAULT_CHART, gl_account
from redisu_pipeline.controls.evidence import Evidence
from redisu_pipeline.controls.inputs import BalanceHeld, ControlInputs, TaxSum
from redisu_pipeline.controls.model import ControlRow, Status
from redisu_pipeline.controls.run import run
from redisu_pipeline.extract import opening
from redisu_pipeline.extract.figures_model import (
    BalanceRoll,
    CategorySum,
    Figure,
    Figures,
    PayoutContents,
    Standing,
    State,
)
from redisu_pipeline.journals.books import Books, Frame
from redisu_pipeline.journals.derive import Derived, derive
from redisu_pipeline.journals.lines import Heading, key_of, lines_of
from redisu_pipeline.journals.model import JournalLine
from redisu_pipeline.lake.storage import Storage, open_storage

RATES = {"USD": Decimal(1), "EUR": Decimal("1.1"), "GBP": Decimal("1.25"), "JPY": Decimal("0.0067"), "ILS": Decimal(1)}


@dataclass(frozen=True)
class Shop:
    """One account of a synced lake, its frames held in memory."""

    settings: Settings
    account: Account
    storage: Storage
    pins: Pins

    @classmethod
    def of(cls, settings: Settings, account: str) -> "Shop":
        storage = open_storage(settings.lake.uri)
        return cls(settings, settings.account(account), storage, pin(storage, account))

    def books(self, period: Month) -> Books:
        books = read_books(self.settings, self.account, period, self.pins)
        held = {name: books.keep(frame) for name, frame in books.frames.items()}
        return replace(books, frames=held)

    def posted(self, books: Books) -> tuple[Derived, list[JournalLine], dict[tuple[str, int], int]]:
        derived = derive(books)
        heading = Heading(
            account=self.account.name,
            subsidiary=self.account.subsidiary,
            period=books.period,
            posting_period=str(books.period),
            version=1,
            adjusts=None,
            rate_of=lambda currency: RATES[currency],
            account_of=lambda role, course, state, country, currency, day: gl_account(
                DEFAULT_CHART, role, course=course, state=state, country=country, currency=currency, on=day
            ),
        )
        placed = lines_of(derived.totals, heading, lambda _klass, _currency: {})
        sums: dict[Any, int] = {}
        for total in derived.totals:
            sums[key_of(total)] = sums.get(key_of(total), 0) + total.amount
        line_sums = {(one.line.external_id, one.line.line): sums[one.key] for one in placed}
        return derived, [one.line for one in placed], line_sums

    def months(self, first: Month, number: int) -> list[ControlInputs]:
        """Return the inputs of some months, each opening with what the one before closed with."""
        opening: dict[tuple[str, str], int] = {}
        previous: dict[str, Decimal] | None = None
        found = []
        for period in (first.shift(step) for step in range(number)):
            books = self.books(period)
            derived, lines, line_sums = self.posted(books)
            inputs = ControlInputs(
                account=self.account,
                books=books,
                derived=derived,
                lines=lines,
                line_sums=line_sums,
                opening=dict(opening),
                previous_closing=previous,
                figures=stripe_says(books, self.account),
                balances=balances(self.pins),
                taxes=self.taxes(period),
                complete_until={
                    table: datetime.fromisoformat(cursor.complete_until) if cursor.complete_until else None
                    for table, cursor in self.pins.cursors.items()
                },
                key_livemode=True,
                rates=RATES,
            )
            found.append(inputs)
            for total in derived.totals:
                place = (total.currency, total.key.role)
                opening[place] = opening.get(place, 0) + total.amount
            evidence = Evidence(inputs)
            previous = {currency: evidence.closing(currency, "clearing") for currency in evidence.currencies}
        return found

    def taxes(self, period: Month) -> list[TaxSum]:
        books = tax_books(self.storage, self.account, period.bounds(self.account.timezone)[0])
        return [
            TaxSum(
                row.place.country,
                row.place.state,
                row.place.tax_type,
                row.place.currency.upper(),
                row.collected,
                row.refunded,
                row.source,
                row.complete,
            )
            for row in by_jurisdiction([books], [period])[period]
        ]


def balances(pins: Pins) -> list[BalanceHeld]:
    rows = pins.scan("balances").select("created", "kind", "currency", "amount").collect().rows()
    return [BalanceHeld(at, kind, currency.upper(), amount) for at, kind, currency, amount in rows]


def stripe_says(books: Books, account: Account) -> Figures:
    """Return figures as Stripe's reports would have them: worked out from the same rows by plain Python."""
    rows = books["transactions"].collect().rows(named=True)
    until = [row for row in rows if row["period"] <= books.month]
    inside = [row for row in until if row["period"] == books.month]
    payouts = [row for row in books["payouts"].collect().rows(named=True) if row["period"] == books.month]
    rolls, sums = [], {}
    for currency in sorted({row["currency"] for row in until}):
        own = [row for row in inside if row["currency"] == currency]
        out = sum(row["net"] for row in own if row["category"].startswith("payout"))
        ending = sum(row["net"] for row in until if row["currency"] == currency)
        moved = sum(row["net"] for row in own)
        rolls.append(BalanceRoll(currency.lower(), ending - moved, moved - out, out, ending))
    for row in inside:
        place = (row["currency"].lower(), row["category"])
        count, gross, fee, net = sums.get(place, (0, 0, 0, 0))
        sums[place] = (count + 1, gross + row["amount"], fee + row["fee"], net + row["net"])
    contents = [
        PayoutContents(row["id"], row["currency"].lower(), row["amount"], row["amount"], -row["amount"], 3)
        for row in payouts
        if row["automatic"] and row["transaction"] is not None and row["reconciliation_status"] == "completed"
    ]
    return Figures(
        account=account.name,
        month=books.period,
        payouts=tuple(contents),
        balances=tuple(rolls),
        activity=tuple(CategorySum(*place, *four) for place, four in sorted(sums.items())),
        standings={figure: Standing(State.AVAILABLE) for figure in Figure},
        data_available_end=books.period.bounds(account.timezone)[1] + timedelta(days=1),
    )


def with_frame(books: Books, name: str, transform: Callable[[pl.DataFrame], pl.DataFrame]) -> Books:
    """Return ``books`` with one frame changed."""
    native: pl.DataFrame = books[name].to_native().collect()
    changed: Frame = nw.from_native(transform(native).lazy())
    return replace(books, frames={**books.frames, name: changed})


def replanted(shop: Shop, inputs: ControlInputs, books: Books) -> ControlInputs:
    """Return ``inputs`` over other books, with the journals derived from those again."""
    derived, lines, line_sums = shop.posted(books)
    return replace(inputs, books=books, derived=derived, lines=lines, line_sums=line_sums)


def failures(inputs: ControlInputs) -> dict[str, list[ControlRow]]:
    """Return the rows that did not pass and are no work lists, by control."""
    return by_status(run(inputs), Status.FAIL, Status.WARN)


def by_status(rows: Sequence[ControlRow], *statuses: Status) -> dict[str, list[ControlRow]]:
    found: dict[str, list[ControlRow]] = {}
    for row in rows:
        if row.status in statuses:
            found.setdefault(row.control, []).append(row)
    return found


def small_shops(folder: Path, accounts: tuple[str, ...] = ("us", "il"), *, checkouts: int = 30) -> list[Shop]:
    """Sync a world of two months and a week, and return its accounts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "LIVE", world.UNLIMITED)
        span = {"start": date(2026, 2, 1), "now": datetime(2026, 4, 8, tzinfo=UTC)}
        with world.open_town(folder / "town", accounts=accounts, checkouts=checkouts, **span) as town:
            town.sync()
            return [Shop.of(town.settings, account) for account in accounts]
