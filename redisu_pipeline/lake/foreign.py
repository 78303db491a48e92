"""Files that redisu did not write, or that are not there: told and left alone, never overwritten, never passed over."""

import hashlib
from collections.abc import Container, Iterable
from pathlib import Path

from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.lake.manifest import FileEntry, Manifest
from redisu_pipeline.lake.storage import Storage


def sha256_of(file: Path) -> str:
    """Return the hash of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def refuse_missing(storage: Storage, manifest: Manifest, ours: Container[str]) -> None:
    """Raise Failed for a file of ``manifest`` that is missing or of another size, though nothing new falls in it.

    A cheap look (one listing) at what no hash is taken of: success must not hide a hole. ``ours`` are the paths that
    a cut-off run may have replaced before it could say so.
    """
    sizes = {e.path: e.size for e in storage.list(f"{manifest.area}/{manifest.table}/account={manifest.account}")}
    for entry in manifest.files:
        if entry.path not in sizes:
            raise Failed([_foreign(storage.uri(entry.path), _MISSING)])
        if sizes[entry.path] != entry.bytes and entry.path not in ours:
            raise Failed([_foreign(storage.uri(entry.path), _edited("size"))])


def refuse_edited(uri: str, file: Path | None, entry: FileEntry | None, ours: Iterable[str]) -> None:
    """Raise Failed unless the file about to be replaced has the manifest's hash or one a cut-off run meant to write."""
    if file is None:
        if entry is not None:
            raise Failed([_foreign(uri, _MISSING)])
        return
    refuse_other(uri, sha256_of(file), {*ours, *([entry.sha256] if entry else [])})


def refuse_other(uri: str, found: str, ours: Container[str]) -> None:
    """Raise Failed unless ``found``, the hash of the file at ``uri``, is one that we wrote or meant to write."""
    if found not in ours:
        raise Failed([_foreign(uri, _edited("hash"))])


_MISSING = "is in the manifest but not in the lake"


def _edited(what: str) -> str:
    return f"was not written by redisu (its {what} is not the manifest's)"


def _foreign(uri: str, fault: str) -> Problem:
    mend = "restore it from _history/, or move the table's folder and its manifest away and run sync --full"
    return Problem("foreign_file", uri, fault, mend)
