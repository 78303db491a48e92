"""Faults that books can have, each with the controls that must fail for it: planted in the lake, or in the journals."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import narwhals as nw
import polars as pl
from controlled_months import Shop, replanted, with_frame

from redisu_pipeline.common.periods import Month
from redisu_pipeline.controls.inputs import ControlInputs, VersionCheck
from redisu_pipeline.controls.journals import by_journal, content_hash
from redisu_pipeline.journals.books import Policy
from redisu_pipeline.journals.derive import totals_of
from redisu_pipeline.journals.model import JournalLine

Plant = Callable[[Shop, ControlInputs], tuple[ControlInputs, tuple[str, ...]]]
"""Returns the inputs with the fault, and the ids that the failing controls must name."""


@dataclass(frozen=True)
class Fault:
    """``controls``: all of them must fail. ``naming``: the one whose rows name the ids."""

    name: str
    controls: str
    plant: Plant
    naming: str = ""
    month: str = "2026-03"


# -- in the lake: one row changes, and the journals are derived again --------------------------------------------------


def rows(inputs: ControlInputs, table: str) -> pl.DataFrame:
    return inputs.books[table].to_native().collect()


def in_lake(
    table: str, change: Callable[[pl.DataFrame, str], pl.DataFrame], pick: Callable[[ControlInputs], str]
) -> Plant:
    """Change the row that ``pick`` names; only journals follow, Stripe's figures and tax stay what they were."""

    def plant(shop: Shop, inputs: ControlInputs) -> tuple[ControlInputs, tuple[str, ...]]:
        id = pick(inputs)
        books = with_frame(inputs.books, table, lambda frame: change(frame, id))
        return replanted(shop, inputs, books), (id,)

    return plant


def _one(column: str, id: str) -> pl.Expr:
    return pl.col(column) == id


def adds(column: str, amount: int = 1, key: str = "id") -> Callable[[pl.DataFrame, str], pl.DataFrame]:
    """Add to ``columns`` of the first row of that id."""

    def change(frame: pl.DataFrame, id: str) -> pl.DataFrame:
        chosen = _one(key, id) & (pl.int_range(pl.len()).over(key) == 0)
        names = column.split()
        return frame.with_columns(
            [pl.when(chosen).then(pl.col(n) + amount).otherwise(pl.col(n)).alias(n) for n in names]
        )

    return change


def times(column: str, factor: int) -> Callable[[pl.DataFrame, str], pl.DataFrame]:
    def change(frame: pl.DataFrame, id: str) -> pl.DataFrame:
        names = column.split()
        return frame.with_columns(
            [pl.when(_one("id", id)).then(pl.col(n) * factor).otherwise(pl.col(n)).alias(n) for n in names]
        )

    return change


def sets(column: str, value: Any, key: str = "id") -> Callable[[pl.DataFrame, str], pl.DataFrame]:
    def change(frame: pl.DataFrame, id: str) -> pl.DataFrame:
        new = pl.lit(value).cast(frame.schema[column])
        return frame.with_columns(pl.when(_one(key, id)).then(new).otherwise(pl.col(column)).alias(column))

    return change


def drops(key: str = "id") -> Callable[[pl.DataFrame, str], pl.DataFrame]:
    return lambda frame, id: frame.filter(~_one(key, id))


def doubles(frame: pl.DataFrame, id: str) -> pl.DataFrame:
    return pl.concat([frame, frame.filter(_one("id", id))])


def first(table: str, *conditions: pl.Expr, column: str = "id") -> Callable[[ControlInputs], str]:
    """Pick the first row of the month that fits."""

    def pick(inputs: ControlInputs) -> str:
        frame = rows(inputs, table)
        month = [pl.col("period") == inputs.books.month] if "period" in frame.columns else []
        found = frame.filter(*month, *conditions).sort(column)
        assert found.height, f"the shop has no such row of {table}"
        return str(found[column][0])

    return pick


