"""A list goes on while the nested lists of its pages are being followed, but not without bound; a failure ends it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from redisu_pipeline.common.problems import Problem
from redisu_pipeline.extract.listing import AHEAD, Listing
from redisu_pipeline.extract.ranges import Span, covered, gaps
from redisu_pipeline.extract.reader import CursorGone, Reader
from redisu_pipeline.extract.rows import Origins
from redisu_pipeline.lake.local_storage import LocalStorage
from redisu_pipeline.lake.pages import PageStore
from redisu_pipeline.tables.model import Column, Kind, Origin, Table
from redisu_pipeline.tables.sales import INVOICE_LINES, INVOICES

T = TypeVar("T")
PAGES = AHEAD + 8
MADE = 1_790_000_000
PATIENCE = 30


def least(table: Table, id: str) -> dict[str, Any]:
    """Return an object with nothing but what ``table`` requires."""
    made: dict[str, Any] = {"id": id}
    for column in table.columns:
        if column.origin is Origin.OBJECT and column.required:
            plant(made, column)
    return made


def plant(made: dict[str, Any], column: Column) -> None:
    *branches, leaf = column.path
    for branch in branches:
        made = made.setdefault(branch, {})
    values: dict[Kind, Any] = {Kind.TIME: MADE, Kind.FLAG: True}
    made.setdefault(leaf, values.get(column.kind, "usd" if column.kind is Kind.TEXT else 1))


def body(rows: list[dict[str, Any]], *, more: bool) -> bytes:
    return json.dumps({"object": "list", "data": rows, "has_more": more, "url": "/v1/x"}).encode()


class Source:
    """Invoices one a page, each with a second line on a page of its own, which comes when the gate is open."""

    def __init__(self) -> None:
        self.gate, self.full = threading.Event(), threading.Event()
        self.listed = self.followed = self.most = 0
        self.fault: Exception | None = None
        self._lock = threading.Lock()

    def expect(self, path: str, requests: float) -> None:
        """Hear how much is left; nothing here depends on it."""

    def get(self, table: str, path: str, parameters: Mapping[str, Any], parse: Callable[[bytes], T]) -> T:
        if table == INVOICE_LINES.name:
            assert self.gate.wait(PATIENCE)
            if self.fault is not None:
                raise self.fault
            with self._lock:
                self.followed += 1
            return parse(body([least(INVOICE_LINES, f"il_{path}_2")], more=False))
        with self._lock:
            number, self.listed = self.listed, self.listed + 1
            self.most = max(self.most, self.listed - self.followed)
            if self.listed > AHEAD:
                self.full.set()
        invoice = least(INVOICES.table, f"in_{number}")
        lines = {"data": [least(INVOICE_LINES, f"il_{number}_1")], "has_more": True, "url": f"{number}"}
        return parse(body([{**invoice, "lines": lines}], more=number + 1 < PAGES))


@contextmanager
def listing(source: Source, folder: Path) -> Iterator[tuple[Listing, PageStore]]:
    store = PageStore(LocalStorage(str(folder)), "us", INVOICES.name)
    origins = Origins("us", livemode=True, synced_at=datetime(2026, 11, 1, tzinfo=UTC))
    with ThreadPoolExecutor(AHEAD + 8) as pool, ThreadPoolExecutor(4) as followers:
        reader = cast(Reader, source)
        yield Listing(INVOICES, reader, pool, followers, store, lambda: origins, lambda *_: None), store


def test_a_list_goes_on_while_nested_lists_are_followed_up_to_a_bound(tmp_path: Path) -> None:
    source = Source()
    with listing(source, tmp_path) as (invoices, store), ThreadPoolExecutor(1) as beside:
        reading = beside.submit(invoices.list, [Span(MADE, None)])
        try:
            assert source.full.wait(PATIENCE)  # no nested list has been answered yet
        finally:
            source.gate.set()
        reading.result(PATIENCE)
    assert source.most <= AHEAD + 1  # one more has been read and waits for its place
    assert (source.listed, source.followed) == (PAGES, PAGES)
    rows = {
        table: [len(one) for one in store.rows(store.pages, table, ["id"])] for table in ("invoices", "invoice_lines")
    }
    assert rows == {"invoices": [1] * PAGES, "invoice_lines": [2] * PAGES}


def test_a_nested_list_that_fails_ends_the_list(tmp_path: Path) -> None:
    source = Source()
    source.fault = RuntimeError("the nested list")
    source.gate.set()
    with listing(source, tmp_path) as (invoices, store):
        with pytest.raises(RuntimeError, match="the nested list"):
            invoices.list([Span(MADE, None)])
        assert store.pages == []


class Torn(Source):
    """As Source, but every invoice was made in a second of its own, and only the ``broken`` one has a second line."""

    def __init__(self, broken: int) -> None:
        super().__init__()
        self.broken = broken

    def get(self, table: str, path: str, parameters: Mapping[str, Any], parse: Callable[[bytes], T]) -> T:
        if table == INVOICE_LINES.name:
            assert self.gate.wait(PATIENCE)
            raise RuntimeError("the nested list")
        made = parameters["created"]
        newest = min(made.get("lt", MADE + 6), MADE + 6) - 1
        second = newest if "starting_after" not in parameters else int(parameters["starting_after"][3:]) - 1
        if second == MADE:
            self.gate.set()
        lines = {"data": [least(INVOICE_LINES, f"il_{second}")], "has_more": second == self.broken, "url": "lines"}
        invoice = {**least(INVOICES.table, f"in_{second}"), "created": second, "lines": lines}
        return parse(body([invoice], more=second > made["gte"]))


@pytest.mark.parametrize("broken", range(MADE + 1, MADE + 6))
def test_a_page_lost_while_the_next_one_was_kept_is_read_again(tmp_path: Path, broken: int) -> None:
    source = Torn(broken)
    with listing(source, tmp_path) as (invoices, store):
        with pytest.raises(RuntimeError, match="the nested list"):
            invoices.list([Span(MADE, None)])
        kept = {name for rows in store.rows(store.pages, "invoices", ["id"]) for name in rows["id"].to_pylist()}
        assert f"in_{broken}" not in kept
    source.broken = 0
    with listing(source, tmp_path) as (invoices, after):
        invoices.list(gaps(MADE, covered(store.pages)))
        again = {name for rows in after.rows(after.pages, "invoices", ["id"]) for name in rows["id"].to_pylist()}
    assert kept | again == {f"in_{second}" for second in range(MADE, MADE + 6)}


class Fading(Torn):
    """As Torn, but the object on each page is deleted once it has been shown: no cursor is known any more."""

    def __init__(self) -> None:
        super().__init__(broken=0)
        self.asked: list[Mapping[str, Any]] = []
        self.shown = MADE + 5

    def get(self, table: str, path: str, parameters: Mapping[str, Any], parse: Callable[[bytes], T]) -> T:
        self.asked.append(parameters)
        if "starting_after" in parameters:
            self.shown -= 1
            raise CursorGone(Problem("stripe_refused", table, "No such invoice", ""))
        return super().get(table, path, {**parameters, "created": {"gte": MADE, "lt": self.shown + 1}}, parse)


def test_a_list_goes_on_by_time_when_the_object_it_stood_at_was_deleted(tmp_path: Path) -> None:
    source = Fading()
    with listing(source, tmp_path) as (invoices, store):
        invoices.list([Span(MADE, None)])
        kept = [name for rows in store.rows(store.pages, "invoices", ["id"]) for name in rows["id"].to_pylist()]
    # The second of the deleted object may hold others: it is asked for again.
    assert source.asked[2]["created"] == {"gte": MADE, "lt": MADE + 6}
    assert sorted(kept) == [f"in_{second}" for second in range(MADE, MADE + 6)]
    assert gaps(MADE, covered(store.pages)) == []
