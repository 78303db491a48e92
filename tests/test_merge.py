"""Pages merged into a month's file give what a dict would hold: newest reading, sorted, no duplicate."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import Failed
from redisu_pipeline.extract.decode import open_page
from redisu_pipeline.extract.rows import Origins
from redisu_pipeline.lake import merge
from redisu_pipeline.lake.local_storage import LocalStorage
from redisu_pipeline.lake.merge import Inputs, MonthFile, rewrite, survey
from redisu_pipeline.lake.pages import PageStore
from redisu_pipeline.tables.registry import RESOURCE_OF

MARCH = Month(2026, 3)
LO, HI = MARCH.unix("UTC")
INVOICES = RESOURCE_OF["invoices"].table
GONE = datetime(2026, 3, 30, tzinfo=UTC)

# A world of few ids: they meet each other. An id's second never changes; a version is what differs between readings.
invoice_ids = st.integers(0, 11)
readings = st.tuples(invoice_ids, st.integers(0, 3), st.lists(st.integers(0, 3), max_size=3, unique=True))
pages = st.lists(readings, min_size=1, max_size=5, unique_by=lambda one: one[0])


def made_at(number: int) -> int:
    """Some share a second, two stand outside the month."""
    return {10: LO - 1, 11: HI}.get(number, LO + number // 2 * 1_000)


def invoice(number: int, version: int, lines: list[int]) -> dict[str, Any]:
    data = [
        {"id": f"il_{number}_{n}", "amount": n, "currency": "usd", "livemode": True, "taxes": [{"amount": version}]}
        for n in lines
    ]
    head = {"id": f"in_{number}", "created": made_at(number), "livemode": True, "currency": "usd"}
    return {**head, "subtotal": version, "total": version, "lines": {"data": data, "has_more": False}}


class Lab:
    """A month of invoices with their lines in a folder, and a way to merge pages into it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, PageStore(LocalStorage(str(folder / "lake")), "us", "invoices")
        self.when = count(1)

    def read(self, page: list[tuple[int, int, list[int]]]) -> None:
        body = json.dumps({"data": [invoice(*one) for one in page], "has_more": False}).encode()
        opened = open_page(INVOICES, body)
        origins = Origins("us", livemode=True, synced_at=datetime.fromtimestamp(next(self.when), UTC))
        self.store.save(opened.batches(origins), 0, 0, min(opened.created), max(opened.created))

    def land(self, gone: dict[str, datetime] | None = None) -> dict[str, merge.Tally]:
        tallies = {}
        for table in INVOICES.family():
            file = self.folder / f"{table.name}.parquet"
            existing = MonthFile(table, file if file.exists() else None)
            inputs = Inputs(table, LO, HI, merge.Staged(self.store, INVOICES), existing, gone or {})
            looked = survey(inputs)
            built = self.folder / "building"
            tallies[table.name] = rewrite(inputs, built, iter(()))
            existing.close()
            assert (looked.new, looked.changed, looked.removed) == _counts(tallies[table.name])
            built.replace(file)
        self.store.clear()
        return tallies

    def rows(self, table: str) -> list[dict[str, Any]]:
        return pq.ParquetFile(self.folder / f"{table}.parquet").read().to_pylist()


def _counts(tally: merge.Tally) -> tuple[int, int, int]:
    return tally.new, tally.changed, tally.removed


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


sequences = given(st.lists(st.lists(pages, min_size=1, max_size=3), min_size=1, max_size=3), st.integers(1, 4))


@settings(max_examples=12)
@sequences
def test_any_sequence_of_pages_over_any_file_equals_a_dict(runs: list[list[Any]], zone: int) -> None:
    equals_a_dict(runs, zone)


@pytest.mark.long
@settings(max_examples=100)
@sequences
def test_a_hundred_sequences_of_pages_equal_a_dict(runs: list[list[Any]], zone: int) -> None:
    equals_a_dict(runs, zone)


