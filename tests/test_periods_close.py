"""A locked month never changes; what changes later is posted in the first open one, each cent with its cause."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import world
from ledger_truth import MAPPING, MONTHS, Town, closed_town, tree

from redisu_pipeline.close.chart import heading_of
from redisu_pipeline.close.report import CloseReport
from redisu_pipeline.close.sources import journal_of
from redisu_pipeline.common.money import to_minor
from redisu_pipeline.common.periods import Month
from redisu_pipeline.extract import opening
from redisu_pipeline.journals.derive import derive
from redisu_pipeline.journals.model import JournalLine

SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER = (Month(2026, number) for number in (9, 10, 11, 12))
BEFORE, AFTER = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 12, 14, tzinfo=UTC)
OTHER_ACCOUNT = """
[chart_of_accounts]
fee_processing = { number = "6105", name = "Card Fees" }
"""

About = tuple[str, ...]


@dataclass
class Story:
    """A shop whose September and October were locked, what happened afterwards, and November's close."""

    town: Town
    before: dict[str, bytes]
    causes: dict[str, str] = field(default_factory=dict)
    report: CloseReport | None = None
    locked: CloseReport | None = None

    def lines(self, month: Month) -> list[dict[str, Any]]:
        return self.town.rows("journal_lines", "us", month)

    @property
    def late(self) -> list[dict[str, Any]]:
        return [line for line in self.lines(NOVEMBER) if line["adjusts_period"]]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Lock October; then let everything that may change it do so, sync, and close November."""
    folder = tmp_path_factory.mktemp("late") / "town"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "LIVE", world.UNLIMITED)
        patch.setattr(opening, "SANDBOX", world.UNLIMITED)
        begin = date(2026, 9, 1)
        with world.open_town(folder, checkouts=12, start=begin, now=BEFORE - timedelta(days=12), books=begin) as live:
            with (folder / "redisu.toml").open("a") as toml:
                toml.write(MAPPING)
            causes = prepare(live)
            live.advance(days=12)
            assert live.sync().problems == ()
            town = Town(folder, live.now, {})
            for month in (SEPTEMBER, OCTOBER):
                locked = town.close("us", month, by="Dana")
                assert (locked.status, [str(one) for one in locked.problems]) == ("locked", [])
            told = Story(town, of_month(town, OCTOBER), causes, locked=locked)
            happen(live, causes)
            live.sandbox.world.advance(AFTER)
            assert live.sync(full=True).problems == ()
        told.town = Town(folder, live.now, {})
        with (folder / "redisu.toml").open("a") as toml:
            toml.write(OTHER_ACCOUNT)
        told.report = told.town.close("us", NOVEMBER)
        yield told


def prepare(live: world.Town) -> dict[str, str]:
    """Do in November what will have another look later: a dispute and a refund of October's sales."""
    charges = october_sales(live)
    disputed = live.act("dispute", charge_id=charges[0]["id"])
    return {"disputed": disputed["id"]}


def october_sales(live: world.Town) -> list[Any]:
    """Return paid charges of October that nothing happened to, of customers that credit notes can be written for."""
    shop = live.sandbox.world.shops["us"]
    found = []
    for charge in live.store().all("charge"):
        at = datetime.fromtimestamp(charge["created"], UTC)
        sale = shop.by_charge.get(charge["id"])
        whole = charge["status"] == "succeeded" and not charge["amount_refunded"] and not charge["disputed"]
        if (at.year, at.month) == (2026, 10) and whole and sale is not None and sale.customer_id:
            found.append(charge)
    return found


