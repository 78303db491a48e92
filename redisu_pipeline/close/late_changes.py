"""What changed in a locked month since it was locked: the difference as journals of the first open month (§2.6).

Fresh derivation − Σ of all versions that stand, leg by leg: every line of the delta is linked to the ids that caused
it, and Σ of all versions is again what today's data derive (C22).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from redisu_pipeline.close.sources import Journal, journal_of
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import GLAccount
from redisu_pipeline.journals.derive import CREDIT, DEBIT, Total
from redisu_pipeline.journals.lines import Heading, Posted
from redisu_pipeline.journals.model import JournalClass, JournalLine
from redisu_pipeline.journals.postings import LegKey

LATE = "late"
"""Stands for the event in the keys of late changes: several rules may have caused one."""
ABOUT = ("class", "currency", "role", "course", "country", "state", "account")
CAUSE = ("source_object", "source_id", "presentment_currency")
LINE_SCHEMA = {"place": pl.Int32, **dict.fromkeys(ABOUT, pl.String)}


@dataclass(frozen=True)
class Standing:
    """What stands of a locked month: its lines of every version, and the legs behind them (see ``Journal.legs``)."""

    lines: Sequence[JournalLine]
    legs: pl.DataFrame

    @property
    def version(self) -> int:
        """The highest version."""
        return max((line.version for line in self.lines), default=1)


def standing_of(month: Month, lines: Mapping[Month, Sequence[JournalLine]], sources: pl.DataFrame) -> Standing:
    """Return all versions of ``month`` among stored lines, with their sources out of `journal_sources`."""
    own = [line for of_month in lines.values() for line in of_month if _origin(line) == str(month)]
    places = pl.DataFrame(
        [(line.external_id, line.line, place) for place, line in enumerate(own)],
        schema={"external_id": pl.String, "line": pl.Int32, "place": pl.Int32},
        orient="row",
    )
    joined = sources.join(places, on=["external_id", "line"], how="inner")
    legs = joined.select(
        "place",
        "source_object",
        "source_id",
        pl.col("amount_minor").alias("amount"),
        "currency",
        pl.col("presentment_amount_minor").alias("presentment_amount"),
        "presentment_currency",
        pl.col("exchange_rate").to_physical().cast(pl.Int64).alias("rate_e8"),
    )
    return Standing(own, legs)


def _origin(line: JournalLine) -> str:
    return line.adjusts_period or line.period


class About(NamedTuple):
    """What a line stands for, without its side: two derivations are compared by it."""

    klass: str
    currency: str
    role: str
    course: str
    country: str
    state: str
    account: str


def totals_of(lines: Iterable[JournalLine]) -> dict[About, int]:
    """Return the net of lines in thousandths by what they stand for."""
    found: dict[About, int] = {}
    for line in lines:
        about = _about(line)
        found[about] = found.get(about, 0) + int(line.amount * 1000)
    return {about: amount for about, amount in found.items() if amount}


def _about(line: JournalLine) -> About:
    place = (line.course or "", line.tax_country or "", line.tax_state or "")
    return About(str(line.class_), line.currency, line.gl_role, *place, line.gl_account)


def delta(fresh: Journal, standing: Standing) -> pl.DataFrame:
    """Return the legs that ``fresh`` has more (or, negative, less) than what stands, as postings with `account`."""
    both = [
        _described(fresh.lines, fresh.legs, +1),
        _described(standing.lines, standing.legs, -1),
    ]
    groups = [*ABOUT, *CAUSE]
    changed = (
        pl.concat(both)
        .group_by(groups)
        .agg(pl.col("amount").sum(), pl.col("presentment_amount").sum(), pl.col("rate_e8").max())
        .filter(pl.col("amount") != 0)
        .sort(groups, nulls_last=True)
    )
    keys = [_key(*row) for row in changed.select(ABOUT[:1] + ABOUT[2:6]).rows()]
    return _with_entries(changed).select(
        "entry",
        pl.Series("key", keys, dtype=pl.String),
        "currency",
        "amount",
        "source_object",
        "source_id",
        pl.when(pl.col("presentment_currency").is_not_null())
        .then(pl.col("presentment_amount"))
        .alias("presentment_amount"),
        "presentment_currency",
        "rate_e8",
        "account",
    )


def _with_entries(changed: pl.DataFrame) -> pl.DataFrame:
    """Add `entry`, which balances by itself, so that parts of a long journal do (§2.7): what one source changed.

    Cash and what it paid have different ids; the lake does not tell which belong together. Any two of opposite
    amounts make an entry, and what is left makes one more.
    """
    of, kind = ["class", "currency", "source_id"], ["class", "currency"]
    sums = changed.group_by(of).agg(pl.col("amount").sum().alias("left")).sort(of)
    numbered = sums.with_columns(
        size=pl.col("left").abs(), turn=pl.int_range(pl.len()).over(*kind, "left")
    ).with_columns(sides=pl.len().over(*kind, "size", "turn"))
    entry = (
        pl.when(pl.col("left") == 0)
        .then(pl.col("source_id"))
        .when(pl.col("sides") == 2)
        .then(pl.format("{} {}", "size", "turn"))
        .otherwise(pl.lit("rest"))
    )
    entries = numbered.select(*of, entry=entry)
    return changed.join(entries, on=of, how="left", maintain_order="left")


def _key(klass: str, role: str, course: str, country: str, state: str) -> str:
    return str(LegKey(JournalClass(klass), LATE, role, course, country, state))


def _described(lines: Sequence[JournalLine], legs: pl.DataFrame, sign: int) -> pl.DataFrame:
    about = pl.DataFrame([(place, *_about(line)) for place, line in enumerate(lines)], schema=LINE_SCHEMA, orient="row")
    # What was just derived has categories where the lake has texts.
    texts = legs.drop("currency").with_columns(pl.col(CAUSE).cast(pl.String))
    signed = texts.join(about, on="place", how="inner")
    return signed.select(*ABOUT, *CAUSE, pl.col("amount") * sign, pl.col("presentment_amount") * sign, "rate_e8")


def late_journal(changed: pl.DataFrame, heading: Heading) -> Journal:
    """Return the journals of a delta; ``heading`` adjusts the locked month and knows its posted GL accounts."""
    side = pl.when(pl.col("amount") > 0).then(pl.lit(DEBIT)).otherwise(pl.lit(CREDIT)).alias("side")
    groups = ["key", "currency", "side", "account"]
    sums = changed.with_columns(side).group_by(groups).agg(pl.col("amount").sum(), legs=pl.len()).sort(groups)
    totals = [
        Total(LegKey.parse(key), currency, of, amount, legs, account)
        for key, currency, of, account, amount, legs in sums.rows()
    ]
    return journal_of(changed, totals, heading)


def accounts_posted(*lines: Iterable[JournalLine]) -> dict[Posted, GLAccount]:
    """Return the GL accounts that lines were posted to: one number may have a department for each course."""
    return {
        _about(line)[1:]: GLAccount(
            number=line.gl_account, name=line.gl_account_name, department=line.department, location=line.location
        )
        for of in lines
        for line in of
    }
