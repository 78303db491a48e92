"""Starting the stand-ins: in this process (`redisu sandbox`), in a thread, or in a child process."""

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import uvicorn

from redisu_pipeline.common import clock
from sandbox.client import Control, FlockJayControl
from sandbox.flockjay import FlockJay
from sandbox.stripe.server.app import App
from sandbox.stripe.server.call import Sandbox
from sandbox.stripe.server.transport import BreakableProtocol
from sandbox.stripe.world import World

HOST = "127.0.0.1"
FLOCKJAY_KEY = "fj_sandbox_key"


@dataclass(frozen=True)
class Account:
    """One account of the sandbox, as a configuration needs it."""

    name: str
    id: str
    key: str
    webhook_secret: str


@dataclass(frozen=True)
class Started:
    """Where the stand-ins listen, the keys they take, and their controls."""

    stripe_url: str
    flockjay_url: str
    flockjay_key: str
    accounts: Mapping[str, Account]

    @property
    def control(self) -> Control:
        return Control(self.stripe_url)

    @property
    def flockjay(self) -> FlockJayControl:
        return FlockJayControl(self.flockjay_url)


@dataclass(frozen=True)
class Size:
    """How large a world to build: `months` whole months and the running one, or from `start` (ISO) to now."""

    seed: int = 1
    months: int = 3
    checkouts: int = 60  # per month and account
    start: str = ""


def build(size: Size) -> Sandbox:
    """The world of that size up to the present, behind a server's state."""
    now = clock.now()
    start = date.fromisoformat(size.start) if size.start else months_before(now.date(), size.months)
    gc.disable()  # a world is millions of objects and none of them garbage: looking through them halves the speed
    world = World(size.seed, start=start, now=now, checkouts_per_month=size.checkouts)
    gc.freeze()
    gc.enable()
    return Sandbox(world)


def months_before(day: date, months: int) -> date:
    """The first of the month that lies so many months before the day's."""
    count = day.year * 12 + day.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)


def listening(port: int) -> socket.socket:
    """A listening socket on the loopback; port 0 takes a free one."""
    # Named TCP, for asyncio sets NODELAY only then, and without it every small answer waits 40 ms for an ACK.
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((HOST, port))
    made.listen(1024)
    return made


def server(app: Callable[..., Any]) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=BreakableProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        backlog=1024,
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)


@contextmanager
def running(*apps: Callable[..., Any]) -> Iterator[list[str]]:
    """Serve the apps from one thread of this process; yields their URLs."""
    sockets = [listening(0) for _ in apps]
    servers = [server(app) for app in apps]

    async def serve_all() -> None:
        await asyncio.gather(*(one.serve([socket_]) for one, socket_ in zip(servers, sockets, strict=True)))

    thread = threading.Thread(target=lambda: asyncio.run(serve_all()), name="sandbox", daemon=True)
    thread.start()
    try:
        yield [_url(one) for one in sockets]
    finally:
        for one in servers:
            one.should_exit = True
        thread.join(10)
        for listener in sockets:
            listener.close()


def serve(port: int, size: Size, announce: Callable[[Started], None]) -> None:
    """Build the world and serve Stripe on `port`, FlockJay on the next one, until interrupted.

    `announce` is called when both ports take connections. Raises OSError when a port is taken.
    """
    stripe_socket = listening(port)
    flockjay_socket = listening(port + 1 if port else 0)
    sandbox = build(size)
    flockjay = FlockJay(FLOCKJAY_KEY)
    accounts = {
        store.name: Account(store.name, store.account_id, store.key, store.webhook_secret)
        for store in sandbox.world.stores.values()
    }
    announce(Started(_url(stripe_socket), _url(flockjay_socket), FLOCKJAY_KEY, accounts))

    async def both() -> None:
        await asyncio.gather(server(App(sandbox)).serve([stripe_socket]), server(flockjay).serve([flockjay_socket]))

    asyncio.run(both())


@contextmanager
def start(
    *, seed: int = 1, months: int = 3, checkouts: int = 60, start: str = "", env: Mapping[str, str] | None = None
) -> Iterator[Started]:
    """The stand-ins in a child process on free ports, until the block (or this process) ends.

    `env` is added to the child's. Raises RuntimeError when it does not come up.
    """
    size = ["--seed", str(seed), "--months", str(months), "--checkouts", str(checkouts)]
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--child", *size, *(["--start", start] if start else [])]
    pipe = subprocess.PIPE
    child = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env={**os.environ, **(env or {})})
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        line = child.stdout.readline()
        if not line:
            raise RuntimeError(f"the sandbox did not start (exit {child.wait(5)}); run `python -m sandbox` to see why")
        said = json.loads(line)
        accounts = {name: Account(**account) for name, account in said.pop("accounts").items()}
        yield Started(**said, accounts=accounts)
    finally:
        child.terminate()
        child.wait(10)
        child.stdin.close()
        child.stdout.close()


def end_with_parent() -> None:
    """Stop this process when its standard input closes, as it does when the parent is killed."""

    def watch() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def announced(started: Started) -> str:
    """One line of JSON that `start` reads."""
    return json.dumps(asdict(started))


def described(started: Started) -> str:
    """The same for a person, with something to try."""
    lines = [
        f"Stripe    {started.stripe_url}   controls {started.stripe_url}/_sandbox/",
        *(f"  {one.name:8} {one.key}   {one.webhook_secret}   {one.id}" for one in started.accounts.values()),
        f"FlockJay  {started.flockjay_url}   controls {started.flockjay_url}/_sandbox/access",
        f"  key      {started.flockjay_key}",
        f"try: curl -u {next(iter(started.accounts.values())).key}: {started.stripe_url}/v1/charges?limit=1",
    ]
    return "\n".join(lines)


def _url(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}"
