"""SQLite's checkpoints, beside the writer: within a commit, as SQLite does them by itself, they make events wait.

A log starts anew only when a checkpoint reaches its end, and under load there is always one more commit. So a thread
moves nearly all of it, and the writer moves the rest between two commits: about a millisecond every other second. A
log that starts anew is written over; one that grows, or is cut off and grows again, costs the disk twice at a commit.
"""

import sqlite3
import threading
from contextlib import closing, suppress
from typing import Final

from sqlalchemy import Engine, event

USUAL_PAGES: Final = 8_000
"""32 MB; checkpoints come as often as keeps the log at about that."""
SHORTEST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 2.0
_FEW_PAGES: Final = 1_000
_CHECKPOINT: Final = "PRAGMA wal_checkpoint(PASSIVE)"  # waits for nobody


class Checkpoints:
    """Takes the checkpoints of ``engine``'s database over until `close`."""

    def __init__(self, engine: Engine) -> None:
        self._path = str(engine.url.database)
        self._rest = _connected(self._path)
        self._rest_is_due = False
        self._closing = threading.Event()
        event.listen(engine, "connect", _without_checkpoints)
        engine.dispose()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Move the rest of the log when most of it has been moved: for the writer, between two commits."""
        if self._rest_is_due:
            self._rest_is_due = False
            _checkpoint(self._rest)

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join()
        self._rest.close()

    def _run(self) -> None:
        seconds = LONGEST_SECONDS
        with closing(_connected(self._path)) as connection:
            while not self._closing.wait(seconds):
                pages = _checkpoint(connection)
                self._rest_is_due = pages > _FEW_PAGES
                seconds = min(max(seconds * USUAL_PAGES / max(pages, 1), SHORTEST_SECONDS), LONGEST_SECONDS)


def _checkpoint(connection: sqlite3.Connection) -> int:
    """Return the pages of the log. When the disk is full or busy it only grows; the writer is who must say so."""
    with suppress(sqlite3.Error):
        _, pages, _ = connection.execute(_CHECKPOINT).fetchone()
        return int(pages)
    return 0


def _connected(path: str) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=0, check_same_thread=False)


def _without_checkpoints(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA wal_autocheckpoint=0").close()
