"""A stand-in for Stripe in this process, a configuration that points at it, and syncs at its time.

The fixtures ``town`` and ``make_town`` are in conftest.py.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import source
from answers import REDISU, Answer

from redisu_pipeline import cli
from redisu_pipeline.common.reports import SyncReport, TableReport
from redisu_pipeline.common.settings import Settings, load
from redisu_pipeline.extract import sync as syncing
from redisu_pipeline.extract.budget import Limits
from redisu_pipeline.tables.registry import TABLES
from sandbox.run import running
from sandbox.stripe.server.app import App
from sandbox.stripe.server.call import Sandbox
from sandbox.stripe.store import Object, Store
from sandbox.stripe.world import World
from sandbox.stripe.world.accounts import IL, US

START = date(2026, 2, 1)
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
UNLIMITED = Limits(account=5_000, endpoint=5_000)

CONFIGURATION = """\
[lake]
uri = "{lake}"

[database]
url = "sqlite:///{folder}/redisu.db"

[flockjay]
api_base = "{url}"

[routing]
default = "us"

[courses.redis-101]
name = "Redis for developers"
flockjay_course_id = "fj-redis-101"
tax_code = "txcd_20060058"
prices = {{ usd = 19900, ils = 69900 }}
"""
ACCOUNT = """
[accounts.{name}]
stripe_api_base = "{url}"
stripe_files_base = "{url}"
start = {start}
subsidiary = "Redis {name}"
base_currency = "{upper}"
currency = "{currency}"
tax = "{tax}"
"""
MANUAL = """\
manual_tax_rate = { display_name = "VAT", percentage = 18, inclusive = false, country = "IL", tax_type = "vat" }
"""


@dataclass
class Town:
    """One world behind a server, one configuration, one lake. ``skew`` is how far our clock is from the world's."""

    sandbox: Sandbox
    url: str
    folder: Path
    lake_uri: str
    environ: dict[str, str]
    skew: timedelta = timedelta()
    books: date = START
    events: dict[str, dict[str, Object]] = field(default_factory=dict)
    glimpsed: dict[str, dict[str, Object]] = field(default_factory=dict)

    @property
    def lake(self) -> Path:
        return Path(self.lake_uri)

    @property
    def config(self) -> Path:
        return self.folder / "redisu.toml"

    @property
    def settings(self) -> Settings:
        return load(str(self.config), self.environ)

    @property
    def now(self) -> datetime:
        """The world's time."""
        return datetime.fromtimestamp(self.sandbox.world.now, UTC)

    def store(self, account: str = "us") -> Store:
        return self.sandbox.world.stores[account]

    def advance(self, **by: float) -> None:
        """Let time pass, in timedelta's words."""
        self.sandbox.world.advance(self.now + timedelta(**by))

    def act(self, action: str, account: str = "us", **arguments: Any) -> Any:
        return self.sandbox.world.act(account, action, **arguments)

    def sync(self, **options: Any) -> SyncReport:
        """Sync in this process, at the world's time (and our skew)."""
        self.remember_events()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._environ().items():
                patch.setenv(name, value)
            return syncing.sync(self.settings, self.environ, **options)

    def table(self, report: SyncReport, name: str, account: str = "us") -> TableReport:
        return report.accounts[account].tables[name]

    def start_cli(self, *arguments: str, command: list[str] | None = None, **environ: str) -> subprocess.Popen[str]:
        """``redisu sync --json`` as a process of its own (or ``command``), at the world's time.

        It may be killed: which events it stores is not for sure; see ``remember_events``.
        """
        self.glimpse_events()
        full = [*(command or [*REDISU, "sync"]), "--config", str(self.config), "--json", *arguments]
        env = {**os.environ, **self.environ, **self._environ(), **environ}
        return subprocess.Popen(full, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def cli(self, *arguments: str, command: list[str] | None = None, **environ: str) -> Answer:
        self.remember_events()
        return Answer.of(self.start_cli(*arguments, command=command, **environ))

    def main(self, *arguments: str, **environ: str) -> Answer:
        """The same command inside this process: quicker, for what needs no process of its own."""
        self.remember_events()
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self.environ, **self._environ(), **environ}.items():
                patch.setenv(name, value)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
                cli.main(["sync", "--config", str(self.config), "--json", *arguments])
        return Answer(int(end.value.code or 0), out.getvalue(), err.getvalue())

    def differences(self, account: str = "us", lake: Path | None = None, only: Collection[str] = ()) -> list[str]:
        """What the lake lacks or has wrong, against the world as it is now; ``only`` names the tables to look at."""
        self.glimpse_events()  # a report run of ours makes some, too
        held = source.held_by(lake or self.lake, account)
        expected = self.expected(account, held["events"])
        # a snapshot of another day stays, and was right when it was taken
        held["balances"] = {i: row for i, row in held["balances"].items() if i in expected["balances"]}
        for table in expected:  # what is gone at Stripe keeps its row
            rows = held[table]
            held[table] = {i: row for i, row in rows.items() if row["_deleted_at"] is None or i in expected[table]}
        return source.differences(expected, held, only or TABLES)

    def gone(self, table: str, account: str = "us") -> set[str]:
        """Ids of rows whose object was found gone."""
        return {i for i, row in self.held(table, account).items() if row["_deleted_at"] is not None}

    def expected(self, account: str = "us", stored: Container[str] = ()) -> dict[str, source.Rows]:
        """The source's rows; events are all that Stripe had at one of our syncs, forgotten ones too.

        Of the events that only a killed sync could see, those in ``stored`` are expected.
        """
        store = self.store(account)
        start = datetime(self.books.year, self.books.month, self.books.day, tzinfo=UTC)
        expected = source.expected_of(store, start, self.now + self.skew)
        events = next(resource for resource in source.RESOURCES if resource.object == "event")
        seen = {i: one for i, one in self.glimpsed.get(account, {}).items() if i in stored} | self.events[account]
        kept = [one for one in seen.values() if one["created"] >= int(start.timestamp())]
        expected.update(source.rows_of(events, source.plain(kept), account, store.livemode))
        return expected

    def held(self, table: str, account: str = "us") -> source.Rows:
        return source.held_by(self.lake, account)[table]

    def manifest(self, table: str, account: str = "us") -> Any:
        return json.loads((self.lake / f"_manifest/stripe/{table}/account={account}.json").read_text())

    def unproven(self, account: str = "us") -> list[str]:
        """Tables whose manifest does not tell the source's count and sums."""
        held = source.held_by(self.lake, account)
        expected = self.expected(account, held["events"])
        wrong = []
        for name in expected:
            gone = {i: row for i, row in held[name].items() if row["_deleted_at"] is not None}
            manifest, rows = self.manifest(name, account), gone | expected[name]
            if name != "balances" and manifest["rows"] != len(rows):
                wrong.append(f"{name}: {manifest['rows']} rows, not {len(rows)}")
            if name != "balances" and manifest["sums"] != source.sums_of(rows, TABLES[name]):
                wrong.append(f"{name}: sums {manifest['sums']}, not {source.sums_of(rows, TABLES[name])}")
        return wrong

    def requests(self, account: str = "us") -> list[str]:
        """The API requests since the last ``forget_requests``, as "GET /v1/… status"."""
        return [line.split(" ", 1)[1] for line in self.sandbox.log.shown(account)["last"]]

    def addresses(self) -> Counter[str]:
        """How often each address was asked since the last ``forget_requests``, without its parameters."""
        return Counter(line.split()[1].partition("?")[0] for line in self.requests())

    def asked(self) -> int:
        """How many requests the stand-in has answered since the last ``forget_requests``."""
        return sum(self.sandbox.log.counts.copy().values())

    def forget_requests(self) -> None:
        self.sandbox.log.reset()

    def _environ(self) -> dict[str, str]:
        return {"REDISU_NOW": (self.now + self.skew).isoformat()}

    def remember_events(self) -> None:
        """A sync that is about to complete must store the events that Stripe has now."""
        oldest = self.sandbox.world.now - 30 * 86_400
        for name, store in self.sandbox.world.stores.items():
            kept = {one["id"]: one for one in store.all("event") if one["created"] >= oldest}
            self.events.setdefault(name, {}).update(kept)
        self.glimpse_events()

    def glimpse_events(self) -> None:
        """A sync that may not complete can store the events that Stripe has now."""
        for name, store in self.sandbox.world.stores.items():
            self.glimpsed.setdefault(name, {}).update({one["id"]: one for one in store.all("event")})


