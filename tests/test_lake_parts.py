"""Rows put aside in parts: every row is in one, equal keys together, in the order in which they came."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lakes import SmallLake

from redisu_pipeline.lake import reading
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.parts import Sieve, numbers_of, parts_of, put_aside

TEXTS = st.lists(st.none() | st.text(max_size=70) | st.sampled_from(["in_1", "in_2"]), max_size=40)


def column(texts: list[str | None], cut: int = 0) -> pa.ChunkedArray:
    return pa.chunked_array([texts[:cut], texts[cut:]], pa.string())


@given(st.lists(TEXTS, max_size=3), st.integers(1, 9))
def test_every_row_is_in_one_part_with_its_equals_and_in_order(tables: list[list[str | None]], parts: int) -> None:
    rows = [pa.table({"key": column(texts, 2), "n": range(len(texts))}) for texts in tables]
    schema = pa.schema([("key", pa.string()), ("n", pa.int64())])
    with TemporaryDirectory() as folder:
        aside = put_aside(Path(folder) / "rows", schema, parts, ((table, table["key"]) for table in rows))
        found = [aside.part(number).to_pylist() for number in range(parts)]
    came = [row for table in rows for row in table.to_pylist()]
    assert bool(aside) == bool(came)
    for number, part in enumerate(found):
        assert part == [row for row in came if parts_of(column([row["key"]]), parts)[0] == number]
    assert sum(map(len, found)) == len(came)


@given(TEXTS, TEXTS)
def test_a_sieve_holds_back_nothing_that_was_added(added: list[str | None], others: list[str | None]) -> None:
    sieve = Sieve(len(added))
    sieve.add(column(added, 3))
    assert sieve.passing(column([*others, *added])).to_pylist()[len(others) :] == [True] * len(added)


def test_numbers_spread_over_parts_and_a_sieve_holds_most_strangers_back() -> None:
    ids = [f"in_1Bench{number:014d}" for number in range(20_000)]
    parts = parts_of(column(ids), 20)
    assert all(900 < (parts == part).sum() < 1100 for part in range(20))
    assert len(set(numbers_of(column(ids)).tolist())) == len(ids)
    sieve = Sieve(10_000)
    sieve.add(column(ids[:10_000]))
    assert sum(sieve.passing(column(ids[10_000:])).to_pylist()) < 2_000


def test_a_scan_of_some_rows_at_a_time_is_the_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = SmallLake(tmp_path)
    lake.put("credit_notes", *({"id": f"cn_{n}", "refunds_refund": [f"re_{n}"]} for n in range(10)))
    manifest, _ = read_manifest(lake.storage, "credit_notes", "us")
    columns = ["id", "refunds_refund", "not_yet"]
    monkeypatch.setattr(reading, "AT_ONCE", 4)
    some = list(reading.scan_some(lake.storage, manifest, columns))
    assert [table.num_rows for table in some] == [4, 4, 2]
    assert pa.concat_tables(some) == pa.concat_tables(reading.scan(lake.storage, manifest, columns))
    assert list(reading.scan_some(lake.storage, None, columns)) == []