def happen(live: world.Town, causes: dict[str, str]) -> None:
    """Everything that the brief of a late change knows."""
    store, shop = live.store(), live.sandbox.world.shops["us"]
    charges = october_sales(live)
    causes["refund"] = live.act("refund", charge_id=charges[0]["id"])["id"]
    live.act("win", id=causes["disputed"])
    paid = [one for one in store.all("payout") if one["status"] == "paid" and one["created"] < _unix(2026, 11)]
    live.act("fail_payout", id=paid[-1]["id"])
    causes["payout"] = paid[-1]["id"]
    causes["note"], causes["split"] = other_split(live)
    sold = store.get("invoice", str(shop.by_charge[charges[0]["id"]].invoice_id)) or {}
    course = sold["lines"]["data"][0]["pricing"]["price_details"]["product"]
    product = store.get("product", course) or {}
    live.act("update_catalog", kind="product", id=product["id"], metadata={**product["metadata"], "course": "renamed"})
    causes["fee"] = arrive_late(live)
    assert shop.currency == "usd"


def other_split(live: world.Town) -> tuple[str, str]:
    """Link a credit note to a refund of October that takes more tax than the refund's part of it."""
    shop, store = live.sandbox.world.shops["us"], live.store()
    for refund in store.all("refund"):
        at, sale = datetime.fromtimestamp(refund["created"], UTC), shop.by_charge[refund["charge"]]
        noted = any(refund["id"] == each["refund"] for note in store.all("credit_note") for each in note["refunds"])
        taxed = sale.customer_id and sale.invoice_id and any(line.taxes for line in sale.lines)
        if (at.year, at.month) == (2026, 10) and refund["status"] == "succeeded" and taxed and not noted:
            note = live.act("credit_note", invoice_id=sale.invoice_id, refund_id=refund["id"])
            line = note["lines"]["data"][0]
            taxes = [{**tax, "amount": tax["amount"] + 7} if at == 0 else tax for at, tax in enumerate(line["taxes"])]
            changed = {**line, "amount": line["amount"] - 7, "taxes": taxes}
            lines = {**note["lines"], "data": [changed, *note["lines"]["data"][1:]]}
            store.change("credit_note", note["id"], lines=lines, subtotal=note["subtotal"] - 7)
            return note["id"], refund["id"]
    raise AssertionError("the world has no refund of October to link")


def arrive_late(live: world.Town) -> str:
    """A balance transaction of October that Stripe shows only now."""
    live.act("product_fee", amount=777, description="Billing - Usage Fee (late)")
    fee = live.store().all("balance_transaction")[-1]
    live.store().change("balance_transaction", fee["id"], created=_unix(2026, 10) + 20 * 86_400)
    return str(fee["id"])


def _unix(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp())


def of_month(town: Town, month: Month, account: str = "us") -> dict[str, bytes]:
    """Return every file that a close of the month writes: lines, sources, controls, state, exports."""
    return {
        name: content
        for name, content in tree(town.lake).items()
        if (
            f"account={account}/month={month}/" in name.removeprefix("netsuite/tax_by_jurisdiction")
            and name.startswith("netsuite/")
            and "tax_by_jurisdiction" not in name
        )
        or name.startswith(f"exports/netsuite/{account}/{month}/")
    }


def sums(lines: list[dict[str, Any]]) -> dict[About, Decimal]:
    """Return debit − credit by all that a line stands for but its side."""
    found: dict[About, Decimal] = defaultdict(Decimal)
    for line in lines:
        about = ("class", "currency", "gl_role", "gl_account", "course", "tax_country", "tax_state")
        found[tuple(str(line[name] or "") for name in about)] += (line["debit"] or 0) - (line["credit"] or 0)
    return {about: amount for about, amount in found.items() if amount}


def freshly(town: Town, month: Month, account: str = "us") -> list[dict[str, Any]]:
    """Return the lines that today's data derive for a month."""
    derived = derive(town.books(account, month))
    heading = heading_of(town.settings, town.settings.account(account), month)
    lines = journal_of(derived.postings.collect().to_polars(), derived.totals, heading).lines
    return [{**vars(line), "class": line.class_.value} for line in lines if isinstance(line, JournalLine)]


# -- late changes -----------------------------------------------------------------------------------------------------


def test_a_locked_month_is_byte_for_byte_what_it_was(story: Story) -> None:
    now = of_month(story.town, OCTOBER)
    assert len(story.before) == 4 + 5
    assert now == story.before


