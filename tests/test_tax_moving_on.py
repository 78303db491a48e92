"""`tax_by_jurisdiction` when nothing has landed but time: it reaches further, and its sources are not read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tax_truth import rows_of
from world import MakeTown, Town

from redisu_pipeline.lake.derived import Derivation
from redisu_pipeline.lake.storage import open_storage
from redisu_pipeline.tax import derive as deriving

READ = deriving.read_slices
MINUTES = timedelta(minutes=20)


def forbidden(*_arguments: Any) -> Any:
    raise AssertionError("the books were read")


@pytest.fixture
def town(make_town: MakeTown) -> Town:
    """A town after its first sync, on the morning of a day in a month that is not over."""
    town = make_town(accounts=("us", "il"))
    assert town.sync().problems == ()
    return town


def files(town: Town) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in (town.lake / "netsuite/tax_by_jurisdiction").rglob("*.parquet")}


def open_rows(town: Town, account: str) -> list[dict[str, Any]]:
    return [row for row in rows_of(town, account, f"{town.now:%Y-%m}") if row["source"] == "invoice"]


def test_a_sync_without_changes_moves_the_reach_as_a_whole_derivation_would(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {name: account.notes for name, account in town.sync().accounts.items()}
    before = open_rows(town, "il")
    town.advance(seconds=MINUTES.total_seconds())
    with monkeypatch.context() as patch:
        patch.setattr(deriving, "read_slices", forbidden)
        report = town.sync()
    assert report.problems == ()
    assert {name: account.notes for name, account in report.accounts.items()} == said
    after = open_rows(town, "il")
    assert len(after) == len(before) > 0
    for new, old in zip(after, before, strict=True):
        assert new["complete_until"] > old["complete_until"] + MINUTES / 2
    moved = files(town)
    monkeypatch.setattr(deriving, "reach", lambda *_: None)
    for account in town.settings.accounts.values():
        storage = open_storage(town.settings.lake.uri)
        whole = deriving.derive(Derivation(storage, account.name, "again", town.now, lambda: None), account)
        assert whole.months == ()
    assert files(town) == moved


def test_a_table_that_was_edited_by_hand_is_derived_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    right = files(town)
    path = next(path for path in right if f"{town.now:%Y-%m}" in path and "account=il" in path)
    with open(path, "ab") as file:
        file.write(b"edited")
    read = []
    monkeypatch.setattr(deriving, "read_slices", lambda *arguments: read.append(arguments[1].name) or READ(*arguments))
    assert town.sync().problems == ()
    assert read == ["il"]
    assert files(town)[path].endswith(b"PAR1")


@pytest.mark.parametrize("passed", [{"days": 1}, {"days": 40}])
def test_on_another_day_the_books_are_read_for_what_comes_with_time(
    town: Town, monkeypatch: pytest.MonkeyPatch, passed: dict[str, float]
) -> None:
    read = []
    monkeypatch.setattr(deriving, "read_slices", lambda *arguments: read.append(arguments[1].name) or READ(*arguments))
    town.advance(**passed)
    assert town.sync().problems == ()
    assert sorted(read) == ["il", "us"]
