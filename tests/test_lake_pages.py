"""Page checkpoints survive a crash, a damaged one is dropped, and their names say all that is needed to go on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redisu_pipeline.lake.local_storage import LocalStorage
from redisu_pipeline.lake.pages import ListingHeader, PageName, PageStore

NUMBERS = st.integers(0, 2**40)
HEADER = ListingHeader(0, 7, 3, datetime(2026, 3, 20, tzinfo=UTC).isoformat(), "schema")


def batch(*ids: str) -> dict[str, pa.RecordBatch]:
    return {"charges": pa.record_batch({"id": list(ids)}), "fees": pa.record_batch({"id": pa.array([], pa.string())})}


@pytest.fixture
def lake(tmp_path: Path) -> LocalStorage:
    return LocalStorage(str(tmp_path / "lake"))


def store_of(lake: LocalStorage) -> PageStore:
    return PageStore(lake, "us", "charges")


@given(NUMBERS, NUMBERS, st.one_of(st.none(), NUMBERS), st.tuples(*[NUMBERS] * 5))
def test_a_name_tells_all_that_was_put_into_it(
    number: int, lo: int, hi: int | None, rest: tuple[int, int, int, int, int]
) -> None:
    page = PageName(number, lo, hi, *rest)
    assert PageName.decode(page.encode()) == page


def test_another_run_takes_over_the_pages_and_counts_on(lake: LocalStorage) -> None:
    first = store_of(lake)
    first.begin(HEADER)
    first.save(batch("ch_1", "ch_2"), 10, None, 11, 20, b"a note")
    first.save(batch("ch_3"), 5, 10, 6, 6, place=(first.new_chain(), 0))
    second = store_of(lake)
    assert second.resume("schema") == HEADER
    assert second.pages == first.pages
    assert second.new_chain() == first.new_chain()
    second.save(batch("ch_4"), 1, 5, 1, 1)
    assert {page.number for page in second.pages} == {1, 2, 3}
    rows = [ids for table in second.rows(second.pages, "charges", ["id"]) for ids in table.column("id").to_pylist()]
    assert rows == ["ch_4", "ch_3", "ch_1", "ch_2"]
    assert list(second.notes(second.pages)) == [b"a note"]


@pytest.mark.parametrize("damage", ["half", "empty", "other"])
def test_a_damaged_page_is_dropped_and_the_rest_kept(lake: LocalStorage, tmp_path: Path, damage: str) -> None:
    store = store_of(lake)
    store.begin(HEADER)
    store.save(batch("ch_1"), 10, 20, 11, 11)
    store.save(batch("ch_2"), 0, 10, 1, 1)
    file = min((tmp_path / "lake/.staging/pages/us/charges").glob("*.page"))
    good = file.read_bytes()
    file.write_bytes({"half": good[: len(good) // 2], "empty": b"", "other": good[:-1] + b"?"}[damage])
    again = store_of(lake)
    assert again.resume("schema") == HEADER
    assert [page.number for page in again.pages] == [2]


def test_pages_of_other_columns_or_without_a_header_are_forgotten(lake: LocalStorage) -> None:
    for schema in ("schema", None):
        store = store_of(lake)
        if schema:
            store.begin(HEADER)
        store.save(batch("ch_1"), 10, 20, 11, 11)
        assert store_of(lake).resume("a newer schema") is None
        assert lake.list(".staging/pages") == []


def test_a_table_without_rows_costs_nothing_and_a_cleared_store_is_empty(lake: LocalStorage) -> None:
    store = store_of(lake)
    store.begin(HEADER)
    store.save(batch("ch_1"), 10, 20, 11, 11)
    (page,) = store.pages
    assert set(store.load(page)) == {"charges"}
    store.clear()
    assert (store.pages, lake.list(".staging/pages")) == ([], [])


def test_a_header_survives_as_it_is(lake: LocalStorage) -> None:
    store_of(lake).begin(HEADER)
    blob = lake.read(".staging/pages/us/charges/listing.json")
    assert blob is not None
    assert msgspec.json.decode(blob.data, type=ListingHeader) == HEADER
