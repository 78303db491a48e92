"""The webhook service under load: durable events a second against a no-op, and the time from webhook to FlockJay.

The no-op is the same server in one process with a POST that reads its body, asked by the same client in the same run.
"""

import argparse
import asyncio
import contextlib
import hashlib
import hmac
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import select

from redisu_pipeline.common.opsdb.engine import open_engine
from redisu_pipeline.common.opsdb.schema import events, orders
from sandbox.client import Control
from sandbox.run import start as stand_ins

SECRET: Final = "whsec_bench"
PATH: Final = "/webhooks/stripe/us"
CONNECTIONS: Final = 64
SALES: Final = 100
SALES_A_SECOND: Final = 10
"""36,000 an hour. Without a pace the stand-in of Stripe, a process like any other, would be what is measured."""
_READY_SECONDS: Final = 30.0
_CONFIGURATION: Final = """
[database]
url = "{database}"
[flockjay]
api_base = "{flockjay}"
[routing]
default = "us"
[accounts.us]
stripe_api_base = "{stripe}"
[courses.redis-101]
name = "Redis 101"
flockjay_course_id = "fj_crs_101"
prices = {{ usd = 19900 }}
"""


@dataclass(frozen=True)
class Row:
    """One measured number and what was asked of it."""

    name: str
    value: float
    unit: str
    target: str
    ok: bool


def run(databases: Mapping[str, str] | None = None, seconds: float = 5.0) -> list[Row]:
    """Measure everything; ``databases`` is name to address, a fresh SQLite file when it is not given."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        fsync = _fsync_median(Path(folder))
        rows.append(Row("fsync median", fsync * 1000, "ms", "", True))
        chosen = databases or {"sqlite": f"sqlite:///{folder}/redisu.db"}
        for name, url in chosen.items():
            least = 0.35 if name == "sqlite" else 0.22
            rows += asyncio.run(_events(name, url, Path(folder), least, fsync, seconds))
        rows.append(_unlocks(Path(folder)))
    return rows


async def _events(name: str, url: str, folder: Path, least: float, fsync: float, seconds: float) -> list[Row]:
    with _noop() as plain:
        idle = await _flood(plain, seconds, "noop")
    with _service(url, folder) as (served, start):
        # Twice, with the no-op between: a shared machine's moods must not decide the share.
        first = await _flood(served, seconds, f"{name}-a")
        with _noop() as plain:
            idle = statistics.fmean([idle, await _flood(plain, seconds, "noop")])
        second = await _flood(served, seconds, f"{name}-b")
        await asyncio.sleep(1)
        latencies = await _steady(served, 500, seconds)
    durable = statistics.fmean([first, second])
    p99 = _quantile(latencies, 0.99)
    most = 0.010 + 3 * fsync
    return [
        Row(f"{name}: no-op", idle, "requests/s", "", True),
        Row(f"{name}: durable events", durable, "events/s", "", True),
        Row(f"{name}: share of the no-op", durable / idle, "", f">= {least}", durable / idle >= least),
        Row(f"{name}: ack p50 at 500/s", _quantile(latencies, 0.5) * 1000, "ms", "", True),
        Row(f"{name}: ack p99 at 500/s", p99 * 1000, "ms", f"< {most * 1000:.1f}", p99 < most),
        Row(f"{name}: start", start, "s", "< 1.5", start < 1.5),
    ]


def _unlocks(folder: Path) -> Row:
    """From a webhook's receipt to the call at FlockJay: paid at the stand-in, which delivers the webhook itself."""
    with stand_ins(checkouts=0, months=0) as started:
        control, account = started.control, started.accounts["us"]
        url = f"sqlite:///{folder}/unlocks.db"
        secrets = {
            "STRIPE_API_KEY_US": account.key,
            "STRIPE_WEBHOOK_SECRET_US": account.webhook_secret,
            "FLOCKJAY_API_KEY": started.flockjay_key,
        }
        product = control.act("us", "create_product", name="Redis 101")
        price = control.act("us", "create_price", product=product["id"], currency="usd", unit_amount=19900)["id"]
        with _service(url, folder, started.stripe_url, started.flockjay_url, secrets) as (port, _):
            control.webhooks("us", f"http://127.0.0.1:{port}{PATH}")
            with ThreadPoolExecutor(4) as buyers:
                began, bought = time.perf_counter(), []
                for number in range(SALES):
                    time.sleep(max(began + number / SALES_A_SECOND - time.perf_counter(), 0))
                    bought.append(buyers.submit(_buy, control, price, number))
                for one in bought:
                    one.result()
            until = time.perf_counter() + 30
            while len(started.flockjay.calls()) < SALES and time.perf_counter() < until:
                time.sleep(0.1)
            called = {call["path"].rsplit("/", 1)[1]: call["at"] for call in started.flockjay.calls()}
        engine = open_engine(url)
        with engine.connect() as connection:
            heard = connection.execute(
                select(orders.c.learner, events.c.received_at)
                .join(events, events.c.subject == orders.c.session_id)
                .where(events.c.type == "checkout.session.completed")
            ).all()
        engine.dispose()
    took = [called[learner] - received_at.timestamp() for learner, received_at in heard if learner in called]
    p99 = _quantile(took, 0.99) * 1000
    return Row("webhook received to FlockJay called, p99", p99, "ms", "< 250", p99 < 250 and len(took) == SALES)


