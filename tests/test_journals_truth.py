"""Months of a faithful stand-in against its own double-entry ledger, to the cent: derived, and as they lie in the lake.

The ledger is written by what happens in the world; our journals see only Stripe objects and balance transactions.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest
from ledger_truth import (
    ACCOUNTS,
    MONTHS,
    Town,
    balances,
    closed_town,
    derived_moves,
    line_moves,
    synced_town,
)
from paper_books import in_order

from redisu_pipeline.close.chart import heading_of
from redisu_pipeline.close.sources import Journal, journal_of
from redisu_pipeline.common.money import to_minor
from redisu_pipeline.common.periods import Month
from redisu_pipeline.journals.derive import Derived, derive

SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3, 4))]
NOVEMBER = Month(2026, 11)  # half a month: what crosses the border of October comes out of it
ZONES = {"us": "America/New_York", "il": "Asia/Jerusalem"}

# The ledger's happenings -> the rule that books them (netsuite-journals.md §2.3), by the role that they move.
DISPUTED = {"dispute_opened": "9", "dispute_won": "10", "dispute_lost": "11"}
IN_TRANSIT = {"payout_created": "12", "payout_failed": "14"}


def kinds_of(derived: Derived, role: str) -> dict[str, int]:
    """Return what a role moved by the number of the rule, all currencies together."""
    found: Counter[str] = Counter()
    for total in derived.totals:
        if total.key.role == role:
            found[total.key.event] += total.amount
    return dict(found)


def happened(town: Town, account: str, month: Month, role: str, events: dict[str, str]) -> dict[str, int]:
    """Return what the ledger moved on a role, by the rule that books it."""
    start, end = (int(bound.timestamp()) for bound in month.bounds(town.settings.account(account).timezone))
    found: Counter[str] = Counter()
    for entry in town.entries[account]:
        if start <= entry.at < end and entry.event in events:
            legs = (leg for leg in entry.legs if leg.role in (role, "bank" if role == "transit" else role))
            found[events[entry.event]] += sum(leg.amount for leg in legs)
    return {event: amount for event, amount in found.items() if amount}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_month_is_the_ledgers_to_the_cent(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Revenue and refunds by course, tax by jurisdiction, fees by kind, disputes, payouts, fx, credits, balances."""
    town = synced_town(tmp_path_factory, seed)
    for account in ACCOUNTS:
        mine, theirs = [], []
        for month in (*MONTHS, NOVEMBER):
            derived = derive(town.books(account, month))
            mine.append(derived_moves(derived))
            theirs.append(town.moves(account, month))
            assert mine[-1] == theirs[-1], (account, month)
            assert derived.blocked == ()
            for role, events in (("disputed", DISPUTED), ("transit", IN_TRANSIT)):
                shown = {event: amount for event, amount in kinds_of(derived, role).items() if event in events.values()}
                assert shown == happened(town, account, month, role, events), (account, month, role)
        assert balances(mine) == balances(theirs)


@pytest.mark.parametrize("seed", SEEDS)
def test_books_in_another_time_zone_are_the_ledgers_cut_at_its_bounds(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, seed: int
) -> None:
    town = synced_town(tmp_path_factory, seed).copied(tmp_path / "town")
    cut = 0
    for account, zone in ZONES.items():
        in_utc = {month: town.moves(account, month) for month in MONTHS}
        town.configure(f'subsidiary = "Redis {account}"', f'subsidiary = "Redis {account}"\ntimezone = "{zone}"')
        for month in MONTHS:
            assert derived_moves(derive(town.books(account, month))) == town.moves(account, month), (account, month)
            cut += in_utc[month] != town.moves(account, month)
    assert cut >= 3  # the zones matter: some months are others than in UTC


