"""What a close, a final month or a lock refuses: one clear line each, and nothing is written that should not be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ledger_truth import MAPPING, MONTHS, Town, closed_town, synced_town, tree

from redisu_pipeline.close.report import CloseReport
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import Refusal

AUGUST, SEPTEMBER, OCTOBER = MONTHS
NOVEMBER = Month(2026, 11)


@pytest.fixture
def synced(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Town:
    """Three months, synced; nothing closed."""
    return synced_town(tmp_path_factory).copied(tmp_path / "town")


@pytest.fixture
def closed(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Town:
    """Three months, all of them final."""
    return closed_town(tmp_path_factory).copied(tmp_path / "town")


def refused(town: Town, account: str, month: Month, by: str | None = None) -> tuple[list[str], str]:
    """Return the codes and the words of a refusal, each problem one line."""
    with pytest.raises(Refusal) as refusal:
        town.close(account, month, by)
    said = [str(problem) for problem in refusal.value.problems]
    assert all("\n" not in line for line in said)
    return [problem.code for problem in refusal.value.problems], " ".join(said)


def codes(report: CloseReport) -> list[str]:
    assert all("\n" not in str(problem) for problem in report.problems)
    return [problem.code for problem in report.problems]


def edited(town: Town, table: str, month: Month, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change rows of account us as if Stripe had them so: the manifest tells the new file's hash."""
    path = f"stripe/{table}/account=us/month={month}/data.parquet"
    file = town.lake / path
    whole = pq.read_table(file, partitioning=None)
    rows = whole.to_pylist()
    change(rows)
    file.unlink()  # it may be a second name of another town's file
    pq.write_table(pa.Table.from_pylist(rows, schema=whole.schema), file)
    manifest = town.lake / f"_manifest/stripe/{table}/account=us.json"
    known = json.loads(manifest.read_text())
    for entry in known["files"]:
        if entry["path"] == path:
            entry.update(sha256=hashlib.sha256(file.read_bytes()).hexdigest(), bytes=file.stat().st_size)
    manifest.write_text(json.dumps(known))


def touched(town: Town, path: str) -> Path:
    """Edit a Parquet file by hand: the same rows, written by another program."""
    (file,) = town.lake.glob(path)
    rows = pq.read_table(file, partitioning=None)
    file.unlink()
    pq.write_table(rows, file, compression="none")
    return file


def charge_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in rows if row["reporting_category"] == "charge")


def test_a_missing_mapping_blocks_the_month_and_the_mapping_mends_it(synced: Town) -> None:
    synced.configure(MAPPING, "")
    report = synced.close("us", AUGUST)
    assert report.status == "open"
    (problem,) = [one for one in report.problems if one.code == "blocked_category"]
    ids = [row["id"] for row in synced.rows("balance_transactions", "us", AUGUST, "stripe") if row["amount"] == -321]
    assert ids
    assert all(id in str(problem) for id in ids)
    assert "journal_mapping" in problem.mend
    (state,) = synced.rows("periods", "us", AUGUST)
    assert state["status"] == "open"
    toml = synced.folder / "redisu.toml"
    toml.write_text(toml.read_text() + MAPPING)
    again = synced.close("us", AUGUST)
    assert (again.status, codes(again)) == ("final", [])


def test_an_open_month_cannot_be_locked(synced: Town) -> None:
    synced.configure(MAPPING, "")
    report = synced.close("us", AUGUST, by="Dana")
    assert report.status == "open"
    assert "not_final" in codes(report)
    (state,) = synced.rows("periods", "us", AUGUST)
    assert (state["status"], state["locked_by"]) == ("open", None)


def test_a_control_that_fails_keeps_the_month_open_and_unlocked(synced: Town) -> None:
    def move(rows: list[dict[str, Any]]) -> None:
        charge_of(rows)["net"] += 1

    edited(synced, "balance_transactions", AUGUST, move)
    report = synced.close("us", AUGUST, by="Dana")
    assert report.status == "open"
    assert {"control_failed", "not_final"} <= set(codes(report))
    assert any("C5" in str(problem) for problem in report.problems)


def test_an_unknown_currency_is_named_and_blocks(synced: Town) -> None:
    changed = []

    def strange(rows: list[dict[str, Any]]) -> None:
        changed.append(charge_of(rows)["id"])
        charge_of(rows)["currency"] = "zzz"

    edited(synced, "balance_transactions", AUGUST, strange)
    try:
        report = synced.close("us", AUGUST)
    except Refusal as refusal:
        said = " ".join(str(problem) for problem in refusal.problems)
    else:
        assert report.status == "open"
        said = " ".join(str(problem) for problem in report.problems)
    assert "zzz" in said.lower()


