"""The leases of one operations database, for callers that know nothing of SQL: refusals are `Refusal`s."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from redisu_pipeline.common.opsdb import leases
from redisu_pipeline.common.opsdb.engine import database_failures, open_engine
from redisu_pipeline.common.opsdb.leases import Held, Holder
from redisu_pipeline.common.opsdb.migrate import ensure_engine_current


class LeaseBook:
    """Open until `close`; creates the database when it is empty. Safe to share between threads.

    Every method raises Failed or ConfigurationError, naming the database, when that cannot be reached or used.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = open_engine(url)
        try:
            with database_failures(url):
                ensure_engine_current(self._engine, url)
        except BaseException:
            self.close()
            raise

    def acquire(
        self, wanted: Mapping[str, str], holder: Holder, ttl: float, dead_locks: Collection[str] = ()
    ) -> Held | None:
        """See `leases.acquire`."""
        with database_failures(self._url):
            return leases.acquire(self._engine, wanted, holder, ttl, dead_locks)

    def beat(self, token: str) -> int:
        """Renew every lease of ``token``; returns how many are still its."""
        with database_failures(self._url):
            return leases.beat(self._engine, token)

    def release(self, token: str) -> None:
        """Give back every lease of ``token``."""
        with database_failures(self._url):
            leases.release(self._engine, token)

    def close(self) -> None:
        self._engine.dispose()