def test_november_is_final_with_late_changes_of_october(story: Story) -> None:
    assert story.report is not None
    assert (story.report.status, [str(problem) for problem in story.report.problems]) == ("final", [])
    assert any("late changes of 2026-10" in note for note in story.report.notes)
    for line in story.late:
        assert line["external_id"].split("-")[3] == line["adjusts_period"].replace("-", "")
        assert (line["version"], line["external_id"].split("-")[5]) == (2, "V2")
        assert (line["period"], line["tran_date"], line["posting_period"]) == (
            "2026-11",
            date(2026, 11, 30),
            "Nov 2026",
        )


def test_all_versions_of_october_are_what_is_derived_today(story: Story) -> None:
    late = [line for line in story.late if line["adjusts_period"] == "2026-10"]
    fresh = sums(freshly(story.town, OCTOBER))
    assert sums([*story.lines(OCTOBER), *late]) == fresh
    assert sums(story.lines(OCTOBER)) != fresh


def test_late_changes_are_exactly_where_october_became_another(story: Story) -> None:
    """Not the whole month again: a line for each difference, no other; and each journal of them balances."""
    late = [line for line in story.late if line["adjusts_period"] == "2026-10"]
    fresh, stood = sums(freshly(story.town, OCTOBER)), sums(story.lines(OCTOBER))
    differing = {about for about in {*fresh, *stood} if fresh.get(about) != stood.get(about)}
    assert set(sums(late)) == differing
    assert {"6100", "6105", "4000", "6110"} <= {line["gl_account"] for line in late}
    assert "renamed" in {line["course"] for line in late}
    balance: Counter[str] = Counter()
    for line in late:
        balance[line["external_id"]] += to_minor((line["debit"] or 0) - (line["credit"] or 0), line["currency"])
    assert set(balance.values()) == {0}


def test_every_late_line_names_its_causes(story: Story) -> None:
    parts: dict[tuple[str, int], list[tuple[str, int]]] = defaultdict(list)
    for row in story.town.rows("journal_sources", "us", NOVEMBER):
        parts[row["external_id"], row["line"]].append((row["source_id"], row["amount_minor"]))
    for line in story.late:
        amount = to_minor((line["debit"] or 0) - (line["credit"] or 0), line["currency"])
        assert sum(part for _, part in parts[line["external_id"], line["line"]]) == amount
    named = {id for line in story.late for id, _ in parts[line["external_id"], line["line"]]}
    assert {story.causes["fee"], story.causes["split"]} <= named
    split = [
        (id, amount)
        for line in story.late
        if line["gl_role"] in ("sales_tax", "vat") and line["class"] == "REFUNDS"
        for id, amount in parts[line["external_id"], line["line"]]
    ]
    assert split == [(story.causes["split"], 7)]  # the credit note knows better than the pro rata split


def test_what_belongs_to_november_is_not_a_late_change(story: Story) -> None:
    """The refund of an October sale, the won dispute and the payout that came back happened in November."""
    own = {
        (line["external_id"], line["line"]): line for line in story.lines(NOVEMBER) if line["adjusts_period"] is None
    }
    named: dict[str, set[str]] = defaultdict(set)
    for row in story.town.rows("journal_sources", "us", NOVEMBER):
        if (row["external_id"], row["line"]) in own:
            named[row["source_id"]].add(own[row["external_id"], row["line"]]["class"])
    assert named[story.causes["refund"]] == {"REFUNDS"}
    assert named[story.causes["disputed"]] == {"DISPUTES"}
    assert named[story.causes["payout"]] == {"PAYOUTS"}


def test_the_controls_of_november_explain_what_was_posted_late(story: Story) -> None:
    assert story.report is not None
    rows = {(row.control, row.scope): row for row in story.report.controls}
    versions = [row for (control, _), row in rows.items() if control == "C22"]
    assert versions
    assert all(row.left_amount == row.right_amount for row in versions)


def test_closing_again_changes_nothing(story: Story) -> None:
    before = tree(story.town.lake, "netsuite", "exports", "_manifest/netsuite")
    report = story.town.close("us", NOVEMBER)
    assert (report.status, report.changed) == ("final", False)
    assert tree(story.town.lake, "netsuite", "exports", "_manifest/netsuite") == before


