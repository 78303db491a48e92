"""The lake's files in any place: compare-and-swap, atomic replacement, copies, listings."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lake_places import FILE, built

from redisu_pipeline.lake.history import keep, purge
from redisu_pipeline.lake.storage import ABSENT, Conflict, Entry, Storage, open_storage

pytest_plugins = ("lake_places",)


def test_a_file_that_does_not_exist_has_no_content_no_tag_and_nothing_to_fetch(storage: Storage, tmp_path: Path):
    assert storage.read(FILE) is None
    assert storage.tag(FILE) is None
    assert storage.fetch(FILE, tmp_path) is None
    assert storage.list("") == []
    storage.delete(FILE)


def test_what_was_written_is_read_back_with_its_tag(storage: Storage):
    tag = storage.write(FILE, b"one", expect=ABSENT)
    blob = storage.read(FILE)
    assert blob is not None
    assert (blob.data, blob.tag) == (b"one", tag)
    assert storage.tag(FILE) == tag


def test_creating_a_file_that_exists_is_a_conflict_and_changes_nothing(storage: Storage):
    storage.write(FILE, b"one", expect=ABSENT)
    with pytest.raises(Conflict, match=r"data\.parquet"):
        storage.write(FILE, b"two", expect=ABSENT)
    assert storage.read(FILE).data == b"one"


def test_replacing_with_an_old_tag_is_a_conflict_even_when_the_content_is_the_same(storage: Storage):
    old = storage.write(FILE, b"one", expect=ABSENT)
    new = storage.write(FILE, b"two", expect=old)
    with pytest.raises(Conflict):
        storage.write(FILE, b"two", expect=old)
    assert storage.write(FILE, b"ten", expect=new) == storage.tag(FILE)


def test_replacing_a_file_that_has_gone_is_a_conflict(storage: Storage):
    tag = storage.write(FILE, b"one", expect=ABSENT)
    storage.delete(FILE)
    with pytest.raises(Conflict):
        storage.write(FILE, b"two", expect=tag)
    assert storage.read(FILE) is None


def test_publish_replaces_the_file_and_leaves_nothing_in_the_scratch_folder(storage: Storage, tmp_path: Path):
    first = storage.publish(FILE, built(storage, b"a" * 70_000), expect=ABSENT)
    second = storage.publish(FILE, built(storage, b"b" * 70_000), expect=first)
    with pytest.raises(Conflict):
        storage.publish(FILE, built(storage, b"c"), expect=first)
    file, tag = storage.fetch(FILE, tmp_path)
    assert file.read_bytes() == b"b" * 70_000
    assert tag == second
    assert [entry.path for entry in storage.list("stripe")] == [FILE]
    assert [name for name in os.listdir(storage.scratch()) if not name.startswith(".")] == []


def test_listing_is_by_folder_and_sorted(storage: Storage):
    for path in ("stripe/b/2", "stripe/b/1", "stripe/bb/1", ".staging/x/1"):
        storage.write_scratch(path, b"123")
    assert storage.list("stripe/b") == [Entry("stripe/b/1", 3), Entry("stripe/b/2", 3)]
    assert [e.path for e in storage.list(".staging/x")] == [".staging/x/1"]
    assert {e.path for e in storage.list("")} >= {"stripe/bb/1", "stripe/b/1"}
    storage.delete("stripe/b/1")
    assert storage.list("stripe/b") == [Entry("stripe/b/2", 3)]


def test_a_copy_keeps_the_content_when_the_source_is_replaced(storage: Storage):
    tag = storage.write(FILE, b"one", expect=ABSENT)
    storage.copy(FILE, "_history/kept")
    storage.copy(FILE, "_history/kept")
    storage.write(FILE, b"two", expect=tag)
    assert storage.read("_history/kept").data == b"one"
    with pytest.raises(FileNotFoundError):
        storage.copy("nothing", "_history/other")


def test_a_replaced_file_is_kept_by_its_time_and_hash_until_it_is_purged(storage: Storage):
    storage.write(FILE, b"one", expect=ABSENT)
    early, late = datetime(2026, 10, 1, 12, tzinfo=UTC), datetime(2026, 10, 3, tzinfo=UTC)
    kept = keep(storage, FILE, "ab12cd34" * 8, early)
    assert kept == "_history/stripe/invoices/account=us/month=2026-10/20261001T120000.000000Z-ab12cd34.parquet"
    keep(storage, FILE, "ff" * 32, late)
    assert keep(storage, "stripe/x/none", "ff" * 32, late) is None
    assert purge(storage, "invoices", "us", older_than=late) == 1
    assert [e.path.endswith("-ffffffff.parquet") for e in storage.list("_history")] == [True]


def test_probe_leaves_nothing_behind(storage: Storage):
    storage.probe()
    assert [e for e in storage.list(".staging") if "probe" in e.path] == []


def test_what_a_killed_probe_left_is_removed_by_the_next(storage: Storage, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as killed:
        killed.setattr(type(storage), "delete", lambda *_given: None)
        storage.probe()
    assert [e for e in storage.list(".staging") if "probe" in e.path] != []
    storage.probe()
    assert [e for e in storage.list(".staging") if "probe" in e.path] == []


def test_syncs_that_begin_at_once_probe_without_a_fault(storage: Storage):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: storage.probe(), range(40)))
    assert [e for e in storage.list(".staging") if "probe" in e.path] == []


def test_forty_increments_by_four_threads_lose_none(storage: Storage):
    storage.write("counter", b"0", expect=ABSENT)

    def increment(_: int) -> None:
        while True:
            blob = storage.read("counter")
            try:
                storage.write("counter", b"%d" % (int(blob.data) + 1), expect=blob.tag)
                return
            except Conflict:
                continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(increment, range(40)))
    assert storage.read("counter").data == b"40"


def add_rows(uri: str, name: str) -> None:
    storage = open_storage(uri)
    for row in range(10):
        while True:
            blob = storage.read("rows")
            file = storage.scratch() / "rows"
            file.write_bytes((blob.data if blob else b"") + f"{name}{row}\n".encode())
            try:
                storage.publish("rows", file, expect=blob.tag if blob else ABSENT)
                break
            except Conflict:
                continue


def test_two_processes_that_append_by_replacing_lose_no_row(uri: str):
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=add_rows, args=(uri, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    rows = open_storage(uri).read("rows").data.decode().split()
    assert sorted(rows) == sorted(f"{name}{row}" for name in "ab" for row in range(10))
