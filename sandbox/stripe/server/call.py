"""What a handler gets: one authenticated request, and the stand-in behind it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from redisu_pipeline.common import clock
from sandbox.stripe.server import expand
from sandbox.stripe.server.deliveries import Deliveries
from sandbox.stripe.server.faults import Faults, Limiter, RequestLog
from sandbox.stripe.server.idempotency import Replays
from sandbox.stripe.server.parameters import EXPAND, Kind, Values, check
from sandbox.stripe.server.ports import World
from sandbox.stripe.store import Object, Store
from sandbox.stripe.store import shown as visible


@dataclass
class ReportSettings:
    """How report runs behave: polls until one is done, hours of lag of the data, and failures on demand."""

    polls: int = 2
    lag_hours: int = 12
    fail_next: int = 0
    files_expire_next: int = 0


@dataclass
class Sandbox:
    """All accounts behind one server, and everything about them that is not an object of Stripe's."""

    world: World
    faults: Faults = field(default_factory=Faults)
    limiter: Limiter = field(default_factory=Limiter)
    log: RequestLog = field(default_factory=RequestLog)
    replays: Replays = field(default_factory=Replays)
    deliveries: Deliveries = field(default_factory=Deliveries)
    reports: ReportSettings = field(default_factory=ReportSettings)
    denied: dict[str, set[str]] = field(default_factory=dict)  # account name -> permissions its key lacks
    contents: dict[str, bytes] = field(default_factory=dict)  # file id -> its bytes
    polls: dict[str, int] = field(default_factory=dict)  # report run -> polls still to go
    ahead: int = 0  # seconds that the world is ahead of the system's clock
    requests_made: int = 0

    def by_key(self, key: str) -> Store | None:
        return next((store for store in self.world.stores.values() if store.key == key), None)

    def now(self) -> int:
        """The world's time: the clock's, and what it was moved ahead."""
        return int(clock.now().timestamp()) + self.ahead

    def tick(self) -> None:
        """Bring the world to the present before something is written. Reading never moves it."""
        now = self.now()
        if now > self.world.now:
            self.world.advance(datetime.fromtimestamp(now, UTC))


@dataclass
class Call:
    """One request of one account; `ids` are the variable parts of its address."""

    sandbox: Sandbox
    store: Store
    method: str
    path: str
    ids: tuple[str, ...]
    values: Values
    request_id: str
    idempotency_key: str | None = None

    def checked(self, table: dict[str, Kind], required: tuple[str, ...] = ()) -> Values:
        """The parameters, typed. Raises ApiError(400) for what the table does not allow."""
        return check(self.values, table, required)

    def bare(self) -> Values:
        """For an endpoint that takes only `expand`."""
        return self.checked({"expand": EXPAND})


Handler = Callable[[Call], bytes]


def rendered(store: Store, kind: str, ids: Iterable[str], tree: expand.Tree) -> list[bytes]:
    """Objects as JSON: from the cache, or with fields expanded."""
    collection = store.collection(kind)
    if not tree:
        return [collection.json(id) for id in ids]
    return [msgspec.json.encode(expand.expanded(store, visible(collection.objects[id]), tree)) for id in ids]


def shown(store: Store, obj: Object, paths: list[str] | None = None) -> bytes:
    """One stored object as the answer to a retrieve or a create."""
    tree = expand.tree_of(paths or [])
    expand.check(obj["object"], tree)
    return rendered(store, obj["object"], [obj["id"]], tree)[0]
