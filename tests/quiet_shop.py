"""Two Stripe accounts in which nothing happens by itself, behind a real server: for tests of the service's pages."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from redisu_pipeline.common import clock
from redisu_pipeline.common.settings import Settings, load
from sandbox import run
from sandbox.client import Control, FlockJayControl
from sandbox.flockjay import FlockJay
from sandbox.stripe.server.app import App
from sandbox.stripe.server.call import Sandbox
from sandbox.stripe.world import World
from sandbox.stripe.world.accounts import IL, US

CONFIGURATION = """
[database]
url = "sqlite:///redisu.db"
[service]
public_url = "{public}"
[flockjay]
api_base = "{flockjay}"
[routing]
default = "us"
IL = "il"
[pages]
{pages}
[accounts.us]
stripe_api_base = "{stripe}"
{us}
[accounts.il]
stripe_api_base = "{stripe}"
currency = "ils"
tax = "manual"
manual_tax_rate = {{ percentage = {vat}, country = "IL" }}
[courses.redis-101]
name = "Redis 101 <for> everyone"
flockjay_course_id = "fj_crs_101"
prices = {{ usd = 19900, ils = 69900 }}
{more}
"""
SECOND = """
[courses.cert-dev]
name = "Certified Developer"
flockjay_course_id = "fj_crs_cert"
tax_code = "txcd_20060045"
prices = { usd = 14995 }
"""


@dataclass
class QuietShop:
    """The stand-ins' addresses, their state in this process, and configurations that point to them."""

    url: str
    flockjay_url: str
    sandbox: Sandbox
    folder: Path

    @property
    def control(self) -> Control:
        return Control(self.url)

    def settings(
        self,
        *,
        us: str = "",
        pages: str = "",
        vat: str = "18",
        more: str = SECOND,
        public: str = "http://localhost:8000",
        **changed: str,
    ) -> Settings:
        """A configuration; `us`, `pages` and `more` are TOML, `changed` replaces text by text."""
        given = {"us": us, "pages": pages, "vat": vat, "more": more, "public": public}
        text = CONFIGURATION.format(stripe=self.url, flockjay=self.flockjay_url, **given)
        for old, new in changed.items():
            text = text.replace(old, new)
        path = self.folder / "redisu.toml"
        path.write_text(text)
        return load(str(path), {})

    @property
    def environ(self) -> Mapping[str, str]:
        made = {"FLOCKJAY_API_KEY": run.FLOCKJAY_KEY}
        for name, store in self.sandbox.world.stores.items():
            made[f"STRIPE_API_KEY_{name.upper()}"] = store.key
            made[f"STRIPE_WEBHOOK_SECRET_{name.upper()}"] = store.webhook_secret
        return made

    def objects(self, account: str, kind: str) -> list[dict[str, Any]]:
        return self.sandbox.world.stores[account].all(kind)


@dataclass
class Front:
    """A place for the service under test, which is another one in every test."""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@dataclass(frozen=True)
class Served:
    """The servers that a test module shares: the stand-ins, and the service in front of them."""

    urls: tuple[str, str]
    app: App
    front: Front
    client: httpx.Client  # speaks to the front


@contextmanager
def serving() -> Iterator[Served]:
    """One server for a test module; `fresh` gives it new accounts for each test."""
    app, flockjay, front = App(Sandbox(_world())), FlockJay(run.FLOCKJAY_KEY), Front()
    with (
        run.running(app, flockjay) as (stripe, other),
        run.running(front) as (url,),
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield Served((stripe, other), app, front, client)


def fresh(served: Served, folder: Path) -> QuietShop:
    """Accounts `us` (Stripe Tax) and `il` (manual rate) without a single product, and a FlockJay without learners."""
    served.app.sandbox = Sandbox(_world())
    FlockJayControl(served.urls[1]).reset()
    FlockJayControl(served.urls[1]).mood()
    return QuietShop(*served.urls, served.app.sandbox, folder)


def _world() -> World:
    now = clock.now()
    accounts = [replace(US, courses=()), replace(IL, courses=(), tax="automatic")]
    return World(1, accounts, start=(now - timedelta(days=1)).date(), now=now, checkouts_per_month=0)