def test_a_month_before_that_is_not_final_is_named(synced: Town) -> None:
    found, said = refused(synced, "us", OCTOBER)
    assert found == ["earlier_month"]
    assert "2026-09" in said
    assert "redisu close --account us --month 2026-09" in said
    assert not list(synced.lake.glob("netsuite/journal_lines/**/*.parquet"))


def test_a_month_is_not_locked_before_the_one_before(closed: Town) -> None:
    report = closed.close("us", SEPTEMBER, by="Dana")
    assert codes(report) == ["earlier_month"]
    assert "2026-08, is not locked" in str(report.problems[0])
    (state,) = closed.rows("periods", "us", SEPTEMBER)
    assert state["status"] == "final"


def test_a_month_that_is_not_complete_stays_open(closed: Town) -> None:
    """November runs on: the extraction cannot be complete."""
    report = closed.close("us", NOVEMBER)
    assert report.status == "open"
    assert any("C21" in str(problem) for problem in report.problems)


@pytest.mark.parametrize(
    ("month", "code"),
    [("2026-13", "usage"), ("october", "usage"), ("2026-07", "before_start"), ("2031-01", "future_month")],
)
def test_a_month_without_books_is_refused(closed: Town, month: str, code: str) -> None:
    found, said = refused(closed, "us", month)  # type: ignore[arg-type]
    assert found == [code]
    assert month in said


def test_a_stripe_file_edited_by_hand_is_refused_by_its_hash(closed: Town) -> None:
    file = touched(closed, "stripe/charges/account=us/month=2026-09/*.parquet")
    before = tree(closed.lake, "netsuite", "exports")
    found, said = refused(closed, "us", OCTOBER)
    assert found == ["foreign_file"]
    assert str(file) in said
    assert tree(closed.lake, "netsuite", "exports") == before


@pytest.mark.parametrize("table", ["journal_lines", "journal_sources", "periods", "controls"])
def test_a_closed_months_file_edited_by_hand_is_refused_by_its_hash(closed: Town, table: str) -> None:
    """What a later month stands on; sources only matter once the month is locked and something came late."""
    if table == "journal_sources":
        assert closed.close("us", AUGUST, by="Dana").status == "locked"
        toml = closed.folder / "redisu.toml"
        toml.write_text(toml.read_text() + '\n[chart_of_accounts]\nfx = { number = "7101", name = "FX" }\n')
        toml.write_text(toml.read_text() + 'fee_processing = { number = "6105", name = "Card Fees" }\n')
        file = touched(closed, "netsuite/journal_sources/account=us/month=2026-08/*.parquet")
        month = SEPTEMBER
    else:
        file = touched(closed, f"netsuite/{table}/account=us/month=2026-09/*.parquet")
        month = OCTOBER
    found, said = refused(closed, "us", month)
    assert found == ["foreign_file"]
    assert str(file) in said


def test_a_locked_months_files_edited_by_hand_are_refused_when_it_is_looked_at(closed: Town) -> None:
    closed.close("us", AUGUST, by="Dana")
    file = touched(closed, "netsuite/journal_lines/account=us/month=2026-08/*.parquet")
    found, said = refused(closed, "us", AUGUST)
    assert found == ["foreign_file"]
    assert str(file) in said


def test_a_locked_month_whose_manifest_was_edited_too_is_refused(closed: Town) -> None:
    """A file and its manifest may be changed together: the lock remembers what it locked."""
    closed.close("us", AUGUST, by="Dana")
    file = touched(closed, "netsuite/journal_lines/account=us/month=2026-08/*.parquet")
    manifest = closed.lake / "_manifest/netsuite/journal_lines/account=us.json"
    known = json.loads(manifest.read_text())
    for entry in known["files"]:
        if entry["month"] == "2026-08":
            entry["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(known))
    found, _ = refused(closed, "us", AUGUST)
    assert found == ["locked_month_changed"]


def test_nothing_unlocks_a_month(closed: Town) -> None:
    """No command, no option; locking it again by another name changes nothing."""
    from typer.testing import CliRunner

    from redisu_pipeline.cli import app

    closed.close("us", AUGUST, by="Dana")
    answer = CliRunner().invoke(app, ["close", "--account", "us", "--month", "2026-08", "--unlock"])
    assert answer.exit_code == 2
    (before,) = closed.rows("periods", "us", AUGUST)
    closed.close("us", AUGUST, by="Eve")
    assert closed.rows("periods", "us", AUGUST) == [before]
    assert (before["status"], before["locked_by"]) == ("locked", "Dana")