def _buy(control: Control, price: str, number: int) -> None:
    learner = f"learner-{number}"
    metadata = {"order_id": f"ord_bench_{number}", "learner": learner, "flockjay_course_id": "fj_crs_101"}
    session = control.act(
        "us",
        "create_session",
        mode="payment",
        line_items=[{"price": price}],
        metadata=metadata,
        success_url="https://example.com/done",
    )
    control.act("us", "pay", session=session["id"])


# --- the client


def _request(number: int, prefix: str) -> bytes:
    """A signed delivery of an event of its own, with a body of a usual size."""
    now = int(time.time())
    session = {
        "id": f"cs_live_{prefix.replace('-', '')}{number}",
        "object": "checkout.session",
        "metadata": {"order_id": f"ord_{number}", "course": "redis-101", "learner": f"learner-{number}"},
        "filler": "x" * 2000,
    }
    event = {
        "id": f"evt_{prefix}_{number}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": now,
        "type": "invoice.finalized" if number % 5 else "checkout.session.completed",
        "livemode": True,
        "data": {"object": session},
    }
    body = json.dumps(event).encode()
    mac = hmac.digest(SECRET.encode(), b"%d." % now + body, hashlib.sha256).hex()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Stripe-Signature: t={now},v1={mac}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.splitlines()[0].decode())
    for line in head.lower().splitlines():
        if line.startswith(b"content-length:"):
            await reader.readexactly(int(line.partition(b":")[2]))


async def _flood(port: int, seconds: float, prefix: str) -> float:
    """Requests a second over 64 connections that never rest. Requests are made beforehand: they cost the client."""
    prepared = [_request(number, prefix) for number in range(int(seconds * 12_000))]
    waiting = iter(prepared)
    done = 0
    until = time.perf_counter() + seconds

    async def ask() -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            if time.perf_counter() > until:
                break
            await _send(reader, writer, request)
            done += 1
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
    return done / (time.perf_counter() - began)


async def _steady(port: int, rate: int, seconds: float) -> list[float]:
    """Latencies at a fixed rate, from when each request was due: a slow answer delays no other."""
    count = int(rate * seconds)
    prepared = [_request(number, f"steady{os.getpid()}") for number in range(count)]
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    took: list[float] = []

    async def ask(request: bytes, due: float) -> None:
        connection = await free.get()
        await _send(*connection, request)
        took.append(time.perf_counter() - due)
        free.put_nowait(connection)

    began = time.perf_counter()
    tasks = []
    for number, request in enumerate(prepared):
        due = began + number / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(ask(request, due)))
    await asyncio.gather(*tasks)
    return took


# --- the servers


_NOOP: Final = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
async def post(request):
    await request.body()
    return Response(b"{}", media_type="application/json")
app = Starlette(routes=[Route("/webhooks/stripe/{account}", post, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[1]), http="httptools", ws="none", access_log=False, log_level="warning")
"""


@contextlib.contextmanager
def _noop() -> Iterator[int]:
    port = _free_port()
    with _process([sys.executable, "-c", _NOOP, str(port)], port, {}):
        yield port


@contextlib.contextmanager
def _service(
    url: str, folder: Path, stripe: str = "", flockjay: str = "", environ: Mapping[str, str] | None = None
) -> Iterator[tuple[int, float]]:
    """`redisu serve`; yields its port and the seconds that it took to start. Without addresses nobody is there."""
    port, nobody = _free_port(), f"http://127.0.0.1:{_free_port()}"
    path = folder / "redisu.toml"
    path.write_text(_CONFIGURATION.format(database=url, stripe=stripe or nobody, flockjay=flockjay or nobody))
    secrets = {
        "STRIPE_API_KEY_US": "rk_live_bench_key",
        "STRIPE_WEBHOOK_SECRET_US": SECRET,
        "FLOCKJAY_API_KEY": "fj_bench",
        "REDISU_CONFIG": str(path),
        **(environ or {}),
    }
    redisu = str(Path(sys.executable).with_name("redisu"))
    with _process([redisu, "serve", "--port", str(port)], port, secrets):
        pass  # the first start makes the database
    with _process([redisu, "serve", "--port", str(port)], port, secrets) as start:
        yield port, start


@contextlib.contextmanager
def _process(command: list[str], port: int, environ: Mapping[str, str]) -> Iterator[float]:
    """A server until the block ends; yields the seconds until it took a connection."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(command, env={**os.environ, **environ}, stdout=log, stderr=log)
        try:
            while not _listens(port):
                if child.poll() is not None or time.perf_counter() - began > _READY_SECONDS:
                    log.seek(0)
                    raise RuntimeError(f"it did not start: {log.read().decode()[-2000:]}")
                time.sleep(0.01)
            yield time.perf_counter() - began
        finally:
            child.terminate()
            child.wait(30)


def _listens(port: int) -> bool:
    """Whether the service answers: a listening socket alone takes connections before it can."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status in (200, 404)
    except OSError:
        return False
    finally:
        connection.close()


def _free_port() -> int:
    import socket

    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


def _fsync_median(folder: Path) -> float:
    took = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(100):
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def _quantile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed (nearest rank)."""
    return sorted(values)[math.ceil(len(values) * share) - 1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", default="", help="address of an empty PostgreSQL database, measured too")
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        wanted = {"sqlite": f"sqlite:///{home}/redisu.db"}
        if given.postgres:
            wanted["postgresql"] = given.postgres
        for row in run(wanted, given.seconds):
            print(f"{row.name:32} {row.value:10.2f} {row.unit:12} {row.target:10} {'ok' if row.ok else 'MISSED'}")