def test_closing_a_locked_month_changes_nothing_and_says_who_locked_it(story: Story) -> None:
    before = tree(story.town.lake, "netsuite", "exports")
    for by in (None, "Eve"):
        report = story.town.close("us", OCTOBER, by=by)
        assert (report.status, report.changed, report.problems) == ("locked", False, ())
        assert any("by Dana" in note for note in report.notes)
    assert tree(story.town.lake, "netsuite", "exports") == before


def test_what_was_posted_late_and_is_undone_later_is_taken_back(story: Story, tmp_path: Path) -> None:
    """The fees' account is changed back once November is locked: December takes November's correction back."""
    town = story.town.copied(tmp_path / "town")
    assert town.close("us", NOVEMBER, by="Dana").status == "locked"
    late = [line for line in story.late if line["gl_account"] == "6105"]
    assert late
    toml = town.folder / "redisu.toml"
    toml.write_text(toml.read_text().replace(OTHER_ACCOUNT, ""))
    town.close("us", DECEMBER)
    again = [line for line in town.rows("journal_lines", "us", DECEMBER) if line["adjusts_period"] == "2026-10"]
    posted = sums([*story.lines(OCTOBER), *(one for one in story.late if one["adjusts_period"] == "2026-10"), *again])
    assert posted == sums(freshly(town, OCTOBER))
    assert {line["version"] for line in again} == {3}


