"""A folder where one process builds files, removed when it is done with it, or by the next process if it was killed."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import weakref
from pathlib import Path
from typing import Final

_HELD: Final = ".held"


class Scratch:
    """A new folder under ``builds`` (which exists). A lock on its `.held` file says that its owner lives.

    Raises OSError when it cannot be made.
    """

    def __init__(self, builds: Path) -> None:
        self.folder = builds / f"{os.getpid()}-{secrets.token_hex(4)}"
        gate = os.open(builds / ".gate", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # One at a time: between mkdir and flock a new folder looks like a dead process's.
            fcntl.flock(gate, fcntl.LOCK_EX)
            self.folder.mkdir()
            held = os.open(self.folder / _HELD, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(held, fcntl.LOCK_EX)
            for other in builds.iterdir():
                if other.is_dir() and other != self.folder:
                    _remove_if_dead(other)
        finally:
            os.close(gate)
        weakref.finalize(self, _close, held, self.folder, os.getpid())


def _remove_if_dead(folder: Path) -> None:
    try:
        descriptor = os.open(folder / _HELD, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        _discard(folder)  # killed before it could lock
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _discard(folder)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)


def _discard(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _close(held: int, folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child must not clear its parent's files
        _discard(folder)
        os.close(held)
