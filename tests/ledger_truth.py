"""What the stand-in's own double-entry ledger says of a month, in any time zone, and lakes synced from such a world.

A lake costs seconds, so a run of the suite builds each one once, whatever its workers: they wait for a file lock.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import world

from redisu_pipeline.close.books import read_books
from redisu_pipeline.close.pins import pin
from redisu_pipeline.close.report import CloseReport
from redisu_pipeline.close.run import Signature, close
from redisu_pipeline.common.money import to_minor
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import Settings, load
from redisu_pipeline.extract import opening
from redisu_pipeline.journals.books import Books
from redisu_pipeline.journals.derive import Derived
from redisu_pipeline.lake.storage import open_storage
from sandbox.stripe.world import World
from sandbox.stripe.world.ledger import Entry
from sandbox.stripe.world.shop import NotPossible

ACCOUNTS = ("us", "il")
START = date(2026, 8, 1)
AUGUST = Month(2026, 8)
MONTHS = (AUGUST, Month(2026, 9), Month(2026, 10))
DUE = datetime(2026, 11, 24, tzinfo=UTC)
"""When everything that concerns these months is over at Stripe (refunds may fail for a month)."""

Place = tuple[str, str, str, str, str]
"""currency, role, course, country, state"""
Moves = Mapping[Place, int]
TAX_ROLES = {"US": "sales_tax", "IL": "vat_il"}
TOGETHER = {"bank": "transit"}  # arrivals are NetSuite's bank matching's, unless configured


@dataclass(frozen=True)
class Town:
    """A synced lake with its configuration, and every entry of the world's ledger, by account."""

    folder: Path
    now: datetime
    entries: Mapping[str, Sequence[Entry]] = field(repr=False)

    @property
    def settings(self) -> Settings:
        return load(str(self.folder / "redisu.toml"), os.environ)

    @property
    def lake(self) -> Path:
        return self.folder / "lake"

    def copied(self, folder: Path) -> Town:
        """Return the same town in a folder of one's own."""
        shutil.copytree(self.folder, folder, symlinks=True)
        toml = folder / "redisu.toml"
        toml.write_text(toml.read_text().replace(str(self.folder), str(folder)))
        return Town(folder, self.now, self.entries)

    def configure(self, old: str, new: str) -> None:
        """Replace words of the configuration."""
        toml = self.folder / "redisu.toml"
        text = toml.read_text()
        assert old in text
        toml.write_text(text.replace(old, new))

    def books(self, account: str, month: Month) -> Books:
        settings = self.settings
        pins = pin(open_storage(settings.lake.uri), account)
        return read_books(settings, settings.account(account), month, pins)

    def close(self, account: str, month: Month, by: str | None = None) -> CloseReport:
        """Close a month at the world's time, and lock it where somebody signs."""
        with at_time(self.now):
            return close(self.settings, {}, account, str(month), Signature(by) if by else None)

    def moves(self, account: str, month: Month) -> dict[Place, int]:
        """Return what the ledger moved in a month of the account's books."""
        zone = self.settings.account(account).timezone
        return moves_of(self.entries[account], *(int(bound.timestamp()) for bound in month.bounds(zone)))

    def rows(self, table: str, account: str, month: Month, area: str = "netsuite") -> list[dict[str, Any]]:
        """Return the rows of a table's month as they lie in the lake."""
        path = self.lake / area / table / f"account={account}" / f"month={month}" / "data.parquet"
        rows: list[dict[str, Any]] = pq.read_table(path, partitioning=None).to_pylist() if path.exists() else []
        return rows


@contextmanager
def at_time(now: datetime) -> Iterator[None]:
    """Let the wall clock stand still at ``now``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDISU_NOW", now.isoformat())
        yield


# -- building ---------------------------------------------------------------------------------------------------------


def synced(folder: Path, seed: int, checkouts: int, days: int = 20) -> Town:
    """Build a world of three months and two accounts, synced every ``days``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "LIVE", world.UNLIMITED)
        patch.setattr(opening, "SANDBOX", world.UNLIMITED)
        begin = datetime(2026, 8, 20, tzinfo=UTC)
        with world.open_town(
            folder, accounts=ACCOUNTS, checkouts=checkouts, seed=seed, start=START, now=begin, books=START
        ) as town:
            with (folder / "redisu.toml").open("a") as toml:
                toml.write(MAPPING)
            business = {name: Business(town.sandbox.world, name) for name in ACCOUNTS}
            while True:
                report = town.sync()
                assert report.problems == ()
                if town.now >= DUE:
                    break
                for one in business.values():
                    one.step()
                let_pass(town.sandbox.world, business, min(town.now + days * DAY, DUE))
            entries = {name: list(shop.ledger.entries) for name, shop in town.sandbox.world.shops.items()}
            return Town(folder, town.now, entries)