def of_transaction(
    table: str, key: str, category: str, column: str = "id", *more: pl.Expr
) -> Callable[[ControlInputs], str]:
    """Pick the row of ``table`` whose ``key`` is the source of a balance transaction of the month."""

    def pick(inputs: ControlInputs) -> str:
        of_month = (pl.col("period") == inputs.books.month, pl.col("category") == category)
        moved = rows(inputs, "transactions").filter(*of_month, *more)
        found = rows(inputs, table).join(moved.select(pl.col("source").alias(key)).unique(), on=key).sort(column)
        assert found.height, f"the shop has no such row of {table}"
        return str(found[column][0])

    return pick


def of_invoice(table: str, column: str) -> Callable[[ControlInputs], str]:
    """Pick a row of a child table of a paid invoice of the month."""

    def pick(inputs: ControlInputs) -> str:
        invoices = rows(inputs, "invoices").filter(
            pl.col("period") == inputs.books.month, pl.col("status") == "paid", pl.col("tax_amount") > 0
        )
        found = rows(inputs, table).filter(pl.col("amount") > 0).join(invoices.select(invoice="id"), on="invoice")
        return str(found.sort(column)[column][0])

    return pick


CHARGE = first("transactions", pl.col("category") == "charge", pl.col("rate_e8").is_null())
CONVERTED = first("transactions", pl.col("category") == "charge", pl.col("rate_e8").is_not_null())
WITH_FEE = first("transactions", pl.col("category") == "charge", pl.col("fee") > 0)
PAID = first("invoices", pl.col("status") == "paid", pl.col("total") > 0)
SESSION = first("checkout_sessions", pl.col("status") == "complete", pl.col("payment_status") == "paid")


def named(pick: Callable[[ControlInputs], str], table: str, column: str) -> Callable[[ControlInputs], str]:
    """Pick another column of the row that ``pick`` names."""
    return lambda inputs: str(rows(inputs, table).filter(_one("id", pick(inputs)))[column][0])


def plus(plant: Plant, also: Callable[[ControlInputs], str]) -> Plant:
    """Name another id than that of the row that changes."""

    def both(shop: Shop, inputs: ControlInputs) -> tuple[ControlInputs, tuple[str, ...]]:
        return plant(shop, inputs)[0], (also(inputs),)

    return both


# -- in the journals: the lake is right, what was posted is not --------------------------------------------------------


def in_lines(change: Callable[[list[JournalLine]], tuple[list[JournalLine], str]]) -> Plant:
    def plant(_shop: Shop, inputs: ControlInputs) -> tuple[ControlInputs, tuple[str, ...]]:
        lines, id = change(list(inputs.lines))
        return replace(inputs, lines=lines), (id,)

    return plant


def in_line(role: str, **changes: Callable[[JournalLine], Any]) -> Plant:
    """Change the first line of a role."""

    def change(lines: list[JournalLine]) -> tuple[list[JournalLine], str]:
        place = next(n for n, line in enumerate(lines) if line.gl_role == role)
        line = lines[place]
        lines[place] = replace(line, **{name: of(line) for name, of in changes.items()})
        return lines, line.external_id

    return in_lines(change)


