"""The few words in which a control says what it compared: both sides, what differs, and how that is judged."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from redisu_pipeline.common.money import to_major
from redisu_pipeline.controls.model import ControlRow, Status, Unit

if TYPE_CHECKING:
    from redisu_pipeline.controls.evidence import Evidence

MOST_NAMED = 20
"""How many ids a detail names; the rest is counted."""
ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One comparison. ``wrong``: it failed though the sums agree (two faults that cancel out).

    ``status`` None: judged by difference, tolerance and ``wrong``.
    """

    left: Decimal
    right: Decimal
    unit: Unit = Unit.MONEY
    currency: str | None = None
    scope: str = ""
    tolerance: Decimal = ZERO
    detail: str = ""
    wrong: bool = False
    status: Status | None = None


@dataclass(frozen=True)
class Control:
    """An equation of netsuite-journals.md §3 in words, with the function that compares. An id may have several."""

    id: str
    description: str
    check: "Callable[[Evidence], Iterable[Outcome]]"
    blocking: bool = True

    def rows(self, evidence: "Evidence") -> list[ControlRow]:
        """Return its rows; one that says so where there is nothing to compare."""
        outcomes = list(self.check(evidence)) or [nothing("there is none in the month")]
        return [self._row(evidence, outcome) for outcome in outcomes]

    def _row(self, evidence: "Evidence", outcome: Outcome) -> ControlRow:
        inputs = evidence.inputs
        return ControlRow(
            account=inputs.account.name,
            period=str(inputs.period),
            currency=outcome.currency,
            control=self.id,
            scope=outcome.scope,
            description=self.description,
            unit=outcome.unit,
            left_amount=outcome.left,
            right_amount=outcome.right,
            tolerance=outcome.tolerance,
            blocking=self.blocking,
            status=outcome.status or self._status(outcome),
            detail=outcome.detail,
        )

    def _status(self, outcome: Outcome) -> Status:
        if abs(outcome.left - outcome.right) <= outcome.tolerance and not outcome.wrong:
            return Status.PASS
        return Status.FAIL if self.blocking else Status.WARN


def in_major(minor: int, currency: str) -> Decimal:
    """Return minor units as major ones; of a currency that Stripe's table lacks as they are (C17 blocks the month)."""
    try:
        return to_major(minor, currency)
    except ValueError:
        return Decimal(minor)


def money(
    currency: str,
    left: int,
    right: int,
    *,
    scope: str = "",
    tolerance: Decimal = ZERO,
    detail: str = "",
    wrong: Sequence[str] = (),
    status: Status | None = None,
) -> Outcome:
    """Return a comparison of minor units; ``tolerance`` is in minor units too. ``wrong`` are ids that do not agree."""
    unit = in_major(1, currency)
    return Outcome(
        left=in_major(left, currency),
        right=in_major(right, currency),
        currency=currency,
        scope=scope,
        tolerance=tolerance * unit,
        detail=" ".join(part for part in (detail, named(wrong)) if part),
        wrong=bool(wrong),
        status=status,
    )


def count(
    left: int,
    right: int,
    *,
    currency: str | None = None,
    scope: str = "",
    detail: str = "",
    wrong: Sequence[str] = (),
    status: Status | None = None,
) -> Outcome:
    """Return a comparison of numbers of things."""
    return Outcome(
        left=Decimal(left),
        right=Decimal(right),
        unit=Unit.COUNT,
        currency=currency,
        scope=scope,
        detail=" ".join(part for part in (detail, named(wrong)) if part),
        wrong=bool(wrong),
        status=status,
    )


def nothing(why: str, *, currency: str | None = None, scope: str = "") -> Outcome:
    """Return a row that says that there was nothing to compare."""
    detail = f"nothing to compare: {why}"
    return Outcome(left=ZERO, right=ZERO, unit=Unit.COUNT, currency=currency, scope=scope, detail=detail)


def work_list(why: str, *, currency: str | None = None, scope: str = "") -> Outcome:
    """Return a row for a side that cannot be had."""
    return Outcome(
        left=ZERO, right=ZERO, unit=Unit.COUNT, currency=currency, scope=scope, detail=why, status=Status.LIST
    )


def named(ids: Sequence[str]) -> str:
    """Return ids in words: at most 20, then how many more."""
    shown = ", ".join(ids[:MOST_NAMED])
    return f"{shown} and {len(ids) - MOST_NAMED:,} more" if len(ids) > MOST_NAMED else shown