def test_a_payout_arrives_on_the_day_that_stripe_names_in_every_time_zone(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """`arrival_date` is a date, written as its midnight UTC: in New York that is the evening before."""
    town = synced_town(tmp_path_factory).copied(tmp_path / "town")
    for account in ACCOUNTS:
        zone = 'timezone = "America/New_York"'
        town.configure(f'subsidiary = "Redis {account}"', f'subsidiary = "Redis {account}"\n{zone}')
    frames = [town.books(account, MONTHS[0])["payouts"] for account in ACCOUNTS]
    payouts = [row for frame in frames for row in frame.select("arrival_date", "arrival_period").collect().rows()]
    assert 1 in {at.day for at, _ in payouts}
    assert [at for at, period in payouts if at.year * 100 + at.month != period] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_the_lakes_journals_are_the_ledgers_to_the_cent(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    town = closed_town(tmp_path_factory, seed)
    for account in ACCOUNTS:
        found = []
        for month in MONTHS:
            rows = town.rows("journal_lines", account, month)
            found.append(line_moves(rows))
            assert found[-1] == town.moves(account, month), (account, month)
        assert balances(found) == balances(town.moves(account, month) for month in MONTHS)


@pytest.mark.parametrize("seed", SEEDS)
def test_sources_explain_every_line_and_hold_every_balance_transaction(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    town = closed_town(tmp_path_factory, seed)
    for account in ACCOUNTS:
        for month in MONTHS:
            lines = {
                (row["external_id"], row["line"]): to_minor((row["debit"] or 0) - (row["credit"] or 0), row["currency"])
                for row in town.rows("journal_lines", account, month)
            }
            sums: Counter[tuple[str, int]] = Counter()
            cash: Counter[str] = Counter()
            for row in town.rows("journal_sources", account, month):
                sums[row["external_id"], row["line"]] += row["amount_minor"]
                if row["source_object"] == "balance_transaction":
                    cash[row["source_id"]] += 1
            assert dict(sums) == lines
            booked = {
                row["id"]: row
                for row in town.rows("balance_transactions", account, month, area="stripe")
                if row["amount"] or row["fee"]
            }
            assert set(booked) == set(cash)


def test_each_balance_transaction_moves_clearing_by_its_net(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Not only in sum: one by one, amount and fee, in one class or in that and FEES."""
    town = closed_town(tmp_path_factory)
    for account in ACCOUNTS:
        for month in MONTHS:
            clearing = {
                (row["external_id"], row["line"])
                for row in town.rows("journal_lines", account, month)
                if row["gl_role"] == "clearing"
            }
            moved: Counter[str] = Counter()
            for row in town.rows("journal_sources", account, month):
                if (row["external_id"], row["line"]) in clearing:
                    moved[row["source_id"]] += row["amount_minor"]
            booked = town.rows("balance_transactions", account, month, area="stripe")
            payments = {row["id"]: row["net"] for row in booked if row["balance_type"] in (None, "payments")}
            assert {id: net for id, net in payments.items() if net} == dict(moved)


def _journal(town: Town, account: str, month: Month) -> Journal:
    derived = derive(town.books(account, month))
    heading = heading_of(town.settings, town.settings.account(account), month)
    return journal_of(derived.postings.collect().to_polars(), derived.totals, heading)


def test_two_derivations_are_the_same(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    """Lines and sources in the same order; and another close of the same month writes the same bytes."""
    town = synced_town(tmp_path_factory)
    for account in ACCOUNTS:
        one, other = (_journal(town, account, MONTHS[2]) for _ in range(2))
        assert one.lines == other.lines
        assert in_order(one).equals(in_order(other))
    first, again = closed_town(tmp_path_factory), town.copied(tmp_path / "again")
    again.close("us", MONTHS[0])
    written = [path for path in first.lake.rglob("*") if _is_of(path, "us", MONTHS[0])]
    assert len(written) == 3 + 1 + 5  # lines, sources, controls; state; exports
    for path in written:
        if "/periods/" not in str(path):  # it tells when the month became final
            assert _digest(path) == _digest(again.lake / path.relative_to(first.lake)), path
    (one_state,), (other_state,) = (each.rows("periods", "us", MONTHS[0]) for each in (first, again))
    assert {**one_state, "final_at": None} == {**other_state, "final_at": None}


def _is_of(path: Path, account: str, month: Month) -> bool:
    text = str(path)
    netsuite = any(f"netsuite/{name}/account={account}/month={month}/" in text for name in TABLES)
    return path.is_file() and "_history" not in text and (netsuite or f"exports/netsuite/{account}/{month}/" in text)


TABLES = ("journal_lines", "journal_sources", "controls", "periods")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_truth_has_something_of_everything(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A world without disputes or conversions would prove little."""
    town = synced_town(tmp_path_factory)
    entries = [entry for account in ACCOUNTS for entry in town.entries[account]]
    roles = {leg.role for entry in entries for leg in entry.legs}
    wanted = "revenue refunds tax fx fee_processing fee_product fee_dispute input_vat disputed"
    more = "dispute_loss customer_credit credit_out_of_band adjustments reserve clearing transit in_flight"
    assert roles >= {*wanted.split(), *more.split()}
    happened = {entry.event for entry in entries}
    assert happened >= {*DISPUTED, *IN_TRANSIT, "refund_failed", "credit_note_voided", "topup"}
    assert {leg.country for entry in entries for leg in entry.legs} > {"US", "IL"}