MakeTown = Callable[..., Town]


@contextlib.contextmanager
def open_town(
    folder: Path,
    *,
    accounts: tuple[str, ...] = ("us",),
    checkouts: int = 12,
    seed: int = 1,
    start: date = START,
    now: datetime = NOW,
    livemode: bool = True,
    lake: str = "",
    books: date | None = None,
) -> Iterator[Town]:
    """A world that begins at ``start``; the account's own `start` is ``books``, the same unless told otherwise."""
    specs = [replace(spec, livemode=livemode) for spec in (US, IL) if spec.name in accounts]
    sandbox = Sandbox(World(seed, specs, start=start, now=now, checkouts_per_month=checkouts))
    # Time passes only when a test says so; otherwise a POST would bring the world to this process's clock.
    sandbox.now = lambda: sandbox.world.now  # type: ignore[method-assign]
    sandbox.reports.polls = 0  # a report run is done at once; its own tests let it take its time
    folder.mkdir(parents=True)
    with running(App(sandbox)) as (url,):
        uri = lake or str(folder / "lake")
        text = CONFIGURATION.format(folder=folder, lake=uri, url=url)
        for spec in specs:
            named = {"name": spec.name, "upper": spec.currency.upper(), "currency": spec.currency, "tax": spec.tax}
            text += ACCOUNT.format(url=url, start=books or start, **named) + (MANUAL if spec.tax == "manual" else "")
        (folder / "redisu.toml").write_text(text)
        keys = {f"STRIPE_API_KEY_{name.upper()}": store.key for name, store in sandbox.world.stores.items()}
        yield Town(sandbox, url, folder, uri, keys, books=books or START)


def put_copy(store: Store, kind: str, **fields: Any) -> Object:
    """Another object like the newest of its kind, with an id of its own."""
    made = copy.deepcopy(store.all(kind)[-1])
    prefix = made["id"].partition("_")[0]
    for line in made.get("lines", {}).get("data", ()):
        line["id"] = store.new_id("il")
    return store.put({**made, "id": store.new_id(prefix), **fields})


def add_lines(store: Store, kind: str, count: int) -> None:
    """Give the newest object of the kind ``count`` lines in all."""
    parent = store.all(kind)[-1]
    lines = parent["lines"]["data"]
    more = [{**copy.deepcopy(lines[0]), "id": store.new_id("il")} for _ in range(count - len(lines))]
    store.change(kind, parent["id"], lines={**parent["lines"], "data": [*lines, *more]})