def test_a_decision_that_is_taken_back_between_two_closes_is_posted_back(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """Nothing but the chart changes, there and back: what stands of August must follow, not what once was locked."""
    town = closed_town(tmp_path_factory).copied(tmp_path / "town")
    toml = town.folder / "redisu.toml"
    august, september, october = MONTHS
    assert town.close("il", august, by="Dana").status == "locked"
    plain = toml.read_text()
    toml.write_text(plain + OTHER_ACCOUNT)
    assert town.close("il", september, by="Dana").status == "locked"
    toml.write_text(plain)
    report = town.close("il", october)
    assert report.status == "final"
    lines = [line for month in MONTHS for line in town.rows("journal_lines", "il", month)]
    of_august = [line for line in lines if (line["adjusts_period"] or line["period"]) == str(august)]
    assert {line["version"] for line in of_august} == {1, 2, 3}
    assert sums(of_august) == sums(freshly(town, august, "il"))


DEPARTMENTS = """
[chart_of_accounts]
revenue = [
    { number = "4000", name = "Course Revenue" },
    { from = 2026-08-01, course = "redis-101", number = "4001", name = "Courses", department = "Basics" },
    { from = 2026-08-01, course = "redis-ops", number = "4001", name = "Courses", department = "Operations" },
]
"""


def test_a_late_change_moves_each_course_between_its_own_departments(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """One GL number has a department for each course; what stood without one is taken back without one."""
    town = closed_town(tmp_path_factory).copied(tmp_path / "town")
    august, september, _ = MONTHS
    assert town.close("us", august, by="Dana").status == "locked"
    with (town.folder / "redisu.toml").open("a") as toml:
        toml.write(DEPARTMENTS)
    assert town.close("us", september).status == "final"
    late = [line for line in town.rows("journal_lines", "us", september) if line["adjusts_period"]]
    assert {(line["gl_account"], line["course"], line["department"]) for line in late} == {
        ("4000", "redis-101", None),
        ("4000", "redis-ops", None),
        ("4001", "redis-101", "Basics"),
        ("4001", "redis-ops", "Operations"),
    }


def test_closing_twice_changes_nothing_where_a_locked_month_was_derived_again_as_it_stands(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """The first close derives August anew, the second knows that it need not: neither may say so in the lake."""
    town = closed_town(tmp_path_factory).copied(tmp_path / "town")
    august, september, _ = MONTHS
    assert town.close("il", august, by="Dana").status == "locked"
    with (town.folder / "redisu.toml").open("a") as toml:
        toml.write('[chart_of_accounts]\nrounding = { number = "7191", name = "Cents" }\n')  # nothing is posted to it
    assert town.close("il", september).status == "final"
    before = tree(town.lake, "netsuite", "exports", "_manifest/netsuite")
    assert not town.close("il", september).changed
    assert tree(town.lake, "netsuite", "exports", "_manifest/netsuite") == before


# -- crashes ----------------------------------------------------------------------------------------------------------

KILL_AT = """
import os, signal, sys
from redisu_pipeline.close.run import Signature, close
from redisu_pipeline.common.settings import load
from redisu_pipeline.lake import local_storage
left, config, month, by = int(sys.argv[1]), *sys.argv[2:5]
for name in ("publish", "delete", "copy"):
    def counted(self, *given, real=getattr(local_storage.LocalStorage, name), **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, *given, **named)
    setattr(local_storage.LocalStorage, name, counted)
report = close(load(config, os.environ), {}, "us", month, Signature(by) if by else None)
print(report.status)
"""
STEPS = [7, 13, *(pytest.param(step, marks=pytest.mark.long) for step in range(1, 18) if step not in (7, 13))]


def kill(town: Town, step: int, month: Month, by: str = "") -> int:
    """Close in a process of its own that dies at a step of its writing."""
    command = [sys.executable, "-c", KILL_AT, str(step), str(town.folder / "redisu.toml"), str(month), by]
    environ = {**os.environ, "REDISU_NOW": town.now.isoformat()}
    return subprocess.run(command, env=environ, capture_output=True, check=False).returncode


@pytest.mark.parametrize("step", STEPS)
def test_a_close_that_is_killed_is_completed_by_the_next(story: Story, tmp_path: Path, step: int) -> None:
    """Killed before its k-th write: no half file, and the next close leaves what an undisturbed one leaves."""
    town = story.town.copied(tmp_path / "town")
    forget_november(town)
    code = kill(town, step, NOVEMBER)
    assert code in (0, -signal.SIGKILL)
    assert code or step > 15
    assert of_month(town, OCTOBER) == story.before
    assert town.close("us", NOVEMBER).status == "final"
    assert without_state(of_month(town, NOVEMBER)) == without_state(of_month(story.town, NOVEMBER))
    (one,), (other,) = (each.rows("periods", "us", NOVEMBER) for each in (town, story.town))
    assert {**one, "final_at": None} == {**other, "final_at": None}


@pytest.mark.parametrize(
    "step", [14, *(pytest.param(step, marks=pytest.mark.long) for step in range(1, 24) if step != 14)]
)
def test_a_lock_that_is_killed_is_completed_by_the_next(story: Story, tmp_path: Path, step: int) -> None:
    town = story.town.copied(tmp_path / "town")
    assert kill(town, step, NOVEMBER, by="Dana") in (0, -signal.SIGKILL)
    report = town.close("us", NOVEMBER, by="Dana")
    assert report.status == "locked"
    (state,) = town.rows("periods", "us", NOVEMBER)
    assert (state["status"], state["locked_by"]) == ("locked", "Dana")
    assert of_month(town, OCTOBER) == story.before
    whole = tree(town.lake, "exports")
    town.close("us", NOVEMBER)
    assert tree(town.lake, "exports") == whole


def forget_november(town: Town) -> None:
    """Take November's close away, as if it had never been: by the manifests of a lake that ends with October."""
    for manifest in (town.lake / "_manifest/netsuite").glob("*/account=us.json"):
        if manifest.parent.name == "tax_by_jurisdiction":
            continue
        known = json.loads(manifest.read_text())
        known["files"] = [entry for entry in known["files"] if entry["month"] <= "2026-10"]
        manifest.write_text(json.dumps(known))
    for path in (*town.lake.glob("netsuite/*/account=us/month=2026-11/*"), *town.lake.glob("exports/*/us/2026-11/*")):
        if "tax_by_jurisdiction" not in str(path):
            path.unlink()


def without_state(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if "/periods/" not in name}
