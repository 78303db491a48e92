"""The old manual report against the journals: what differs, by how much, and the Stripe ids that explain it.

Pure: `redisu compare` reads the lake and hands in lines and sources.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from redisu_pipeline.close.old_report import OldRow
from redisu_pipeline.common.money import to_major, to_minor
from redisu_pipeline.journals.model import JournalLine

Source = tuple[str, int, str, str, int, str]
"""(external_id, line, source_object, source_id, amount_minor, currency): a row of `netsuite/journal_sources`."""
_Key = tuple[str, str]  # account number, currency


class Fit(StrEnum):
    """How the ids beside a difference explain it."""

    ONE = "one"  # each of them alone is the difference
    PAIR = "pair"  # the two of them together are
    LARGEST = "largest"  # nothing simple is: the largest parts of our side
    NOTHING = "nothing"  # we have nothing on this account


@dataclass(frozen=True)
class Evidence:
    """A Stripe object and what it moved on the account, debit positive, major units."""

    source_object: str
    source_id: str
    amount: Decimal


@dataclass(frozen=True)
class Difference:
    """An account of a currency where the two sides differ; ``difference`` is ours − old, debit positive."""

    account: str
    name: str
    currency: str
    old: Decimal
    ours: Decimal
    fit: Fit
    evidence: tuple[Evidence, ...]
    ids: int  # how many Stripe objects our side has in all

    @property
    def difference(self) -> Decimal:
        """Ours − old."""
        return self.ours - self.old


def compare(
    lines: Sequence[JournalLine], sources: Iterable[Source], old_rows: Iterable[OldRow], most_ids: int = 5
) -> tuple[Difference, ...]:
    """Return the differences by account and currency; none when both sides agree everywhere.

    An account that only one side has is compared with zero. ``sources`` is read once, and only what stands on a
    differing account is kept. At most ``most_ids`` ids a difference.
    """
    old: dict[_Key, Decimal] = defaultdict(Decimal)
    for row in old_rows:
        old[row.account, row.currency] += row.net
    ours: dict[_Key, Decimal] = defaultdict(Decimal)
    for line in lines:
        ours[line.gl_account, line.currency] += line.amount
    differing = [key for key in sorted({*old, *ours}) if old.get(key, 0) != ours.get(key, 0)]
    parts = _parts(lines, sources, frozenset(differing))
    names = {line.gl_account: line.gl_account_name for line in lines}
    return tuple(
        _difference(key, names, old.get(key, Decimal(0)), ours.get(key, Decimal(0)), parts[key], most_ids)
        for key in differing
    )


def known_accounts(lines: Iterable[JournalLine], chart: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return number → name of the accounts that a report may name: the chart's and the journals' own."""
    return {**dict(chart), **{line.gl_account: line.gl_account_name for line in lines}}


def _parts(
    lines: Sequence[JournalLine], sources: Iterable[Source], wanted: frozenset[_Key]
) -> Mapping[_Key, Mapping[tuple[str, str], int]]:
    """Return what each Stripe object moved, in minor units, on each of the wanted accounts."""
    place = {(line.external_id, line.line): (line.gl_account, line.currency) for line in lines}
    parts: dict[_Key, dict[tuple[str, str], int]] = {key: defaultdict(int) for key in wanted}
    for external_id, line, source_object, source_id, amount_minor, _ in sources:
        key = place.get((external_id, line))
        if key in parts:
            parts[key][source_object, source_id] += amount_minor
    return parts


def _difference(
    key: _Key, names: Mapping[str, str], old: Decimal, ours: Decimal, parts: Mapping[tuple[str, str], int], most: int
) -> Difference:
    account, currency = key
    fit, chosen = _explanation(_minor_or_none(ours - old, currency), parts, most)
    evidence = tuple(Evidence(*source, to_major(parts[source], currency)) for source in chosen)
    return Difference(account, names.get(account, ""), currency, old, ours, fit, evidence, len(parts))


def _minor_or_none(amount: Decimal, currency: str) -> int | None:
    """Return minor units, None for a difference that no whole number of them is (a spreadsheet's half cents)."""
    try:
        return to_minor(amount, currency)
    except ValueError:
        return None


def _explanation(
    difference: int | None, parts: Mapping[tuple[str, str], int], most: int
) -> tuple[Fit, tuple[tuple[str, str], ...]]:
    """Return the ids that explain a difference best.

    An object that the old report lacks moves by the difference itself, one that it has twice by its opposite.
    """
    if not parts:
        return Fit.NOTHING, ()
    if difference is not None:
        for goal in (difference, -difference):
            alone = tuple(source for source, amount in sorted(parts.items()) if amount == goal)
            if alone:
                return Fit.ONE, alone[:most]
        for goal in (difference, -difference):
            if pair := _pair(parts, goal):
                return Fit.PAIR, pair
    largest = sorted(parts, key=lambda source: (-abs(parts[source]), source))
    return Fit.LARGEST, tuple(largest[:most])


def _pair(parts: Mapping[tuple[str, str], int], goal: int) -> tuple[tuple[str, str], ...]:
    """Return the first two objects whose amounts sum to ``goal``; nothing when there are none."""
    seen: dict[int, tuple[str, str]] = {}
    for source, amount in sorted(parts.items()):
        if goal - amount in seen:
            return seen[goal - amount], source
        seen.setdefault(amount, source)
    return ()