def let_pass(world_: World, business: Mapping[str, Business], until: datetime) -> None:
    """Let time pass; half an hour before and after each month's end (UTC) everybody pays a fee: zones differ there."""
    for border in (datetime(2026, month, 1, tzinfo=UTC) for month in (9, 10, 11)):
        for moment in (border - HALF_AN_HOUR, border + HALF_AN_HOUR):
            if datetime.fromtimestamp(world_.now, UTC) < moment < until:
                world_.advance(moment)
                for one in business.values():
                    one.fee()
    world_.advance(until)


class Business:
    """What a world of twenty sales a month may not come to by itself: disputes, failing refunds, credit notes, …"""

    def __init__(self, world_: World, account: str) -> None:
        self._world, self._account = world_, account
        self._later: list[tuple[str, dict[str, Any]]] = []

    def step(self) -> None:
        """Do something of every kind on the newest sales, and finish what the last step began."""
        begun, self._later = self._later, []
        for action, given in begun:
            self._try(action, **given)
        plain, converted, noted = self._sales()
        for charges, end in ((plain, "win"), (converted, "lose"), (plain[1:], "lose"), (converted[1:], "win")):
            for charge in charges[:1]:
                self._then(self._try("dispute", charge_id=charge["id"]), end, "id")
        for charge in (*plain[2:4], *converted[2:4]):
            third = charge["amount"] // 3
            first = self._try("refund", charge_id=charge["id"], amount=third)
            self._try("refund", charge_id=charge["id"], amount=third + 1)
            self._then(first, "fail_refund", "refund_id")
            self._later.append(("refund", {"charge_id": charge["id"]}))
        for turn, (invoice, charge) in enumerate(noted[:4]):
            half = charge["amount"] // 2
            to = ("customer_balance", "out_of_band", "refund", "refund")[turn]
            if turn == 3:  # a note that is written for a refund afterwards
                made = self._try("refund", charge_id=charge["id"], amount=half)
                self._later.append(("credit_note", {"invoice_id": invoice, "refund_id": made["id"]} if made else {}))
                continue
            self._then(self._try("credit_note", invoice_id=invoice, amount=half, to=to), "void_credit_note", "note_id")
        self._try("topup", amount=50_000)
        self._try("tax_fee", amount=123, description="VAT on fees")
        self._try("adjust", amount=-321)
        self._try("reserve_hold", amount=7_000)
        self._later.append(("reserve_release", {"amount": 7_000}))

    def fee(self) -> None:
        self._try("product_fee", amount=self._world.now // 86_400, description="Billing - Usage Fee")

    def _sales(self) -> tuple[list[Any], list[Any], list[tuple[str, Any]]]:
        """Return untouched charges in the account's currency, in others, and those of known customers by invoice."""
        store, shop = self._world.stores[self._account], self._world.shops[self._account]
        whole = [one for one in store.all("charge") if one["status"] == "succeeded" and one["paid"]]
        untouched = [one for one in reversed(whole) if not one["amount_refunded"] and not one["disputed"]]
        fresh = [one for one in untouched if not shop.by_charge[one["id"]].returned.total]  # no credit note either
        named = [one for one in fresh if shop.by_charge[one["id"]].customer_id and shop.by_charge[one["id"]].invoice_id]
        noted = [(str(shop.by_charge[one["id"]].invoice_id), one) for one in named[-6:]]
        taken = {one["id"] for _, one in noted}
        rest = [one for one in fresh if one["id"] not in taken]
        own = [one for one in rest if one["currency"] == shop.currency]
        return own, [one for one in rest if one["currency"] != shop.currency], noted

    def _try(self, action: str, **given: Any) -> Any:
        """Do it if Stripe would let us, a minute after the last: the order of one second is nobody's."""
        self._world.advance(datetime.fromtimestamp(self._world.now, UTC) + MINUTE)
        try:
            return self._world.act(self._account, action, **given)
        except NotPossible:
            return None

    def _then(self, made: Any, action: str, name: str) -> None:
        if made is not None:
            self._later.append((action, {name: made["id"]}))


MAPPING = """
[[journal_mapping]]
reporting_category = "other_adjustment"
role = "adjustments"
"""
DAY, HALF_AN_HOUR, MINUTE = timedelta(days=1), timedelta(minutes=30), timedelta(minutes=1)


def shared(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], Town]) -> Town:
    """Return the town called ``name``, built by whichever worker of this run comes first. Change only copies of it."""
    base = factory.getbasetemp()
    whole_run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done = whole_run / f"town-{name}", whole_run / f"town-{name}.pickle"
    with (whole_run / f"town-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            done.write_bytes(pickle.dumps(build(folder)))
        town: Town = pickle.loads(done.read_bytes())
    return town


def synced_town(factory: pytest.TempPathFactory, seed: int = 1, checkouts: int = 12) -> Town:
    """Return three months of two accounts, synced, nothing closed."""
    return shared(factory, f"synced-{seed}-{checkouts}", lambda folder: synced(folder, seed, checkouts))


def closed_town(factory: pytest.TempPathFactory, seed: int = 1, checkouts: int = 12) -> Town:
    """Return the same with every month closed: all of them became final."""

    def build(folder: Path) -> Town:
        town = synced_town(factory, seed, checkouts).copied(folder)
        for account in ACCOUNTS:
            for month in MONTHS:
                report = town.close(account, month)
                assert (report.status, [str(problem) for problem in report.problems]) == ("final", [])
        return town

    return shared(factory, f"closed-{seed}-{checkouts}", build)


def tree(lake: Path, *folders: str) -> dict[str, bytes]:
    """Return every file below some folders of a lake (all of it unless told), but what the lake keeps for itself."""
    tops = [lake / folder for folder in folders] if folders else [lake]
    paths = (path for top in tops for path in top.rglob("*") if path.is_file())
    return {
        name: path.read_bytes()
        for path in sorted(paths)
        if not (name := path.relative_to(lake).as_posix()).startswith((".", "_history/"))
    }


# -- comparing --------------------------------------------------------------------------------------------------------


def moves_of(entries: Iterable[Entry], start: int, end: int) -> dict[Place, int]:
    """Return debit − credit of the ledger's entries from ``start`` to ``end`` (unix seconds), by place."""
    found: Counter[Place] = Counter()
    for entry in entries:
        if start <= entry.at < end:
            for leg in entry.legs:
                role = TAX_ROLES.get(leg.country or "", "vat") if leg.role == "tax" else leg.role
                found[_place(entry.currency.upper(), role, leg.course, leg.country, leg.state)] += leg.amount
    return {place: amount for place, amount in found.items() if amount}


def derived_moves(derived: Derived) -> dict[Place, int]:
    """Return the same of a derivation."""
    found: Counter[Place] = Counter()
    for total in derived.totals:
        key = total.key
        found[_place(total.currency, key.role, key.course, key.country, key.state)] += total.amount
    return {place: amount for place, amount in found.items() if amount}


def line_moves(lines: Iterable[Mapping[str, Any]]) -> dict[Place, int]:
    """Return the same of rows of `journal_lines`."""
    found: Counter[Place] = Counter()
    for line in lines:
        amount = (line["debit"] or 0) - (line["credit"] or 0)
        place = _place(line["currency"], line["gl_role"], line["course"], line["tax_country"], line["tax_state"])
        found[place] += to_minor(amount, line["currency"])
    return {place: amount for place, amount in found.items() if amount}


def _place(currency: str, role: str, course: str | None, country: str | None, state: str | None) -> Place:
    return (currency, TOGETHER.get(role, role), course or "", country or "", state or "")


def balances(months: Iterable[Moves]) -> dict[tuple[str, str], int]:
    """Return the closing balance by (currency, role) that months leave."""
    found: dict[tuple[str, str], int] = defaultdict(int)
    for moves in months:
        for (currency, role, *_), amount in moves.items():
            found[currency, role] += amount
    return dict(found)
