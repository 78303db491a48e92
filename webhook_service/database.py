"""The operations database as the service uses it: many readers, and one writer thread that shares each commit.

A commit costs a disk's fsync, so work that arrives while one is under way waits and goes into the next (group
commit). What a caller is told happened is durable.
"""

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import SQLAlchemyError

from redisu_pipeline.common.opsdb.engine import open_engine, reading
from redisu_pipeline.common.opsdb.migrate import ensure_engine_current
from webhook_service.inbox import Received, keep

T = TypeVar("T")
Work = Callable[[Connection], Any]
MOST_A_COMMIT: Final = 1000
CROWD: Final = 6
"""Events in one commit from which on more are surely coming: waiting a moment for them saves commits."""
LINGER_SECONDS: Final = 0.002
CHECKPOINT_SECONDS: Final = 0.5
LONGEST_LOG_PAGES: Final = 16_384
"""64 MB: a log that never rests cannot start anew by itself."""


class Unavailable(Exception):
    """The database took nothing; what was to be stored is not."""


class Database:
    """Open until `close`. Raises ConfigurationError when it is of another revision than ours or cannot be used."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = open_engine(url)
        try:
            ensure_engine_current(self.engine, url)
        except BaseException:
            self.engine.dispose()
            raise
        self._checkpoints = None if self.is_shared else _Checkpoints(self.engine)
        self._reading = reading(self.engine)
        self._writer = _Writer(self._commit)

    @property
    def is_shared(self) -> bool:
        """Whether several processes may serve from it at once."""
        return self.engine.dialect.name != "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading only; on SQLite it does not wait for the writer."""
        with self._reading.begin() as connection:
            yield connection

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction and return its result once that is durable.

        It may share the commit with others and may be run a second time, so it must do nothing but database work.
        """
        future: Future[T] = Future()
        self._writer.take(_Task(work, future))
        return future.result()

    async def store(self, received: Received) -> bool:
        """Keep an event and the job it asks for; True when it is new. Raises Unavailable when it is not stored."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        self._writer.take(_Arrival(received, future, loop))
        return await future

    def arrived(self) -> int:
        """How many events have come so far."""
        return self._writer.arrived

    def close(self) -> None:
        """Commit what waits, then let go."""
        self._writer.close()
        if self._checkpoints is not None:
            self._checkpoints.close()
        self.engine.dispose()

    def _commit(self, arrivals: Sequence["_Arrival"], tasks: Sequence["_Task"]) -> None:
        try:
            with self.engine.begin() as connection:
                new = keep(connection, [arrival.event for arrival in arrivals]) if arrivals else set()
                results = [task.work(connection) for task in tasks]
        except Exception as error:  # noqa: BLE001  (whatever it is, each waiter must hear of it)
            self._commit_apart(arrivals, tasks, error)
            return
        _tell(arrivals, new)
        for task, result in zip(tasks, results, strict=True):
            task.future.set_result(result)

    def _commit_apart(self, arrivals: Sequence["_Arrival"], tasks: Sequence["_Task"], error: Exception) -> None:
        """One piece of work failed (or met another process's lock): each by itself, so that only that one fails."""
        if len(arrivals) + len(tasks) == 1:
            _refuse(arrivals, error)
            for task in tasks:
                task.future.set_exception(error)
            return
        if arrivals:
            try:
                with self.engine.begin() as connection:
                    new = keep(connection, [arrival.event for arrival in arrivals])
            except SQLAlchemyError as failure:
                _refuse(arrivals, failure)
            else:
                _tell(arrivals, new)
        for task in tasks:
            self._commit((), (task,))


class _Task:
    __slots__ = ("future", "work")

    def __init__(self, work: Work, future: "Future[Any]") -> None:
        self.work, self.future = work, future


class _Arrival:
    __slots__ = ("event", "future", "loop")

    def __init__(self, event: Received, future: "asyncio.Future[bool]", loop: asyncio.AbstractEventLoop) -> None:
        self.event, self.future, self.loop = event, future, loop


def _tell(arrivals: Sequence[_Arrival], new: set[str]) -> None:
    """Answer every waiter with one call into the event loop: a call for each would cost more than the commit."""

    def settle() -> None:
        for arrival in arrivals:
            if not arrival.future.done():
                arrival.future.set_result(arrival.event.id in new)

    if arrivals:
        arrivals[0].loop.call_soon_threadsafe(settle)


def _refuse(arrivals: Sequence[_Arrival], error: Exception) -> None:
    def settle() -> None:
        for arrival in arrivals:
            if not arrival.future.done():
                arrival.future.set_exception(Unavailable(type(error).__name__))

    if arrivals:
        arrivals[0].loop.call_soon_threadsafe(settle)


class _Checkpoints:
    """Moves SQLite's write-ahead log into the database beside the writer: within a commit it would make events wait."""

    def __init__(self, engine: Engine) -> None:
        self._path = str(engine.url.database)
        self._closing = threading.Event()
        event.listen(engine, "connect", _without_checkpoints)
        engine.dispose()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        with closing(sqlite3.connect(self._path, timeout=5)) as connection:
            while not self._closing.wait(CHECKPOINT_SECONDS):
                # When the disk is full or busy the log only grows; the writer is who must say so.
                with suppress(sqlite3.Error):
                    _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                    if pages > LONGEST_LOG_PAGES:
                        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _without_checkpoints(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA wal_autocheckpoint=0").close()


class _Writer:
    """A thread that hands everything that waits to ``commit``, again and again."""

    def __init__(self, commit: Callable[[Sequence[_Arrival], Sequence[_Task]], None]) -> None:
        self._commit = commit
        self._arrivals: deque[_Arrival] = deque()
        self._tasks: deque[_Task] = deque()
        self._ready = threading.Condition()
        self._closed = False
        self.arrived = 0
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def take(self, item: _Arrival | _Task) -> None:
        with self._ready:
            if self._closed:
                raise Unavailable("closed")
            if isinstance(item, _Arrival):
                self._arrivals.append(item)
                self.arrived += 1
            else:
                self._tasks.append(item)
            self._ready.notify()

    def close(self) -> None:
        with self._ready:
            self._closed = True
            self._ready.notify()
        self._thread.join()

    def _run(self) -> None:
        crowd = 0
        while True:
            if crowd >= CROWD:
                time.sleep(LINGER_SECONDS)
            with self._ready:
                while not (self._arrivals or self._tasks or self._closed):
                    self._ready.wait()
                if not (self._arrivals or self._tasks):
                    return
                arrivals = [self._arrivals.popleft() for _ in range(min(len(self._arrivals), MOST_A_COMMIT))]
                tasks = [self._tasks.popleft() for _ in range(min(len(self._tasks), MOST_A_COMMIT))]
            self._commit(arrivals, tasks)
            crowd = len(arrivals)
