"""One writer per account and table of a lake: a file lock on this host and a heartbeat lease among hosts.

The file lock dies with its process, so a crash on this host never makes anyone wait. The lease, in the operations
database, keeps other hosts out; it beats in a thread, and whoever lost it is told by `check` before committing.
The last word has the conditional PUT of `storage`: should both fail, a commit conflicts, and no row is lost.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from redisu_pipeline.common.opsdb.lease_book import LeaseBook
from redisu_pipeline.common.opsdb.leases import Held, Holder
from redisu_pipeline.common.problems import Failed, Problem, Refusal
from redisu_pipeline.lake.local_storage import failures, make_folder
from redisu_pipeline.lake.storage import OBJECT_SCHEMES


@dataclass(frozen=True)
class Pace:
    """Seconds between heartbeats, and of silence after which a lease is anybody's."""

    beat: float = 5.0
    ttl: float = 15.0

    @property
    def late(self) -> float:
        """Silence that a living holder would not show: one missed beat."""
        return self.beat * 1.5


PACE: Final = Pace()


class WriterLock:
    """The right to write; made by `writer_lock`."""

    def __init__(self, book: LeaseBook, account: str, token: str, count: int, pace: Pace) -> None:
        self._book = book
        self._account = account
        self._token = token
        self._count = count
        self._pace = pace
        self._lost = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, name=f"lease-{account}", daemon=True)

    def check(self) -> None:
        """Call before each commit: raises Failed when the lease is no longer ours."""
        if not self._lost.is_set() and self._book.beat(self._token) != self._count:
            self._lost.set()
        if self._lost.is_set():
            message = "lost its lease (this process was suspended, or the database out of reach) and wrote nothing more"
            mend = "run again; it goes on where it was"
            raise Failed(Problem("lease_lost", f"account {self._account}", message, mend))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _keep_beating(self) -> None:
        heard = time.monotonic()
        while not self._stopped.wait(self._pace.beat):
            try:
                if self._book.beat(self._token) != self._count:
                    self._lost.set()
                    return
                heard = time.monotonic()
            except Refusal:
                # the database may be back before the lease runs out
                if time.monotonic() - heard > self._pace.ttl:
                    self._lost.set()
                    return


@contextmanager
def writer_lock(
    lake_uri: str, account: str, tables: Sequence[str], database_url: str, now: datetime, pace: Pace = PACE
) -> Iterator[WriterLock]:
    """Hold the right to write ``tables`` of ``account`` in the lake; two different tables may be written at once.

    Raises Failed at once, naming the holder, when one of them is being written; waits (at most ``pace.ttl`` seconds)
    for a lease of another host that has fallen silent. ``now`` is only shown to whoever is refused meanwhile.
    """
    holder = _Me(secrets.token_hex(16), socket.gethostname(), os.getpid(), now.astimezone(UTC))
    with ExitStack() as stack:
        wanted = {}
        for table in sorted(set(tables)):
            lock_file = stack.enter_context(_file_lock(_lock_folder(lake_uri), account, table, holder))
            wanted[_lease_name(lake_uri, account, table)] = f"{holder.host}:{lock_file}"
        book = LeaseBook(database_url)
        stack.callback(book.close)
        _acquire(book, account, wanted, holder, pace)
        stack.callback(_release, book, holder.token)
        lock = WriterLock(book, account, holder.token, len(wanted), pace)
        lock.start()
        stack.callback(lock.stop)
        yield lock


@dataclass(frozen=True)
class _Me:
    token: str
    host: str
    pid: int
    since: datetime


def _acquire(book: LeaseBook, account: str, wanted: Mapping[str, str], me: _Me, pace: Pace) -> None:
    holder = Holder(token=me.token, host=me.host, pid=me.pid, lock_file="", since=me.since)
    while True:
        # We have these file locks: a lease that goes with one of them belongs to a process that is gone.
        held = book.acquire(wanted, holder, pace.ttl, dead_locks=set(wanted.values()))
        if held is None:
            return
        if held.silent_for < pace.late:
            raise _busy(account, _table_of(held), held.holder.host, str(held.holder.pid), held.holder.since.isoformat())
        time.sleep(min(max(pace.ttl - held.silent_for, 0.01), pace.beat))


def _release(book: LeaseBook, token: str) -> None:
    try:
        book.release(token)
    except Refusal:
        return  # the lease runs out by itself; what was done is done


@contextmanager
def _file_lock(folder: Path, account: str, table: str, me: _Me) -> Iterator[str]:
    """Hold this host's lock file of one table; yields the file's identity. Raises Failed when it is taken."""
    path = folder / f"writer-{account}-{table.replace('/', '-')}.lock"
    with failures(str(folder)):
        make_folder(folder)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        with failures(str(path)):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _busy(account, table, *_written_by(path)) from None
            status = os.fstat(descriptor)
            owner = {"host": me.host, "pid": str(me.pid), "since": me.since.isoformat()}
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(owner).encode(), 0)
        yield f"{status.st_dev}:{status.st_ino}"
    finally:
        os.close(descriptor)


def _written_by(path: Path) -> tuple[str, str, str]:
    """Who wrote their name into the lock file; unknown in the instant before they do."""
    try:
        owner = json.loads(path.read_bytes())
        return owner["host"], owner["pid"], owner["since"]
    except (OSError, ValueError, KeyError):
        return socket.gethostname(), "unknown", "just now"


def _busy(account: str, table: str, host: str, pid: str, since: str) -> Failed:
    message = f"{table} is being synced by host {host} pid {pid} since {since}"
    return Failed(Problem("account_busy", f"account {account}", message, "wait until it ends, then run again"))


def _lock_folder(lake_uri: str) -> Path:
    parts = urlsplit(lake_uri)
    if parts.scheme in OBJECT_SCHEMES:
        return Path(tempfile.gettempdir()) / f"redisu-locks-{os.getuid()}" / _lake_key(lake_uri)
    return Path(unquote(parts.path) if parts.scheme == "file" else lake_uri).absolute() / ".locks"


def _lease_name(lake_uri: str, account: str, table: str) -> str:
    return f"{account}/{table}@{_lake_key(lake_uri)}"


def _table_of(held: Held) -> str:
    return held.name.partition("/")[2].partition("@")[0]


def _lake_key(lake_uri: str) -> str:
    """Names the lake in lease names: a hash, because a uri may be long."""
    parts = urlsplit(lake_uri)
    if parts.scheme in OBJECT_SCHEMES:
        name = lake_uri.rstrip("/").replace("s3a://", "s3://", 1)
    else:
        name = os.path.realpath(unquote(parts.path) if parts.scheme == "file" else lake_uri)
    return hashlib.sha256(name.encode()).hexdigest()[:16]
