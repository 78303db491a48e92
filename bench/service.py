"""The webhook service under load: durable events a second against a no-op, and the time from webhook to FlockJay.

The no-op is the same server in one process with a POST that reads its body, asked by the same client in the same run.
"""

import argparse
import asyncio
import math
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from sqlalchemy import select

from bench.load import PATH, flood, steady
from bench.model import Row
from bench.servers import noop, serving
from redisu_pipeline.common.opsdb.engine import open_engine
from redisu_pipeline.common.opsdb.schema import events, orders
from sandbox.client import Control
from sandbox.run import start as stand_ins

SALES: Final = 100
SALES_A_SECOND: Final = 10
"""36,000 an hour. Without a pace the stand-in of Stripe, a process like any other, would be what is measured."""


def run(databases: Mapping[str, str] | None = None, seconds: float = 5.0) -> list[Row]:
    """Measure everything; ``databases`` is name to address, a fresh SQLite file when it is not given."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        fsync = _fsync_median(Path(folder))
        rows.append(_row("fsync median", fsync * 1000, "ms"))
        chosen = databases or {"sqlite": f"sqlite:///{folder}/redisu.db"}
        for name, url in chosen.items():
            least = 0.35 if name == "sqlite" else 0.22
            rows += asyncio.run(_events(name, url, Path(folder), least, fsync, seconds))
        rows.append(_unlocks(Path(folder)))
    return rows


async def _events(name: str, url: str, folder: Path, least: float, fsync: float, seconds: float) -> list[Row]:
    with noop() as plain:
        idle = await flood(plain, seconds, "noop")
    with serving(url, folder) as (served, start):
        # Twice, with the no-op between: a shared machine's moods must not decide the share.
        first = await flood(served, seconds, f"{name}-a")
        with noop() as plain:
            idle = statistics.fmean([idle, await flood(plain, seconds, "noop")])
        second = await flood(served, seconds, f"{name}-b")
        await asyncio.sleep(1)
        latencies = await steady(served, 500, seconds)
    durable = statistics.fmean([first, second])
    p99 = _quantile(latencies, 0.99)
    most = 0.010 + 3 * fsync
    return [
        _row(f"{name}: no-op", idle, "requests/s"),
        _row(f"{name}: durable events", durable, "events/s"),
        _row(f"{name}: share of the no-op", durable / idle, "", f">= {least}", durable / idle >= least),
        _row(f"{name}: ack p50 at 500/s", _quantile(latencies, 0.5) * 1000, "ms"),
        _row(f"{name}: ack p99 at 500/s", p99 * 1000, "ms", f"< {most * 1000:.1f}", p99 < most),
        _row(f"{name}: start", start, "s", "< 1.5", start < 1.5),
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
        with serving(url, folder, started.stripe_url, started.flockjay_url, secrets) as (port, _):
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
    return _row("webhook received to FlockJay called, p99", p99, "ms", "< 250", p99 < 250 and len(took) == SALES)


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


def _row(name: str, value: float, unit: str, target: str = "", ok: bool | None = None) -> Row:  # noqa: FBT001
    return Row(name, f"{value:,.4g} {unit}".rstrip(), target, ok)


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
            print(f"{row.name:32} {row.measured:>18} {row.target:10} {'MISSED' if row.ok is False else 'ok'}")