def equals_a_dict(runs: list[list[Any]], zone: int) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "ZONE_ROWS", zone)
        lab, model = Lab(Path(folder)), dict[int, tuple[int, list[int]]]()
        for run in runs:
            before = dict(model)
            for page in run:
                lab.read(page)
                model.update({number: (version, lines) for number, version, lines in page})
            tallies = lab.land()
            inside = {n: one for n, one in model.items() if LO <= made_at(n) < HI}
            was = {n: one for n, one in before.items() if n in inside}
            assert tallies["invoices"].new == len(inside.keys() - was.keys())
            assert tallies["invoices"].changed == sum(was[n] != inside[n] for n in was)
            rows = lab.rows("invoices")
            assert {row["id"]: row["total"] for row in rows} == {f"in_{n}": v for n, (v, _) in inside.items()}
            assert len(rows) == len(inside) == tallies["invoices"].rows
            assert [row["created"] for row in rows] == sorted(row["created"] for row in rows)
            lines = lab.rows("invoice_lines")
            wanted = [
                (f"in_{n}", p, f"il_{n}_{line}") for n, (_, many) in inside.items() for p, line in enumerate(many)
            ]
            assert sorted((row["invoice"], row["position"], row["id"]) for row in lines) == sorted(wanted)
            taxes = lab.rows("invoice_taxes")
            wanted_taxes = {f"il_{n}_{line}:0": v for n, (v, many) in inside.items() for line in many}
            assert {row["id"]: row["amount"] for row in taxes} == wanted_taxes
            assert len(taxes) == len(wanted_taxes)
            sums = tallies["invoices"].sums.get("total", {}).get("usd", 0)
            assert sums == sum(version for version, _ in inside.values())


def test_of_two_readings_of_one_object_the_later_one_stays(lab: Lab) -> None:
    lab.read([(1, 1, [0, 1])])
    lab.read([(1, 2, [1])])
    lab.land()
    assert [row["total"] for row in lab.rows("invoices")] == [2]
    assert [row["id"] for row in lab.rows("invoice_lines")] == ["il_1_1"]


def test_what_came_back_equal_keeps_its_moment_and_the_rest_gets_a_new_one(lab: Lab) -> None:
    lab.read([(1, 1, []), (3, 1, [])])
    lab.land()
    lab.read([(1, 1, []), (3, 2, [])])
    tally = lab.land()["invoices"]
    assert _counts(tally) == (0, 1, 0)
    assert [row["_synced_at"].second for row in lab.rows("invoices")] == [1, 2]


def test_gone_objects_are_marked_with_their_lines_and_a_return_takes_the_mark_away(lab: Lab) -> None:
    lab.read([(1, 1, [0]), (3, 1, [0])])
    lab.land()
    lab.land({"in_1": GONE})
    for table in ("invoices", "invoice_lines", "invoice_taxes"):
        assert [row["_deleted_at"] for row in lab.rows(table)] == [GONE, None]
    assert _counts(lab.land({"in_1": GONE})["invoices"]) == (0, 0, 0)
    lab.read([(1, 1, [0])])
    assert _counts(lab.land()["invoice_lines"]) == (0, 1, 0)
    assert [row["_deleted_at"] for row in lab.rows("invoice_taxes")] == [None, None]


def test_no_second_stands_in_two_row_groups(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "ZONE_ROWS", 1)
    lab.read([(number, 1, [0, 1, 2]) for number in range(10)])
    lab.land()
    file = pq.ParquetFile(lab.folder / "invoice_lines.parquet")
    groups = [set(file.read_row_group(n).column("created").to_pylist()) for n in range(file.num_row_groups)]
    assert len(groups) > 1
    assert all(one.isdisjoint(two) for n, one in enumerate(groups) for two in groups[n + 1 :])


def test_a_column_that_is_new_is_null_in_old_rows(lab: Lab) -> None:
    lab.read([(1, 1, [])])
    lab.land()
    file = lab.folder / "invoices.parquet"
    pq.write_table(pq.ParquetFile(file).read().drop_columns(["number"]), file)
    lab.read([(3, 1, [])])
    lab.land()
    assert [row["number"] for row in lab.rows("invoices")] == [None, None]


def test_a_type_change_is_refused_with_the_column_s_name(lab: Lab) -> None:
    lab.read([(1, 1, [])])
    lab.land()
    file = lab.folder / "invoices.parquet"
    rows = pq.ParquetFile(file).read()
    index = rows.schema.get_field_index("total")
    pq.write_table(rows.set_column(index, "total", rows.column("total").cast(pa.string())), file)
    with pytest.raises(Failed, match=r"invoices\.total"):
        MonthFile(INVOICES, file)
