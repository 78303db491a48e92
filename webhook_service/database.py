"""The operations database as the service uses it: many readers, and one writer thread that shares each commit.

A commit costs a disk's fsync, so work that arrives while one is under way waits and goes into the next (group
commit). What a caller is told happened is durable.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from redisu_pipeline.common.opsdb.engine import open_engine, reading
from redisu_pipeline.common.opsdb.migrate import ensure_engine_current
from webhook_service.checkpoints import Checkpoints
from webhook_service.inbox import AT_ONCE, Received, keep

T = TypeVar("T")
Work = Callable[[Connection], Any]
MOST_A_COMMIT: Final = AT_ONCE
CROWD: Final = 6
"""Events in one commit from which on more are surely coming: waiting a moment for them saves commits."""
LINGER_SECONDS: Final = 0.001
RESTED_SECONDS: Final = 1.0
"""After that the writer asks whether its connection still lives, as the pool does: the server may have restarted."""


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
        self._checkpoints = None if self.is_shared else Checkpoints(self.engine)
        self._reading = reading(self.engine)
        self._held: Connection | None = None
        self._held_at = 0.0
        self._writer = _Writer(self._round)

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
        if self._held is not None:
            self._held.close()
        if self._checkpoints is not None:
            self._checkpoints.close()
        self.engine.dispose()

    def _round(self, arrivals: Sequence["_Arrival"], tasks: Sequence["_Task"]) -> None:
        self._commit(arrivals, tasks)
        if self._checkpoints is not None:
            self._checkpoints.finish()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """The writer's transaction, on a connection that it keeps while it is busy.

        A pool's round of giving, asking whether it lives, and taking back costs a third of a small commit.
        """
        connection, self._held = self._held, None
        if connection is not None and time.monotonic() - self._held_at > RESTED_SECONDS:
            connection.close()
            connection = None
        if connection is None:
            connection = self.engine.connect()
        try:
            with connection.begin():
                yield connection
        except BaseException:
            connection.close()
            raise
        self._held, self._held_at = connection, time.monotonic()

    def _commit(self, arrivals: Sequence["_Arrival"], tasks: Sequence["_Task"]) -> None:
        was_held = self._held is not None
        try:
            with self._transaction() as connection:
                new = keep(connection, [arrival.event for arrival in arrivals]) if arrivals else set()
                results = [task.work(connection) for task in tasks]
        except Exception as error:  # noqa: BLE001  (whatever it is, each waiter must hear of it)
            if was_held and self.is_shared and isinstance(error, OperationalError):
                self._commit(arrivals, tasks)  # the server may have gone away and come back: on a new connection
            else:
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
                with self._transaction() as connection:
                    new = keep(connection, [arrival.event for arrival in arrivals])
            except Exception as failure:  # noqa: BLE001  (as above: a writer that died would answer nobody any more)
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


class _Writer:
    """A thread that hands everything that waits to ``commit``, again and again."""

    def __init__(self, commit: Callable[[Sequence[_Arrival], Sequence[_Task]], None]) -> None:
        self._commit = commit
        self._arrivals: deque[_Arrival] = deque()
        self._tasks: deque[_Task] = deque()
        self._ready = threading.Condition()
        self._closed = self._idle = False
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
            if self._idle:
                self._idle = False
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
                    self._idle = True
                    self._ready.wait()
                self._idle = False
                if not (self._arrivals or self._tasks):
                    return
                arrivals = [self._arrivals.popleft() for _ in range(min(len(self._arrivals), MOST_A_COMMIT))]
                tasks = [self._tasks.popleft() for _ in range(min(len(self._tasks), MOST_A_COMMIT))]
            self._commit(arrivals, tasks)
            crowd = len(arrivals)
