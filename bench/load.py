"""The load of the service's benchmark: signed webhooks over connections that are kept, as fast or as often as asked."""

import asyncio
import hashlib
import hmac
import json
import os
import time
from typing import Final

SECRET: Final = "whsec_bench"
PATH: Final = "/webhooks/stripe/us"
CONNECTIONS: Final = 64


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


async def flood(port: int, seconds: float, prefix: str) -> float:
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


async def steady(port: int, rate: int, seconds: float) -> list[float]:
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
