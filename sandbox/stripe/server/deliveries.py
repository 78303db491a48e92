"""Webhook delivery: signed, retried, and on demand late, twice, out of order or never (stripe.md §4.1, §4.2)."""

import asyncio
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from redisu_pipeline.common import clock
from sandbox.stripe.store import API_VERSION, Object, Store, fits

USER_AGENT = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"


@dataclass(frozen=True)
class Endpoint:
    """A registered receiver; several secrets while one is rolled give several v1 signatures."""

    id: str
    account: str
    url: str
    secrets: tuple[str, ...]
    types: tuple[str, ...]

    def wants(self, type: str) -> bool:
        return any(fits(type, pattern) for pattern in self.types)


@dataclass
class Manners:
    """How deliveries behave. Probabilities 0 … 1; times in seconds."""

    lose: float = 0.0  # never delivered
    duplicate: float = 0.0  # delivered once more after success
    shuffle: bool = False  # held back until `flush`, then sent in random order
    retries: tuple[float, ...] = (0.2, 1.0, 5.0)  # waits before the attempts after the first
    timeout: float = 10.0
    stamp_offset: int = 0  # added to the signature's timestamp
    seed: int = 0


@dataclass
class Attempted:
    """One event on its way to one endpoint."""

    event: str
    type: str
    endpoint: Endpoint
    body: bytes
    statuses: list[int] = field(default_factory=list)  # 0 is "no answer"
    state: str = "waiting"  # waiting | delivered | failed | lost


@dataclass
class Deliveries:
    """Takes events from stores as they are emitted, and posts them from a few threads."""

    manners: Manners = field(default_factory=Manners)
    endpoints: list[Endpoint] = field(default_factory=list)
    record: list[Attempted] = field(default_factory=list)
    _held: list[Attempted] = field(default_factory=list, repr=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, repr=False)
    _chance: random.Random = field(default_factory=lambda: random.Random(0), repr=False)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, "webhooks"), repr=False)

    def register(self, store: Store, url: str, types: Sequence[str], secrets: Sequence[str] = ()) -> Object:
        """Make a webhook endpoint of the account; events from now on go there."""
        made = store.put(_webhook_endpoint(store, url, list(types)))
        endpoint = Endpoint(made["id"], store.name, url, tuple(secrets) or (store.webhook_secret,), tuple(types))
        self.endpoints.append(endpoint)
        if self.hear not in store.listeners:
            store.listeners.append(self.hear)
        return made

    def set(self, values: dict[str, Any]) -> None:
        """Change manners by name; raises ValueError for an unknown one."""
        unknown = sorted(values.keys() - {one.name for one in fields(Manners)})
        if unknown:
            raise ValueError(f"unknown webhook setting: {', '.join(unknown)}")
        for name, value in values.items():
            setattr(self.manners, name, tuple(value) if isinstance(value, list) else value)
        if "seed" in values:
            self._chance = random.Random(self.manners.seed)

    def hear(self, store: Store, event: Object) -> None:
        """A store's listener."""
        for endpoint in self.endpoints:
            if endpoint.account == store.name and endpoint.wants(event["type"]):
                self.send(Attempted(event["id"], event["type"], endpoint, store.collection("event").json(event["id"])))

    def resend(self, store: Store, event: Object) -> int:
        """What `stripe events resend` does; answers how many endpoints take it."""
        before = len(self.record)
        self.hear(store, event)
        return len(self.record) - before

    def send(self, attempted: Attempted) -> None:
        self.record.append(attempted)
        if self._chance.random() < self.manners.lose:
            attempted.state = "lost"
        elif self.manners.shuffle:
            self._held.append(attempted)
        else:
            self._start(attempted)

    async def flush(self) -> None:
        """Send what is held back, in random order, and wait until nothing is on its way."""
        held, self._held = self._held, []
        self._chance.shuffle(held)
        for attempted in held:
            self._start(attempted)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def succeeded(self, event: str) -> bool:
        """What the `delivery_success` filter asks: every endpoint has taken the event."""
        return all(one.state == "delivered" for one in self.record if one.event == event)

    def shown(self) -> list[dict[str, Any]]:
        return [
            {
                "event": one.event,
                "type": one.type,
                "url": one.endpoint.url,
                "state": one.state,
                "statuses": one.statuses,
            }
            for one in self.record
        ]

    def _start(self, attempted: Attempted) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(attempted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, attempted: Attempted) -> None:
        loop = asyncio.get_running_loop()
        for wait in (0.0, *self.manners.retries):
            await asyncio.sleep(wait)
            status = await loop.run_in_executor(self._threads, self._post, attempted)
            attempted.statuses.append(status)
            if 200 <= status < 300:
                attempted.state = "delivered"
                if self._chance.random() < self.manners.duplicate:
                    attempted.statuses.append(await loop.run_in_executor(self._threads, self._post, attempted))
                return
        attempted.state = "failed"

    def _post(self, attempted: Attempted) -> int:
        """One attempt, signed anew; answers the status, 0 when there was no answer."""
        stamp = int(clock.now().timestamp()) + self.manners.stamp_offset
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": USER_AGENT,
            "Stripe-Signature": signature(attempted.body, attempted.endpoint.secrets, stamp),
        }
        url = urlsplit(attempted.endpoint.url)
        connect = HTTPSConnection if url.scheme == "https" else HTTPConnection  # never through a proxy
        connection = connect(url.netloc, timeout=self.manners.timeout)
        try:
            connection.request("POST", url.path + (f"?{url.query}" if url.query else ""), attempted.body, headers)
            return connection.getresponse().status  # a redirect is not followed: it is a failure at Stripe
        except (OSError, HTTPException):
            return 0
        finally:
            connection.close()


def signature(body: bytes, secrets: Sequence[str], stamp: int) -> str:
    """`t=…,v1=…` with one v1 per secret, as while a secret is rolled."""
    from stripe import WebhookSignature  # here, for it takes a third of a second and few sandboxes send webhooks

    headers = [WebhookSignature.generate_signature_header(body.decode(), secret, stamp) for secret in secrets]
    return ",".join([headers[0], *(header.partition(",")[2] for header in headers[1:])])


def _webhook_endpoint(store: Store, url: str, types: list[str]) -> Object:
    return {
        "id": store.new_id("we"),
        "object": "webhook_endpoint",
        "api_version": API_VERSION,
        "application": None,
        "created": store.now,
        "description": None,
        "enabled_events": types,
        "livemode": store.livemode,
        "metadata": {},
        "status": "enabled",
        "url": url,
    }
