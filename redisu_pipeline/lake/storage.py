"""The lake as a set of named files with compare-and-swap: what every writer of the lake stands on.

Paths are lake-relative with "/". Two implementations: a folder (`local_storage`) and an object store
(`object_storage`). Here is only what they have in common; nothing here knows what a table is.

Failures of the place itself (not writable, disk full, bucket missing, credentials refused, network) are
`ConfigurationError` or `Failed` with one line naming the uri; a lost race is `Conflict`, the caller's to judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

from redisu_pipeline.common.problems import ConfigurationError, Problem

OBJECT_SCHEMES: Final = frozenset({"s3", "s3a", "gs", "abfs", "abfss", "az"})

PROBE: Final = ".staging/probe"
"""What `Storage.probe` writes and removes: one name, so that what a killed process left is removed by the next."""


class Expected(Enum):
    """What a writer expects to find when it does not name a tag."""

    ANY = "any"
    ABSENT = "absent"


ANY: Final = Expected.ANY
"""Replace whatever is there."""
ABSENT: Final = Expected.ABSENT
"""Only create: an existing file is a `Conflict`."""
Expectation: TypeAlias = str | Literal[Expected.ANY, Expected.ABSENT]


class Conflict(Exception):
    """Someone else wrote ``path`` first; nothing of ours was written."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"{uri} was changed by another writer")
        self.uri = uri


@dataclass(frozen=True)
class Blob:
    """A small file's content and the tag that names exactly this content's write."""

    data: bytes
    tag: str


@dataclass(frozen=True)
class Entry:
    """One file of a listing: lake-relative path and size in bytes."""

    path: str
    size: int


class Storage(Protocol):
    """Files of one lake. Safe to share between threads."""

    root: str
    """The lake's uri as people wrote it, without a trailing slash."""

    def uri(self, path: str) -> str:
        """``path`` as people (and other readers) open it."""

    def probe(self) -> None:
        """Write and remove one small file under .staging/: raises what a later write would, before hours of reading."""

    def read(self, path: str) -> Blob | None:
        """The file's content with its tag, or None when it does not exist."""

    def tag(self, path: str) -> str | None:
        """The file's current tag, or None when it does not exist."""

    def fetch(self, path: str, into: Path) -> tuple[Path, str] | None:
        """A local file to read (the lake's own when local, else a download into ``into``) and its tag."""

    def write(self, path: str, data: bytes, *, expect: Expectation) -> str:
        """Durable, atomic compare-and-swap of a small file; returns its new tag. Raises `Conflict`."""

    def write_scratch(self, path: str, data: bytes) -> None:
        """Atomic but not durable: page checkpoints under .staging/, which a power cut may cost."""

    def publish(self, path: str, built: Path, *, expect: Expectation) -> str:
        """Replace ``path`` by the finished local file ``built`` (which is gone afterwards). Raises `Conflict`."""

    def copy(self, source: str, target: str) -> None:
        """Keep ``source`` also as ``target``, durable and never half; an existing target is replaced.

        Raises FileNotFoundError when there is no source.
        """

    def list(self, prefix: str) -> list[Entry]:
        """Every file below the folder ``prefix`` ("" is the whole lake), sorted by path."""

    def delete(self, path: str) -> None:
        """Remove the file; absent is fine."""

    def scratch(self) -> Path:
        """Our own folder for building files before `publish`.

        Removed with the storage or, after a crash, by the next one.
        """


def open_storage(uri: str) -> Storage:
    """The lake at ``uri``: a folder, a file:// uri, or s3://, gs://, abfss:// (imported only when asked for).

    Nothing is read or written yet; raises ConfigurationError when ``uri`` cannot be a lake.
    """
    parts = urlsplit(uri)
    if parts.scheme in OBJECT_SCHEMES:
        from redisu_pipeline.lake.object_storage import open_object_storage

        return open_object_storage(uri)
    if parts.scheme == "file":
        return _folder(unquote(parts.path), uri)
    if "://" in uri or not uri.strip():
        raise ConfigurationError(
            Problem(
                "lake_uri",
                "lake.uri",
                f"{uri!r} is no place for a lake",
                "give a folder, s3://bucket/path, gs://bucket/path or abfss://container@account.dfs.core.windows.net/path",
            )
        )
    return _folder(uri, uri)


def _folder(folder: str, uri: str) -> Storage:
    from redisu_pipeline.lake.local_storage import LocalStorage

    if Path(folder).exists() and not Path(folder).is_dir():
        raise ConfigurationError(
            Problem("lake_not_a_folder", uri, "the lake is a file, not a folder", "set lake.uri to a folder")
        )
    return LocalStorage(folder)
