"""Files of the lake that were edited, lost, damaged or moved: told in one line and left alone."""

from __future__ import annotations

import shutil

import pyarrow.parquet as pq
import pytest
from answers import is_one_line
from world import Town

SOME = ["charges", "refunds"]
ONLY_SOME = ["--table", "charges", "--table", "refunds"]  # quicker, and two are enough to see one fail alone


@pytest.mark.parametrize("which", [0, -1])
def test_a_file_edited_by_hand_is_refused_and_left_alone(town: Town, which: int) -> None:
    town.sync(tables=SOME)
    file = sorted((town.lake / "stripe/charges").glob("**/*.parquet"))[which]
    rows = pq.ParquetFile(file).read()
    pq.write_table(rows.slice(1), file)
    edited = file.read_bytes()
    town.advance(days=3)
    said = is_one_line(town.main(*ONLY_SOME), 1, "foreign_file")
    assert str(file.relative_to(town.lake)) in said["where"]
    assert file.read_bytes() == edited


@pytest.mark.parametrize("which", [0, -1])
def test_a_file_that_is_missing_is_told_and_full_brings_it_back(town: Town, which: int) -> None:
    town.sync(tables=SOME)
    file = sorted((town.lake / "stripe/charges").glob("**/*.parquet"))[which]
    file.unlink()
    said = is_one_line(town.main(*ONLY_SOME), 1, "foreign_file")
    assert str(file.relative_to(town.lake)) in said["where"]
    assert town.main("--full", *ONLY_SOME).code == 0
    assert town.differences(only=SOME) == []


@pytest.mark.parametrize("text", ["{", '{"version": 99}'])
def test_a_damaged_manifest_stops_its_table(town: Town, text: str) -> None:
    town.sync(tables=SOME)
    path = town.lake / "_manifest/stripe/charges/account=us.json"
    good = path.read_text()
    path.write_text(text)
    answer = town.main(*ONLY_SOME)
    said = is_one_line(answer, 1, answer.codes[0])
    assert said["code"].startswith("manifest_")
    assert "charges" in said["where"]
    assert "refunds" in answer.json["accounts"]["us"]["tables"]
    path.write_text(good)
    assert town.main(*ONLY_SOME).code == 0


def test_a_damaged_checkpoint_is_read_again(town: Town) -> None:
    town.sync(tables=SOME)
    pages = town.lake / ".staging/pages/us/charges"
    pages.mkdir(parents=True)
    (pages / "00000001_1_2_1_1_5.page").write_bytes(b"half")
    (pages / "listing.json").write_text("{")
    town.advance(days=3)
    assert town.main(*ONLY_SOME).code == 0
    assert town.differences(only=SOME) == []


def test_a_lake_moved_to_another_folder_goes_on(town: Town) -> None:
    town.sync()
    town.advance(days=3)
    elsewhere = town.folder / "elsewhere"
    shutil.move(town.lake, elsewhere)
    town.config.write_text(town.config.read_text().replace(town.lake_uri, str(elsewhere)))
    answer = town.main()
    assert answer.code == 0
    assert answer.json["accounts"]["us"]["tables"]["products"]["new"] == 0
    assert town.differences(lake=elsewhere) == []
