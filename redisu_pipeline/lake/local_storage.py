"""A lake in a folder: atomic replacement by rename, durability by fsync, compare-and-swap under a file lock.

Files are built in `.staging/build/<this process>/` on the same filesystem: a temporary file inside a table's folder
broke every reader that was tried. `.locks/` holds the lock files; both never match a reader's `**/*.parquet`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from redisu_pipeline.common.problems import ConfigurationError, Failed, Problem, Refusal
from redisu_pipeline.lake.scratch import Scratch
from redisu_pipeline.lake.storage import ABSENT, ANY, PROBE, Blob, Conflict, Entry, Expectation

_FULL: Final = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
_REFUSED: Final = {
    errno.EACCES: "is not writable for this user",
    errno.EPERM: "is not writable for this user",
    errno.EROFS: "lies on a read-only filesystem",
    errno.ENOENT: "cannot be created",
    errno.ENOTDIR: "is not a folder",
    errno.EEXIST: "is not a folder",
    errno.EISDIR: "is a folder where a file should be",
    errno.ENAMETOOLONG: "has a name that is too long",
}


class LocalStorage:
    """`Storage` in a local folder; nothing is created before the first write."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/") or "/"
        self._folder = Path(root).absolute()
        self._scratch: Scratch | None = None
        self._scratch_guard = threading.Lock()

    def uri(self, path: str) -> str:
        return f"{self.root}/{path}"

    def probe(self) -> None:
        self.write(PROBE, b"", expect=ANY)
        self.delete(PROBE)

    def read(self, path: str) -> Blob | None:
        with failures(self.uri(path)):
            try:
                with open(self._at(path), "rb") as file:
                    return Blob(file.read(), _tag(os.fstat(file.fileno())))
            except FileNotFoundError:
                return None

    def tag(self, path: str) -> str | None:
        with failures(self.uri(path)):
            try:
                return _tag(os.stat(self._at(path)))
            except FileNotFoundError:
                return None

    def fetch(self, path: str, into: Path) -> tuple[Path, str] | None:  # noqa: ARG002 - nothing to download
        # The tag is taken before anyone reads: should the file be replaced in between, the later
        # compare-and-swap sees an old tag and refuses, never the other way round.
        tag = self.tag(path)
        return None if tag is None else (self._at(path), tag)

    def write(self, path: str, data: bytes, *, expect: Expectation) -> str:
        return self.publish(path, self._build(path, data), expect=expect)

    def write_scratch(self, path: str, data: bytes) -> None:
        built = self._build(path, data)
        with failures(self.uri(path)):
            self._move(built, self._at(path))

    def publish(self, path: str, built: Path, *, expect: Expectation) -> str:
        target = self._at(path)
        with failures(self.uri(path)):
            try:
                _make_unmistakable(built)
                _sync(built)
                with self._swap_lock():
                    if expect is not ANY and self.tag(path) != (None if expect is ABSENT else expect):
                        raise Conflict(self.uri(path))
                    tag = _tag(os.stat(built))
                    self._move(built, target)
                _sync(target.parent)
            finally:
                built.unlink(missing_ok=True)
        return tag

    def copy(self, source: str, target: str) -> None:
        kept = self._at(target)
        if self.tag(source) is None:
            raise FileNotFoundError(self.uri(source))
        with failures(self.uri(target)):
            link = self.scratch() / f"{secrets.token_hex(8)}.copy"
            try:
                try:
                    # A published file is never changed in place, so a second name for it is a safe copy.
                    os.link(self._at(source), link)
                except OSError:  # filesystems without hard links
                    shutil.copyfile(self._at(source), link)
                    _sync(link)
                self._move(link, kept)
                _sync(kept.parent)
            finally:
                link.unlink(missing_ok=True)  # rename between two names of one file does nothing

    def list(self, prefix: str) -> list[Entry]:
        top = self._at(prefix) if prefix else self._folder
        entries = []
        with failures(self.uri(prefix)):
            for folder, _, names in os.walk(top, onerror=_unless_missing):
                for name in names:
                    file = Path(folder, name)
                    try:
                        entries.append(Entry(file.relative_to(self._folder).as_posix(), file.stat().st_size))
                    except FileNotFoundError:
                        continue  # deleted while we walked
        return sorted(entries, key=lambda entry: entry.path)

    def delete(self, path: str) -> None:
        file = self._at(path)
        with failures(self.uri(path)):
            file.unlink(missing_ok=True)
            for folder in file.parents:
                if folder == self._folder or not _remove_if_empty(folder):
                    return

    def scratch(self) -> Path:
        with self._scratch_guard:
            if self._scratch is None:
                builds = self._folder / ".staging" / "build"
                with failures(self.root):
                    make_folder(builds)
                    self._scratch = Scratch(builds)
            return self._scratch.folder

    def _at(self, path: str) -> Path:
        if not path or path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"not a path inside the lake: {path!r}")
        return self._folder / path

    def _build(self, path: str, data: bytes) -> Path:
        """``data`` as a new file in the scratch folder; a half-written one is removed."""
        with failures(self.uri(path)):
            built = self.scratch() / f"{secrets.token_hex(8)}.tmp"
            try:
                built.write_bytes(data)
            except OSError:
                built.unlink(missing_ok=True)
                raise
        return built

    def _move(self, built: Path, target: Path) -> None:
        for attempt in range(5):
            try:
                make_folder(target.parent)
                os.replace(built, target)
                return
            except FileNotFoundError:
                # `delete` of another file may take an empty folder away under us
                if attempt == 4 or not built.exists():
                    raise

    @contextmanager
    def _swap_lock(self) -> Iterator[None]:
        """Makes compare and rename one step, among threads and processes."""
        folder = self._folder / ".locks"
        make_folder(folder)
        descriptor = os.open(folder / "swap.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _tag(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"


def _make_unmistakable(built: Path) -> None:
    """Random digits below the millisecond of the file's time.

    The kernel's clock ticks every few ms, so two short files in one reused inode could otherwise bear the same tag.
    """
    status = os.stat(built)
    moment = status.st_mtime_ns - status.st_mtime_ns % 1_000_000 + secrets.randbelow(1_000_000)
    os.utime(built, ns=(status.st_atime_ns, moment))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create ``folder`` so that a power cut does not lose it: each new name is synced in its parent."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        os.mkdir(folder)
    except FileExistsError:
        if not folder.is_dir():
            raise
        return
    _sync(folder.parent)


def _remove_if_empty(folder: Path) -> bool:
    try:
        os.rmdir(folder)
    except OSError:
        return False
    return True


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


@contextmanager
def failures(uri: str) -> Iterator[None]:
    """Turn the operating system's refusals into one line that names the lake."""
    try:
        yield
    except OSError as error:
        raise _refusal(error, uri) from error


def _refusal(error: OSError, uri: str) -> Refusal:
    number = error.errno or 0
    where = uri if error.filename is None else f"{uri} ({error.filename})"
    if number in _FULL:
        return Failed(Problem("disk_full", uri, _FULL[number], "free space there and run again; nothing is lost"))
    if number == errno.EFBIG:
        mend = "raise the limit (ulimit -f) or use a filesystem that takes larger files; nothing is lost"
        return Failed(Problem("file_too_large", uri, "the file is larger than may be written here", mend))
    if number in _REFUSED:
        mend = "give this user write access there, or set lake.uri to a folder that is writable"
        return ConfigurationError(Problem("lake_not_writable", where, _REFUSED[number], mend))
    mend = "check the disk and run again; nothing is lost"
    return Failed(Problem("lake_unusable", where, error.strerror or type(error).__name__, mend))
