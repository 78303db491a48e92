"""Postings as `journal_sources`: each leg finds its journal line, and classes with too many lines are split."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from redisu_pipeline.journals.derive import CREDIT, DEBIT, Total
from redisu_pipeline.journals.lines import Heading, Key, PlacedLine, key_of, lines_of, packed
from redisu_pipeline.journals.model import JournalLine
from redisu_pipeline.journals.postings import FEW, LegKey

WHOLE = 0
"""Part of legs whose class is not split."""
LEG = "place source_object source_id amount currency presentment_amount presentment_currency rate_e8".split()
TIES = ["source_id", "source_object", "amount", "presentment_amount", "presentment_currency", "rate_e8"]
SEED = 1


@dataclass(frozen=True)
class Journal:
    """The lines of one derivation and the legs behind them, in no order.

    ``legs`` has `place` (index into ``lines``), source_object, source_id, amount, currency, presentment_amount,
    presentment_currency, rate_e8.
    """

    lines: tuple[JournalLine, ...]
    legs: pl.DataFrame

    def sums(self) -> Mapping[tuple[str, int], int]:
        """Return Σ of the sources of each line in minor units, by (external id, line)."""
        rows = self.legs.group_by("place").agg(pl.col("amount").sum()).rows()
        return {(self.lines[place].external_id, self.lines[place].line): amount for place, amount in rows}

    def in_order(self, rows: int) -> Iterator[pl.DataFrame]:
        """Yield the legs by line and source, ``rows`` at a time: as one table they would take their memory twice."""
        order = _order(self.legs)
        for start in range(0, len(order), rows):
            yield self.legs[order[start : start + rows]]


def journal_of(postings: pl.DataFrame, totals: Iterable[Total], heading: Heading) -> Journal:
    """Return the lines that ``totals`` make, with every posting at its line.

    ``postings`` are as journals/postings.py has them, with an `account` where lines of late changes need one.
    """
    totals = tuple(totals)
    sided = postings if "account" in postings.columns else postings.with_columns(account=pl.lit(""))
    sided = sided.with_columns(pl.col(*FEW, "account").cast(pl.Categorical))
    parts = _Parts(sided)
    placed = lines_of(totals, heading, parts)
    legs = _placed(parts.marked(sided), _index(totals, placed))
    return Journal(tuple(one.line for one in placed), legs.select(LEG))


_Where = tuple[str, str, str, str, int]
"""key, currency, side, account, part: what decides on a leg's line."""


def _index(totals: Iterable[Total], placed: Iterable[PlacedLine]) -> dict[_Where, int]:
    """Return the line of everything that legs may be."""
    places: dict[Key, list[tuple[int, int]]] = defaultdict(list)
    for place, one in enumerate(placed):
        places[one.key].append((one.part or WHOLE, place))
    return {
        (str(total.key), total.currency, total.side, total.account, part): place
        for total in totals
        for part, place in places.get(key_of(total), ())
    }


def _placed(legs: pl.DataFrame, index: Mapping[_Where, int]) -> pl.DataFrame:
    """Add `place`: what decides on it becomes one number, few of which stand in millions of legs."""
    columns = ("key", "currency", "account")
    known = [sorted({str(where[at]) for where in index}) for at in (0, 1, 3)]
    most = 1 + max((where[4] for where in index), default=WHOLE)
    steps = [2 * most * len(known[1]) * len(known[2]), 2 * most * len(known[2]), 2 * most]
    codes = [{text: code * step for code, text in enumerate(texts)} for texts, step in zip(known, steps, strict=True)]
    lines = np.full(1 + steps[0] * len(known[0]), -1, np.int32)
    for (key, currency, side, account, part), place in index.items():
        lines[codes[0][key] + codes[1][currency] + codes[2][account] + 2 * part + (side == DEBIT)] = place
    where = (legs["amount"].to_numpy() > 0).astype(np.int32)
    for name, of_column in zip(columns, codes, strict=True):
        where += _numbers(legs[name], of_column)
    if most > 1:
        where += 2 * legs["part"].to_numpy()
    return legs.with_columns(place=pl.Series(lines[where]))