def in_postings(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Plant:
    """Change the postings and what is summed from them, as a faulty rule would."""

    def plant(_shop: Shop, inputs: ControlInputs) -> tuple[ControlInputs, tuple[str, ...]]:
        postings = nw.from_native(change(inputs.derived.postings.to_native().collect()).lazy())
        derived = replace(inputs.derived, postings=postings, totals=totals_of(postings))
        return replace(inputs, derived=derived), ()

    return plant


def cent_of_clearing(lines: list[JournalLine]) -> tuple[list[JournalLine], str]:
    place = next(n for n, line in enumerate(lines) if line.gl_role == "clearing" and line.debit is not None)
    lines[place] = replace(lines[place], debit=(lines[place].debit or 0) + CENT)
    return lines, lines[place].external_id


def without_clearing_of_a_fee(postings: pl.DataFrame) -> pl.DataFrame:
    """Drop the posting of a fee to clearing."""
    key = pl.col("key").cast(pl.String)
    fees = postings.filter(key.str.starts_with("FEES\x1f2\x1f"), key.str.contains("clearing"))
    leg = fees.sort("key", "entry").row(0, named=True)
    return postings.filter(~((pl.col("key") == leg["key"]) & (pl.col("entry") == leg["entry"])))


def without_line(lines: list[JournalLine]) -> tuple[list[JournalLine], str]:
    place = next(n for n, line in enumerate(lines) if line.gl_role == "fee_processing")
    return lines[:place] + lines[place + 1 :], lines[place].external_id


def same_content_twice(lines: list[JournalLine]) -> tuple[list[JournalLine], str]:
    id, own = next(iter(by_journal(lines).items()))
    return [*lines, *(replace(line, external_id=f"{id[:-1]}9") for line in own)], f"{id[:-1]}9"


def exported_otherwise(_shop: Shop, inputs: ControlInputs) -> tuple[ControlInputs, tuple[str, ...]]:
    id = inputs.lines[0].external_id
    return replace(inputs, exported={id: "another hash"}), (id,)


def exported_under_another_id(_shop: Shop, inputs: ControlInputs) -> tuple[ControlInputs, tuple[str, ...]]:
    own = next(iter(by_journal(inputs.lines).values()))
    return replace(inputs, exported={"STR-US-USD-OLD": content_hash(own)}), ("STR-US-USD-OLD",)


# -- beside them -------------------------------------------------------------------------------------------------------


def unmapped_role(_category: str, _kind: str, _description: str) -> str | None:
    return None


def unmapped(shop: Shop, inputs: ControlInputs) -> tuple[ControlInputs, tuple[str, ...]]:
    id = CHARGE(inputs)
    books = with_frame(
        inputs.books, "transactions", lambda frame: sets("category", "climate_order_purchase")(frame, id)
    )
    policy: Policy = replace(books.policy, map_transaction=unmapped_role)
    return replanted(shop, inputs, replace(books, policy=policy)), (id,)


def changed(**values: Callable[[ControlInputs], Any]) -> Plant:
    """Change parts of the inputs."""
    return lambda _shop, inputs: (replace(inputs, **{name: of(inputs) for name, of in values.items()}), ())


def off_by_one_version(inputs: ControlInputs) -> list[VersionCheck]:
    return [VersionCheck(Month(2026, 2), "USD", 100, 101, "SALES revenue", "in_1 changed")]


def late_table(inputs: ControlInputs) -> dict[str, Any]:
    end = inputs.period.bounds("UTC")[1]
    return {**inputs.complete_until, "charges": end - timedelta(seconds=1)}


def cent_of_tax(inputs: ControlInputs) -> list[Any]:
    tax, *rest = inputs.taxes
    return [replace(tax, collected=tax.collected + 1), *rest]


def cent_of_payout(inputs: ControlInputs) -> Any:
    assert inputs.figures is not None
    payout, *rest = inputs.figures.payouts
    return replace(inputs.figures, payouts=(replace(payout, contents=payout.contents + 1), *rest))


def cent_of_report(inputs: ControlInputs) -> Any:
    assert inputs.figures is not None
    roll, *rest = inputs.figures.balances
    return replace(inputs.figures, balances=(replace(roll, ending=roll.ending + 1), *rest))


def row_of_report(inputs: ControlInputs) -> Any:
    assert inputs.figures is not None
    return replace(inputs.figures, activity=inputs.figures.activity[1:])


def cent_held(inputs: ControlInputs) -> list[Any]:
    return [replace(row, amount=row.amount + 1) if row.kind == "available" else row for row in inputs.balances]


FEBRUARY = Month(2026, 2)
CENT = Decimal("0.01")
