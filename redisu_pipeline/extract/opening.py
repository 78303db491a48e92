"""Opening a run on one account: who asks Stripe and how fast, the right to write, the threads.

Both a sync and the reading of Stripe's figures for a close begin here.
"""

import secrets
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from redisu_pipeline.common import clock
from redisu_pipeline.common.reports import Progress, Silence
from redisu_pipeline.common.secrets import is_live
from redisu_pipeline.common.settings import Account
from redisu_pipeline.common.stripe_api import StripeApi
from redisu_pipeline.extract.budget import LIVE, SANDBOX, Budget
from redisu_pipeline.extract.listing import AHEAD
from redisu_pipeline.extract.reader import Reader, ask_livemode
from redisu_pipeline.extract.run import Run
from redisu_pipeline.lake.local_storage import failures
from redisu_pipeline.lake.locks import writer_lock
from redisu_pipeline.lake.storage import Storage

PAGES = 48 + AHEAD
"""Pages under way at once: enough for 80 a second at 200 ms, with some threads waiting for an endpoint's turn, and some
for nested lists."""

FOLLOWERS = 16
"""Pages of nested lists under way at once, on threads of their own: who waits for them must not be in their way."""

TURN = 0.0005
"""Seconds a thread may keep the interpreter while others want it. With Python's own 5 ms each of a dozen steps of a
request waited for a page being decoded, and 80 requests a second became 60. It holds for the whole process."""


@dataclass(frozen=True)
class Door:
    """Where a run reads and writes, how it is watched and stopped, and when it began (UTC)."""

    account: Account
    key: str = field(repr=False)
    storage: Storage
    database_url: str
    progress: Progress = field(default_factory=Silence)
    stop: threading.Event = field(default_factory=threading.Event)
    landing: threading.Lock = field(default_factory=threading.Lock)
    now: datetime = field(default_factory=clock.now)

    @cached_property
    def reader(self) -> Reader:
        """What asks Stripe, as fast as the key's kind may."""
        budget = Budget(SANDBOX if is_live(self.key) is False else LIVE)
        return Reader(self.account.name, StripeApi(self.key, self.account.stripe_api_base), budget, self.stop)

    def livemode(self) -> bool:
        """Tell whether the key reads live data, by its form or else by asking. Raises Failed or Interrupted."""
        live = is_live(self.key)
        return ask_livemode(self.reader) if live is None else live


@contextmanager
def opened(
    door: Door, tables: Sequence[str], *, livemode: bool, full: bool = False, since: datetime | None = None
) -> Iterator[Run]:
    """Yield a run that may write ``tables`` of the account until the block ends. Raises Failed while another writes."""
    account, now = door.account, door.now
    sys.setswitchinterval(TURN)
    with (
        failures(door.storage.root),
        writer_lock(door.storage.root, account.name, tables, door.database_url, now) as lock,
        ThreadPoolExecutor(max_workers=PAGES, thread_name_prefix=f"pages-{account.name}") as pool,
        ThreadPoolExecutor(max_workers=FOLLOWERS, thread_name_prefix=f"nested-{account.name}") as followers,
    ):
        yield Run(
            account=account.name,
            start=account.first_month.bounds(account.timezone)[0],
            storage=door.storage,
            reader=door.reader,
            pool=pool,
            followers=followers,
            progress=door.progress,
            guard=lock.check,
            landing=door.landing,
            now=now,
            run_id=f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
            livemode=livemode,
            full=full,
            since=since,
        )