def _numbers(texts: pl.Series, codes: Mapping[str, int]) -> npt.NDArray[np.int32]:
    """Return the code of each of ``texts``, which are categories; KeyError for one without."""
    few = texts.unique()
    own = few.to_physical().to_numpy()
    table = np.zeros(1 + own.max(initial=0), np.int32)
    table[own] = [codes[text] for text in few.to_list()]
    found: npt.NDArray[np.int32] = table[texts.to_physical().to_numpy()]
    return found


def _order(legs: pl.DataFrame) -> pl.Series:
    """Return the rows of ``legs`` by line, within it by the source's hash: numbers sort faster than millions of texts.

    The order is the same on every run; legs that the number cannot tell apart are sorted by all they have.
    """
    place = pl.col("place").cast(pl.UInt64) * 2**48
    numbers = legs.select(place + pl.col("source_id").hash(SEED) // 2**16).to_series().to_numpy()
    order = np.argsort(numbers)  # with the processor's vectors, in half the time that Polars takes
    ordered = numbers[order]
    same = ordered[1:] == ordered[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False)) if len(ordered) else np.array([], int)
    if tied.size:
        rows = order[tied]
        texts = legs[rows].with_columns(pl.col(pl.Categorical).cast(pl.String), order=ordered[tied], row=rows)
        order[tied] = texts.sort(["order", *TIES], nulls_last=True)["row"].to_numpy()
    return pl.Series(order)


@dataclass
class _Parts:
    """Splits a class with more than 200 lines: whole entries go into parts, by their courses and places."""

    postings: pl.DataFrame
    split: dict[tuple[str, str], pl.DataFrame] = field(default_factory=dict)  # class, currency -> entry, part

    def __call__(self, klass: str, currency: str) -> Mapping[Key, Mapping[int, tuple[int, int]]]:
        """Return for each line of the class the parts it stands in, with (amount, legs)."""
        legs = self.postings.filter(_of_class(klass, currency))
        legs = legs.with_columns(side=pl.when(pl.col("amount") > 0).then(pl.lit(DEBIT)).otherwise(pl.lit(CREDIT)))
        keys = {text: LegKey.parse(text) for text in legs["key"].unique().to_list()}
        marks = {text: f"{key.course} {key.country} {key.state}" for text, key in keys.items()}
        marked = legs.with_columns(mark=pl.col("key").replace_strict(marks, return_dtype=pl.String))
        # Entries of the same courses and places go together, neighbours by the greatest of them.
        buckets = marked.group_by("entry").agg(bucket=pl.col("mark").unique().sort(descending=True).str.join("\n"))
        groups = ["bucket", "key", "currency", "side", "account"]
        summed = legs.join(buckets, on="entry").group_by(groups).agg(pl.col("amount").sum(), legs=pl.len())
        rows = [
            (bucket, key_of(Total(keys[key], of, side, 0, 0, account)), amount, count)
            for bucket, key, of, side, account, amount, count in summed.sort(groups).rows()
        ]
        lines: dict[str, set[Key]] = defaultdict(set)
        for bucket, line, _, _ in rows:
            lines[bucket].add(line)
        parts = packed({bucket: frozenset(of_bucket) for bucket, of_bucket in lines.items()})
        found: dict[Key, dict[int, tuple[int, int]]] = defaultdict(dict)
        for bucket, line, amount, count in rows:
            before = found[line].get(parts[bucket], (0, 0))
            found[line][parts[bucket]] = (before[0] + amount, before[1] + count)
        part = pl.col("bucket").replace_strict(parts, return_dtype=pl.Int32).alias("part")
        self.split[klass, currency] = buckets.select("entry", part)
        return found

    def marked(self, postings: pl.DataFrame) -> pl.DataFrame:
        """Return ``postings`` with the `part` of their class that they stand in."""
        whole = postings.with_columns(part=pl.lit(WHOLE, dtype=pl.Int32))
        for (klass, currency), parts in self.split.items():
            chosen = whole.filter(_of_class(klass, currency)).drop("part").join(parts, on="entry")
            whole = pl.concat([whole.filter(~_of_class(klass, currency)), chosen.select(whole.columns)])
        return whole


def _of_class(klass: str, currency: str) -> pl.Expr:
    return pl.col("key").cat.starts_with(LegKey.prefix(klass)) & (pl.col("currency") == currency)
