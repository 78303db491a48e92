"""Stripe's figures of a month as the lake holds them: what was read, and what was said when it could not be.

How each figure stood when it was last asked is kept with the cursor of `balance_reports`, a month a line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from redisu_pipeline.common.decoders import decode
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import Problem
from redisu_pipeline.common.settings import Account
from redisu_pipeline.extract.figures_model import (
    BalanceRoll,
    CategorySum,
    Figure,
    Figures,
    PayoutContents,
    Standing,
    State,
)
from redisu_pipeline.lake.manifest import Manifest, read_manifest
from redisu_pipeline.lake.month_file import within
from redisu_pipeline.lake.reading import scan
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tables.balance import PAYOUTS, REPORTING_CATEGORIES
from redisu_pipeline.tables.figures import BALANCE_REPORTS, PAYOUT_TRANSACTIONS, TOTAL

KNOWN_CATEGORIES = frozenset(REPORTING_CATEGORIES.split())


@dataclass(frozen=True)
class MonthPayout:
    """An automatic payout made in the month, as the lake has it; ``created`` is unix."""

    id: str
    created: int
    currency: str
    amount: int
    reconciled: bool


class Asked(msgspec.Struct, frozen=True):
    """How the figures of a month stood when they were last asked; ``available_end`` is unix."""

    standings: dict[str, tuple[str, str]] = {}
    available_end: int | None = None

    def standing(self, figure: Figure) -> Standing | None:
        """Return how ``figure`` stood; None when it was never asked."""
        state, reason = self.standings.get(figure.value, (None, ""))
        return None if state is None else Standing(State(state), reason)


def asked_of(manifest: Manifest | None, month: Month) -> Asked:
    """Return what ``manifest`` (of `balance_reports`) remembers of ``month``."""
    text = manifest.cursor.extra.get(str(month)) if manifest else None
    return decode(text, Asked) if text else Asked()


def figures_from_lake(storage: Storage, account: Account, month: Month) -> Figures:
    """Return Stripe's figures for ``month`` of ``account`` without asking Stripe. Raises Failed for a damaged lake."""
    manifest, _ = read_manifest(storage, BALANCE_REPORTS.name, account.name)
    asked = asked_of(manifest, month)
    standings = {figure: standing for figure in Figure if (standing := asked.standing(figure)) is not None}
    rows = _report_rows(storage, manifest, month)
    activity = tuple(_categories(rows))
    return Figures(
        account=account.name,
        month=month,
        payouts=payout_contents(storage, account, month),
        balances=tuple(_rolls(rows)),
        activity=activity,
        standings=standings,
        data_available_end=None if asked.available_end is None else datetime.fromtimestamp(asked.available_end, UTC),
        problems=tuple(_unknown(account.name, activity)),
    )


def payouts_of(storage: Storage, account: Account, month: Month) -> list[MonthPayout]:
    """Return the automatic payouts that Stripe made in ``month`` of the books, oldest first."""
    manifest, _ = read_manifest(storage, PAYOUTS.name, account.name)
    lo, hi = month.unix(account.timezone)
    names = ("id", "created", "currency", "amount", "automatic", "reconciliation_status", "_deleted_at")
    found = []
    for rows in scan(storage, manifest, names, since=lo):
        for row in within(rows, lo, hi).to_pylist():
            if row["automatic"] and row["_deleted_at"] is None:
                created = int(row["created"].timestamp())
                reconciled = row["reconciliation_status"] == "completed"
                found.append(MonthPayout(row["id"], created, row["currency"], row["amount"], reconciled))
    return sorted(found, key=lambda payout: (payout.created, payout.id))


def payout_contents(storage: Storage, account: Account, month: Month) -> tuple[PayoutContents, ...]:
    """Return what the payouts of ``month`` contain, as far as it was read."""
    manifest, _ = read_manifest(storage, PAYOUT_TRANSACTIONS.name, account.name)
    lo, hi = month.unix(account.timezone)
    whole: dict[str, _Sum] = {}
    itself: dict[str, _Sum] = {}
    for rows in scan(storage, manifest, ("payout", "created", "net", "source"), since=lo):
        inside = within(rows, lo, hi)
        whole.update(_sums(inside))
        # The payout's own row names the payout as its source.
        itself.update(_sums(inside.filter(pc.fill_null(pc.equal(inside["source"], inside["payout"]), False))))
    found = []
    for payout in payouts_of(storage, account, month):
        if payout.id in whole:
            listed, own = whole[payout.id], itself.get(payout.id)
            contents = listed.net - (own.net if own else 0)
            own_net = own.net if own else None
            found.append(PayoutContents(payout.id, payout.currency, payout.amount, contents, own_net, listed.rows))
    return tuple(found)


class _Sum(NamedTuple):
    net: int
    rows: int


def _sums(rows: pa.Table) -> dict[str, _Sum]:
    """Sum `net` by payout."""
    summed = rows.group_by("payout").aggregate([("net", "sum"), ("net", "count")]).to_pylist()
    return {row["payout"]: _Sum(row["net_sum"], row["net_count"]) for row in summed}


def _report_rows(storage: Storage, manifest: Manifest | None, month: Month) -> list[Mapping[str, object]]:
    names = ("period", "report_type", "category", "reporting_category", "currency", "count", "gross", "fee", "net")
    found = [row for rows in scan(storage, manifest, names) for row in rows.to_pylist() if row["period"] == str(month)]
    return sorted(found, key=lambda row: (row["currency"], row["reporting_category"] or "", row["category"] or ""))


def _rolls(rows: list[Mapping[str, object]]) -> list[BalanceRoll]:
    by_currency: dict[str, dict[str, int]] = {}
    for row in rows:
        if row["report_type"] == Figure.BALANCE.value:
            by_currency.setdefault(str(row["currency"]), {})[str(row["category"])] = _integer(row["net"])
    return [
        BalanceRoll(currency, net["starting_balance"], net["activity"], net["payouts"], net["ending_balance"])
        for currency, net in by_currency.items()
    ]


def _categories(rows: list[Mapping[str, object]]) -> list[CategorySum]:
    return [
        CategorySum(
            currency=str(row["currency"]),
            reporting_category=str(row["reporting_category"]),
            count=_integer(row["count"]),
            gross=_integer(row["gross"]),
            fee=_integer(row["fee"]),
            net=_integer(row["net"]),
        )
        for row in rows
        if row["report_type"] != Figure.BALANCE.value and row["reporting_category"] != TOTAL
    ]


def _integer(value: object) -> int:
    assert isinstance(value, int)
    return value


def _unknown(account: str, activity: tuple[CategorySum, ...]) -> list[Problem]:
    strange = sorted({row.reporting_category for row in activity} - KNOWN_CATEGORIES)
    mend = "decide what it means for the books and add it to REPORTING_CATEGORIES in redisu_pipeline/tables/balance.py"
    where = f"{account}/{BALANCE_REPORTS.name}.reporting_category"
    return [
        Problem("unknown_value", where, f"Stripe's report has {category!r}, which is not documented", mend)
        for category in strange
    ]
