"""The demo's first half: courses are sold through the real pages and the real service, in bad weather too.

The service runs as ``redisu serve`` in a process of its own; what a browser would do is done by plain HTTP requests:
open the payment page, confirm, pay at the stand-in's checkout page, come back.
"""

import html
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from rich.console import Console
from rich.table import Table

from redisu_pipeline.common.problems import Failed, Problem

if TYPE_CHECKING:
    from sandbox.run import Started

COURSE = "redis-101"
COMMAND = (sys.executable, "-c", "from redisu_pipeline.cli import main; main()")
PATIENCE_SECONDS = 60
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@dataclass(frozen=True)
class Sale:
    """One purchase and what became of it; ``seconds`` from the payment to the unlocked course."""

    learner: str
    country: str
    account: str
    weather: str
    seconds: float


def free_address() -> str:
    """Return an address of this machine where nothing listens yet."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def sell(stand_ins: "Started", config: Path, url: str, environ: Mapping[str, str], console: Console) -> list[Sale]:
    """Make the catalogue, start the service at ``url``, sell, and wait for every course; Failed when one is missing."""
    _run(["catalog", "apply", "--config", str(config)], environ)
    with _service(config, url, environ):
        for name in stand_ins.accounts:
            stand_ins.control.webhooks(name, f"{url}/webhooks/stripe/{name}")
        sales = [_buy(stand_ins, url, learner, country, "fair") for learner, country in _BUYERS]
        stand_ins.control.webhook_manners(duplicate=1.0, shuffle=True)
        sales.append(_buy(stand_ins, url, "learner-4", "US", "every event twice, in disorder"))
        stand_ins.control.webhook_manners()
        stand_ins.flockjay.mood(outage=True)
        sales.append(_buy(stand_ins, url, "learner-5", "FR", "FlockJay down for 3 s", heal_after=3))
    _show(sales, console)
    return sales


_BUYERS = (("learner-1", "US"), ("learner-2", "IL"), ("learner-3", "DE"))


def _buy(
    stand_ins: "Started", url: str, learner: str, country: str, weather: str, heal_after: float | None = None
) -> Sale:
    with httpx.Client(follow_redirects=False, timeout=30) as browser:
        page = f"{url}/checkout/{COURSE}"
        buyer = {"learner": learner, "email": f"{learner}@example.com"}
        token = html.unescape(_found(_TOKEN, browser.get(page, params=buyer).text, "the payment page has no form"))
        form = {**buyer, "country": country, "address_confirmed": "yes", "csrf_token": token}
        to_stripe = browser.post(page, data=form).headers["location"]
        address = {"line1": "1 Main Street", "city": "Springfield", "state": "NY", "postal_code": "10001"}
        paid = browser.post(
            to_stripe,
            data={"name": f"Learner {learner[-1]}", "country": country, "way": "card", "consent": "yes", **address},
        )
        begun = time.monotonic()
        browser.get(paid.headers["location"])
    stand_ins.control.flush_webhooks()
    if heal_after is not None:
        time.sleep(heal_after)
        stand_ins.flockjay.mood()
    while learner not in stand_ins.flockjay.access():
        if time.monotonic() - begun > PATIENCE_SECONDS:
            mend = "see `redisu unlocks list` with the demo's configuration"
            raise Failed(
                Problem("not_unlocked", learner, f"has paid and has no course after {PATIENCE_SECONDS} s", mend)
            )
        time.sleep(0.05)
    return Sale(learner, country, "il" if country == "IL" else "us", weather, time.monotonic() - begun)


def _found(pattern: re.Pattern[str], text: str, otherwise: str) -> str:
    found = pattern.search(text)
    if found is None:
        raise Failed(Problem("demo", "payment page", otherwise, "run `redisu catalog apply` and `redisu doctor`"))
    return found[1]


@contextmanager
def _service(config: Path, url: str, environ: Mapping[str, str]) -> Iterator[None]:
    """The service in a process of its own, until the block ends; its log lies beside the configuration."""
    with (config.parent / "service.log").open("wb") as log:
        command = [*COMMAND, "serve", "--port", url.rsplit(":", 1)[1], "--config", str(config)]
        service = subprocess.Popen(command, env={**os.environ, **environ}, stdout=log, stderr=log)
        try:
            _wait_for(url, service)
            yield
        finally:
            service.terminate()
            service.wait(30)


def _wait_for(url: str, service: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        if service.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/healthz").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise Failed(Problem("service", "redisu serve", "did not start", "read service.log in the demo's folder"))


def _run(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments], env={**os.environ, **environ}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no reason given"
        raise Failed(Problem("demo", f"redisu {arguments[0]}", why, "run it by hand with the demo's configuration"))


def _show(sales: Sequence[Sale], console: Console) -> None:
    grid = Table(header_style="bold")
    for column in ("learner", "country", "account", "weather"):
        grid.add_column(column)
    grid.add_column("paid → unlocked", justify="right")
    for sale in sales:
        grid.add_row(sale.learner, sale.country, sale.account, sale.weather, f"{sale.seconds:.2f} s")
    console.print(grid)
