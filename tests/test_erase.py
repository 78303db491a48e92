"""Erasing a learner from the lake: every file that a reader or a curious person can find, and what must stay."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from source import held_by
from world import UNLIMITED, Town, open_town

from redisu_pipeline import cli
from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.extract import opening
from redisu_pipeline.lake import erase
from redisu_pipeline.lake.erase import AccountErasure
from redisu_pipeline.lake.erased import read_erased
from redisu_pipeline.lake.local_storage import LocalStorage
from redisu_pipeline.lake.locks import writer_lock
from redisu_pipeline.lake.storage import open_storage
from redisu_pipeline.tables.registry import TABLES

PERSONAL = {name: {c.name for c in table.columns if c.personal} for name, table in TABLES.items()}
MOVING = {"_raw", "_synced_at", "_seq"}


class Buyer:
    """A learner of the small world, with what Stripe knows of them."""

    def __init__(self, town: Town, place: int = 0) -> None:
        paid = [one for one in town.store().all("charge") if one["metadata"].get("learner") and one["customer"]]
        charge = paid[place]
        self.learner = charge["metadata"]["learner"]
        self.customer = charge["customer"]
        self.charge = charge["id"]
        self.email = charge["billing_details"]["email"]
        self.street = charge["billing_details"]["address"]["line1"]


def forget(town: Town, learner: str, *emails: str) -> AccountErasure:
    done = erase.erase_from_lake(town.lake_uri, town.settings.database.url, learner, emails, town.now)
    return done["us"]


def texts_of(file: Path) -> str:
    """All that a file of the lake says, however it is packed."""
    if file.suffix == ".parquet":
        return json.dumps(pq.ParquetFile(file).read().to_pylist(), default=str, ensure_ascii=False)
    return file.read_bytes().decode("utf-8", "replace")


def files_naming(town: Town, text: str) -> list[str]:
    files = (file for file in town.lake.rglob("*") if file.is_file())
    return [file.relative_to(town.lake).as_posix() for file in files if text in texts_of(file)]


def essence(town: Town) -> dict[str, Any]:
    """Every row's columns that are not personal, by table and id."""
    return {
        name: {
            i: {column: value for column, value in row.items() if column not in PERSONAL[name] | MOVING}
            for i, row in rows.items()
        }
        for name, rows in held_by(town.lake, "us").items()
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A small world and its lake with a history: objects changed between two syncs. Tests leave both as they are."""
    with (
        pytest.MonkeyPatch.context() as patch,
        open_town(tmp_path_factory.mktemp("home") / "town", checkouts=5) as town,
    ):
        patch.setattr(opening, "LIVE", UNLIMITED)
        town.sync()
        for name in ("customer", "charge", "invoice", "checkout.session"):
            for one in town.store().all(name):
                town.store().change(name, one["id"], metadata={**one["metadata"], "seen": "twice"})
        town.advance(hours=3)
        assert town.sync(full=True).ok
        assert list((town.lake / "_history/stripe/customers").rglob("*.parquet"))
        yield town


@pytest.fixture
def lived_in(home: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    """A copy of the lake, and the same world behind it."""
    monkeypatch.setattr(opening, "LIVE", UNLIMITED)
    shutil.copytree(home.folder, tmp_path / "copy")
    config = tmp_path / "copy/redisu.toml"
    config.write_text(config.read_text().replace(str(home.folder), str(tmp_path / "copy")))
    return replace(home, folder=tmp_path / "copy", lake_uri=str(tmp_path / "copy/lake"))


def test_nothing_personal_of_the_learner_is_left_in_any_file_and_ids_and_amounts_stay(lived_in: Town) -> None:
    buyer, other = Buyer(lived_in), Buyer(lived_in, 3)
    before = essence(lived_in)
    assert len(files_naming(lived_in, buyer.email)) > 6
    done = forget(lived_in, buyer.learner)
    assert files_naming(lived_in, buyer.email) == []
    assert done.customers == (buyer.customer,)
    assert {"checkout_sessions", "invoices", "charges", "customers", "events"} <= done.tables.keys()
    assert done.tables["customers"].history == 1
    assert essence(lived_in) == before
    rows = held_by(lived_in.lake, "us")
    charge = rows["charges"][buyer.charge]
    assert (charge["billing_details_name"], charge["billing_details_email"]) == (None, None)
    assert charge["_raw"]["billing_details"]["address"]["country"]
    assert rows["charges"][other.charge]["billing_details_email"] == other.email
    assert files_naming(lived_in, other.email)
    assert lived_in.unproven() == []


def test_the_next_sync_is_told_nothing_new_and_brings_nothing_back(lived_in: Town) -> None:
    buyer = Buyer(lived_in)
    forget(lived_in, buyer.learner)
    erased = held_by(lived_in.lake, "us")
    report = lived_in.sync(full=True)
    assert report.ok, report.problems
    changed = {name: table.changed for name, table in report.accounts["us"].tables.items() if table.changed}
    assert changed == {}
    assert files_naming(lived_in, buyer.email) == []
    assert held_by(lived_in.lake, "us")["charges"] == erased["charges"]


def test_a_changed_object_of_the_learner_is_read_again_without_their_data(town: Town) -> None:
    town.sync()
    buyer = Buyer(town)
    forget(town, buyer.learner)
    town.act("refund", charge_id=buyer.charge)
    town.advance(hours=1)
    assert town.sync().ok
    assert held_by(town.lake, "us")["charges"][buyer.charge]["refunded"]
    assert any(row["charge"] == buyer.charge for row in held_by(town.lake, "us")["refunds"].values())
    assert files_naming(town, buyer.email) == []


def test_erasing_twice_changes_nothing_and_writes_nothing(lived_in: Town) -> None:
    buyer = Buyer(lived_in)
    assert forget(lived_in, buyer.learner).tables
    files = {file: file.stat().st_mtime_ns for file in lived_in.lake.rglob("*.*") if file.is_file()}
    again = forget(lived_in, buyer.learner)
    assert (again.tables, again.customers) == ({}, (buyer.customer,))
    kept = {file: file.stat().st_mtime_ns for file in files if file.suffix in (".parquet", ".json")}
    assert kept == {file: stamp for file, stamp in files.items() if file in kept}


def test_a_learner_nobody_knows_is_erased_nowhere_and_remembered_nowhere(lived_in: Town) -> None:
    assert forget(lived_in, "nobody") == AccountErasure()
    assert not (lived_in.lake / "_erased").exists()


def test_an_address_is_found_in_any_spelling_and_a_shared_customer_costs_the_other_learner_nothing(town: Town) -> None:
    store, buyer, other = town.store(), Buyer(town), Buyer(town, 3)
    lone = next(one for one in store.all("customer") if one["id"] not in (buyer.customer, other.customer))
    store.change("customer", lone["id"], email="Lone@Example.org")
    store.change("charge", other.charge, customer=buyer.customer)
    town.sync()
    done = forget(town, buyer.learner, "lone@example.org")
    assert {lone["id"], buyer.customer} <= set(done.customers)
    assert files_naming(town, "Lone@Example.org") == []
    assert held_by(town.lake, "us")["charges"][other.charge]["billing_details_email"] == other.email


def test_ids_and_nothing_else_are_remembered(lived_in: Town) -> None:
    buyer = Buyer(lived_in)
    forget(lived_in, buyer.learner)
    erased, _ = read_erased(open_storage(lived_in.lake_uri), "us")
    assert {buyer.customer, buyer.charge} <= erased.ids
    written = (lived_in.lake / "_erased/us.json").read_text()
    assert buyer.learner not in written
    assert "@" not in written


def test_checkpoints_of_a_cut_off_sync_that_hold_the_learner_are_dropped(
    lived_in: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyer = Buyer(lived_in)
    with monkeypatch.context() as patch:
        patch.setattr("redisu_pipeline.lake.commit.Commit.land", _cut_off)
        assert not lived_in.sync(full=True).ok
    assert any(".staging/pages" in file for file in staged(lived_in))
    forget(lived_in, buyer.learner)
    assert not any(f"/{name}/" in file for file in staged(lived_in) for name in ("customers", "charges", "invoices"))
    assert any("/products/" in file for file in staged(lived_in))
    assert lived_in.sync().ok
    assert files_naming(lived_in, buyer.email) == []


def _cut_off(*_: Any) -> Any:
    raise Failed(Problem("cut_off", "here", "stopped", "run it again"))


def staged(town: Town) -> list[str]:
    return [file.as_posix() for file in (town.lake / ".staging/pages").rglob("*.page")]


def test_a_file_that_somebody_edited_is_refused_before_anything_is_replaced(lived_in: Town) -> None:
    buyer = Buyer(lived_in)
    (file,) = (lived_in.lake / "stripe/customers").glob("account=us/month=2026-02/*.parquet")
    rows = pq.ParquetFile(file).read()
    pq.write_table(rows, file, compression="gzip")
    with pytest.raises(Failed, match="was not written by redisu"):
        forget(lived_in, Buyer(lived_in).learner)
    assert pq.ParquetFile(file).read() == rows
    assert buyer.email


def test_while_a_sync_writes_it_is_refused_in_one_line(lived_in: Town) -> None:
    buyer = Buyer(lived_in)
    with (
        writer_lock(str(lived_in.lake), "us", ["customers"], lived_in.settings.database.url, lived_in.now),
        pytest.raises(Failed, match="customers is being synced") as refused,
    ):
        forget(lived_in, buyer.learner)
    assert "\n" not in str(refused.value)


def redisu_erase(town: Town, learner: str, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        cli.main(["erase", "--config", str(town.config), "--learner", learner, *words])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_the_command_erases_everywhere_and_says_what_stripe_still_holds(
    lived_in: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    buyer = Buyer(lived_in)
    code, out, _ = redisu_erase(lived_in, buyer.learner, capsys, "--json")
    told = json.loads(out)
    assert (code, told["ok"], told["customers"]) == (0, True, {"us": [buyer.customer]})
    assert told["erased"]["lake"]["us"]["customers"] == {"rows": 1, "files": 1, "history_files": 1}
    assert files_naming(lived_in, buyer.email) == []
    code, out, _ = redisu_erase(lived_in, buyer.learner, capsys)
    assert code == 0
    assert "Stripe keeps its own copy" in out
    assert buyer.customer in out


def test_a_learner_whom_nobody_knows_is_said_in_one_line(lived_in: Town, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = redisu_erase(lived_in, "nobody", capsys)
    assert code == 1
    assert err.splitlines()[-1].startswith("--learner nobody: nothing is known of this learner")


class PowerCut(BaseException):
    """The process ends here."""


def test_cut_off_at_any_write_the_same_call_completes_it(lived_in: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town = lived_in
    buyer = Buyer(town)
    before, step = essence(town), 0
    writes = {name: getattr(LocalStorage, name) for name in ("publish", "delete")}
    for step in range(1, 200):
        left = iter(range(step - 1))

        def counted(name: str, steps: Iterator[int] = left) -> Any:
            def write(self: LocalStorage, *given: Any, **named: Any) -> Any:
                if next(steps, None) is None:
                    raise PowerCut
                return writes[name](self, *given, **named)

            return write

        with monkeypatch.context() as patch:
            for name in writes:
                patch.setattr(LocalStorage, name, counted(name))
            try:
                forget(town, buyer.learner)
            except PowerCut:
                continue
        break
    assert step > 6  # each call gets further than the one before
    assert files_naming(town, buyer.email) == []
    assert essence(town) == before
    assert town.sync(full=True).ok
    assert files_naming(town, buyer.email) == []
    assert town.unproven() == []
