"""Manifests: what one account's part of one table consists of, and how far it is complete.

`_manifest/<area>/<table>/account=<account>.json`, written after the data by compare-and-swap. It is for people as
much as for the writer: pretty-printed, same content always the same bytes. Money sums are minor units by currency.
"""

from __future__ import annotations

from typing import Final

import msgspec

from redisu_pipeline.common.decoders import decode
from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.lake.storage import Expectation, Storage

MANIFEST_VERSION: Final = 1

Sums = dict[str, dict[str, int]]
"""column -> currency -> minor units."""


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One data file: its lake-relative path, content hash and totals. ``created_*`` are unix seconds UTC."""

    path: str
    month: str
    rows: int
    sha256: str
    bytes: int
    sums: Sums = {}
    created_min: int | None = None
    created_max: int | None = None
    open_rows: int = 0
    """Rows whose object may still change (a draft invoice, a pending transaction)."""


class Cursor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Position of one (account, table) in its sources; moved only together with its data."""

    events_seq: int = 0
    newest_created: int | None = None
    complete_until: str | None = None
    listed_from: int | None = None
    extra: dict[str, str] = {}


class RunProof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The run that wrote this manifest; ``started`` and ``finished`` are ISO-8601 UTC."""

    id: str
    started: str
    finished: str
    requests: int = 0
    minimum: int = 0
    new: int = 0
    changed: int = 0
    deleted: int = 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole truth about one account's part of one table; ``columns`` is name -> type as text."""

    version: int = MANIFEST_VERSION
    area: str = "stripe"
    table: str
    account: str
    columns: dict[str, str]
    files: list[FileEntry]
    rows: int
    sums: Sums = {}
    cursor: Cursor
    run: RunProof


def manifest_path(table: str, account: str, area: str = "stripe") -> str:
    """Where the manifest lies in the lake."""
    return f"_manifest/{area}/{table}/account={account}.json"


def encode_manifest(manifest: Manifest) -> bytes:
    """Readable JSON; equal manifests give equal bytes (mapping keys sorted, fields in declared order)."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2) + b"\n"


def decode_manifest(data: bytes, uri: str) -> Manifest:
    """The manifest in ``data``; raises Failed naming ``uri`` when it is no manifest of this version."""
    try:
        head = decode(data, _Head)
        if head.version != MANIFEST_VERSION:
            raise Failed(
                Problem(
                    "manifest_version",
                    uri,
                    f"manifest version {head.version} is not version {MANIFEST_VERSION} of this program",
                    "run the version of redisu that wrote this lake, or a newer one",
                )
            )
        return decode(data, Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Failed(
            Problem(
                "manifest_unreadable",
                uri,
                f"manifest cannot be read ({error})",
                "restore the file from a backup, or move it and the table's folder away and run `redisu sync --full`",
            )
        ) from error


def read_manifest(
    storage: Storage, table: str, account: str, area: str = "stripe"
) -> tuple[Manifest | None, str | None]:
    """The table's manifest and the tag to expect when replacing it; (None, None) before the first commit.

    Raises Failed when it is damaged, of another version, or another table's.
    """
    path = manifest_path(table, account, area)
    blob = storage.read(path)
    if blob is None:
        return None, None
    manifest = decode_manifest(blob.data, storage.uri(path))
    if (manifest.area, manifest.table, manifest.account) != (area, table, account):
        raise Failed(
            Problem(
                "manifest_misplaced",
                storage.uri(path),
                f"is the manifest of {manifest.area}/{manifest.table} account {manifest.account}",
                "put it back where it belongs, and restore this one from a backup",
            )
        )
    return manifest, blob.tag


def write_manifest(storage: Storage, manifest: Manifest, expect: Expectation) -> str:
    """Replace the table's manifest and return its new tag; raises `Conflict` when another writer came first."""
    path = manifest_path(manifest.table, manifest.account, manifest.area)
    return storage.write(path, encode_manifest(manifest), expect=expect)


class _Head(msgspec.Struct):
    """Only the version: read first, so that a newer manifest is called newer and not damaged."""

    version: int
