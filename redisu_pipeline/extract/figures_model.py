"""Stripe's own figures of one month: the other side of the controls C3, C3a, C6 and C21.

Plain data: what was read, and for each figure whether it could be. `extract.figures` fills it from Stripe or from the
lake; the controls compare it with the journals (netsuite-journals.md §3). Amounts are minor units of the row's
currency, signed as in Stripe's balance: what leaves it is negative, a fee is positive.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import Problem


class State(Enum):
    """Whether a figure can be compared with ours."""

    AVAILABLE = "available"  # read, complete, and final
    UNAVAILABLE = "unavailable"  # this key gets none (403, sandbox): a list item
    LATE = "late"  # Stripe, or our lake, has not got so far yet: close again later
    NOT_READ = "not_read"  # nobody has asked, Stripe could not be reached, or its answer could not be read


class Figure(Enum):
    """What is asked of Stripe for a month; the value is a report type's name, or what a list tells."""

    PAYOUT_CONTENTS = "payout_contents"
    BALANCE = "balance.summary.1"
    ACTIVITY = "balance_change_from_activity.summary.1"
    PAYOUTS = "payouts.summary.1"


@dataclass(frozen=True)
class Standing:
    """The state of one figure; ``reason`` says why in words, empty when it is available."""

    state: State
    reason: str = ""


@dataclass(frozen=True)
class PayoutContents:
    """An automatic payout that Stripe has reconciled (stripe.md §5.5).

    ``amount`` is the payout's own; ``contents`` the sum of `net` over its balance transactions without its own row,
    ``own`` the `net` of that row (None when the list lacks it), ``rows`` how many the list holds, its own included.
    """

    id: str
    currency: str
    amount: int
    contents: int
    own: int | None
    rows: int


@dataclass(frozen=True)
class BalanceRoll:
    """`balance.summary` of one currency: starting + activity + payouts = ending (stripe.md §8.3)."""

    currency: str
    starting: int
    activity: int
    payouts: int
    ending: int


@dataclass(frozen=True)
class CategorySum:
    """One row of `balance_change_from_activity.summary` or `payouts.summary`: net = gross − fee."""

    currency: str
    reporting_category: str
    count: int
    gross: int
    fee: int
    net: int


NOBODY_ASKED = Standing(State.NOT_READ, "it was not asked of Stripe yet")


@dataclass(frozen=True)
class Figures:
    """Stripe's figures for ``month`` of ``account``, in the books' zone.

    ``activity`` holds the categories of both summaries, payouts and their reversals too, so that it can be compared
    with all balance transactions of the month. ``data_available_end`` is how far Stripe's balance reports reached when
    they were last asked (the least of them), None when they never answered. A figure whose standing is not AVAILABLE
    has no rows here; of the payouts those that could be read are here in any state. ``problems`` are lines for people:
    a report that cannot be read, a value that Stripe does not document.
    """

    account: str
    month: Month
    payouts: tuple[PayoutContents, ...] = ()
    balances: tuple[BalanceRoll, ...] = ()
    activity: tuple[CategorySum, ...] = ()
    standings: Mapping[Figure, Standing] = field(default_factory=dict)
    data_available_end: datetime | None = None
    problems: tuple[Problem, ...] = ()

    def standing(self, figure: Figure) -> Standing:
        """Return how ``figure`` stands; NOT_READ when nobody asked."""
        return self.standings.get(figure, NOBODY_ASKED)

    @property
    def complete(self) -> bool:
        """Whether nothing of the month can become better known by asking again."""
        return all(self.standing(figure).state is State.AVAILABLE for figure in Figure)

    def balance(self, currency: str) -> BalanceRoll | None:
        """Return the balance report's row of ``currency`` (lower case), None when the report has none."""
        return next((row for row in self.balances if row.currency == currency), None)
