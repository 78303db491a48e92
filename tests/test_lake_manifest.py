"""Manifests: readable, deterministic, replaced by compare-and-swap, and refused in one line when damaged."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from redisu_pipeline.common.problems import Failed
from redisu_pipeline.lake.manifest import (
    Cursor,
    FileEntry,
    Manifest,
    RunProof,
    decode_manifest,
    encode_manifest,
    manifest_path,
    read_manifest,
    write_manifest,
)
from redisu_pipeline.lake.storage import ABSENT, Conflict, Storage, open_storage

RUN = RunProof(id="r1", started="2026-11-01T00:00:00Z", finished="2026-11-01T00:01:00Z", requests=3, minimum=3, new=2)
DATA = FileEntry(
    path="stripe/charges/account=us/month=2026-10/data.parquet",
    month="2026-10",
    rows=2,
    sha256="ab" * 32,
    bytes=2048,
    sums={"amount": {"usd": 39_800, "jpy": -5}, "amount_refunded": {"usd": 0}},
    created_min=1_790_000_000,
    created_max=1_790_000_001,
    open_rows=1,
)
MANIFEST = Manifest(
    table="charges",
    account="us",
    columns={"id": "string", "amount": "int64"},
    files=[DATA],
    rows=2,
    sums=DATA.sums,
    cursor=Cursor(events_seq=7, newest_created=1_790_000_001, complete_until="2026-11-01T00:00:00Z"),
    run=RUN,
)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(str(tmp_path / "lake"))


def put(storage: Storage, data: bytes) -> None:
    storage.write(manifest_path("charges", "us"), data, expect=ABSENT)


def test_before_the_first_commit_there_is_no_manifest_and_no_tag(storage: Storage):
    assert read_manifest(storage, "charges", "us") == (None, None)


def test_a_manifest_comes_back_as_it_was_written(storage: Storage):
    tag = write_manifest(storage, MANIFEST, ABSENT)
    assert read_manifest(storage, "charges", "us") == (MANIFEST, tag)
    assert storage.list("_manifest")[0].path == "_manifest/stripe/charges/account=us.json"


def test_netsuite_manifests_stand_beside_stripes(storage: Storage):
    lines = msgspec.structs.replace(MANIFEST, area="netsuite", table="journal_lines")
    write_manifest(storage, lines, ABSENT)
    assert read_manifest(storage, "journal_lines", "us", "netsuite")[0] == lines
    assert read_manifest(storage, "journal_lines", "us") == (None, None)


def test_of_two_writers_the_second_is_refused(storage: Storage):
    tag = write_manifest(storage, MANIFEST, ABSENT)
    write_manifest(storage, msgspec.structs.replace(MANIFEST, rows=3), tag)
    with pytest.raises(Conflict):
        write_manifest(storage, msgspec.structs.replace(MANIFEST, rows=4), tag)
    assert read_manifest(storage, "charges", "us")[0].rows == 3


def test_equal_manifests_are_equal_bytes_whatever_order_their_sums_were_added_in():
    other = msgspec.structs.replace(
        MANIFEST, sums={"amount_refunded": {"usd": 0}, "amount": {"jpy": -5, "usd": 39_800}}
    )
    assert encode_manifest(other) == encode_manifest(MANIFEST)


def test_people_can_read_it():
    text = encode_manifest(MANIFEST).decode()
    assert text.count("\n") > 40
    assert list(json.loads(text))[:4] == ["version", "area", "table", "account"]
    assert json.loads(text)["files"][0]["sums"]["amount"]["usd"] == 39_800


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff\xfe", b"[]", b'{"version": 1}', encode_manifest(MANIFEST).replace(b'"rows": 2', b'"rows": "2"')],
    ids=["empty", "cut-off", "no-text", "no-object", "fields-missing", "rows-as-text"],
)
def test_a_damaged_manifest_is_refused_in_one_line_that_names_it(storage: Storage, data: bytes):
    put(storage, data)
    with pytest.raises(Failed) as caught:
        read_manifest(storage, "charges", "us")
    assert str(caught.value).startswith(storage.uri(manifest_path("charges", "us")))
    assert "\n" not in str(caught.value)
    assert "redisu sync --full" in str(caught.value)


def test_a_manifest_of_a_newer_program_is_called_newer_and_not_damaged(storage: Storage):
    put(storage, b'{"version": 2, "something": "new"}')
    with pytest.raises(Failed, match="version 2 is not version 1"):
        read_manifest(storage, "charges", "us")


def test_a_field_this_program_does_not_know_is_not_dropped_silently():
    data = encode_manifest(MANIFEST).replace(b'"rows": 2', b'"surprise": 1, "rows": 2', 1)
    with pytest.raises(Failed, match="surprise"):
        decode_manifest(data, "lake/x")


def test_another_tables_manifest_in_this_ones_place_is_refused(storage: Storage):
    put(storage, encode_manifest(msgspec.structs.replace(MANIFEST, account="il")))
    with pytest.raises(Failed, match="manifest of stripe/charges account il"):
        read_manifest(storage, "charges", "us")
