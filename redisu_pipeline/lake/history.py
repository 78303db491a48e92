"""What a file was before it was replaced: `_history/<path of the file, without its name>/<UTC stamp>-<sha8>.parquet`.

Outside every table's folder, so that no reader of a table meets an old version. Kept for `lake.history_days`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

from redisu_pipeline.lake.storage import ANY, Storage

_STAMP: Final = "%Y%m%dT%H%M%S.%fZ"
_STAMP_LENGTH: Final = len("20261027T061500.000000Z")


def keep(storage: Storage, path: str, sha256: str, now: datetime) -> str | None:
    """Keep the present content of ``path`` (whose hash the manifest knows) before it is replaced.

    Returns the kept file's path, or None when there is nothing to keep. ``now`` is aware.
    """
    if now.tzinfo is None:
        raise ValueError("history needs an aware time")
    file = PurePosixPath(path)
    stamp = now.astimezone(UTC).strftime(_STAMP)
    kept = f"_history/{file.parent}/{stamp}-{sha256[:8]}{file.suffix}"
    try:
        storage.copy(path, kept)
    except FileNotFoundError:
        return None
    return kept


def kept(storage: Storage, path: str, sha256: str) -> list[str]:
    """Return what was kept of ``path`` with this hash (by its first digits, so look again), the newest first."""
    file = PurePosixPath(path)
    entries = (entry.path for entry in storage.list(f"_history/{file.parent}"))
    return sorted((one for one in entries if one.endswith(f"-{sha256[:8]}{file.suffix}")), reverse=True)


def rewrite(storage: Storage, kept: str, built: Path, sha256: str) -> None:
    """Put the finished file ``built`` (of hash ``sha256``) in the place of the kept file; its stamp stays."""
    file = PurePosixPath(kept)
    renamed = f"{file.parent}/{file.name[:_STAMP_LENGTH]}-{sha256[:8]}{file.suffix}"
    storage.publish(renamed, built, expect=ANY)
    if renamed != kept:
        storage.delete(kept)


def purge(storage: Storage, table: str, account: str, older_than: datetime, area: str = "stripe") -> int:
    """Remove what was replaced before ``older_than``; returns how many files. Foreign files are left alone."""
    removed = 0
    for entry in storage.list(f"_history/{area}/{table}/account={account}"):
        replaced = _replaced_at(PurePosixPath(entry.path).name)
        if replaced is not None and replaced < older_than:
            storage.delete(entry.path)
            removed += 1
    return removed


def _replaced_at(name: str) -> datetime | None:
    try:
        return datetime.strptime(name[:_STAMP_LENGTH], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
