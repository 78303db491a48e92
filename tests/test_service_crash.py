"""`kill -9` of `redisu serve` at random moments under load: what was acknowledged is there once, with its effect."""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from quiet_shop import Served, fresh, serving
from service_house import House, event, house, signed, until
from sqlalchemy import func, select

from redisu_pipeline.common.opsdb.schema import events, jobs, orders
from sandbox import run

pytest_plugins = ("stores",)
RATE = 500
LEARNERS = 40
KILLS = 6


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as made:
        yield made


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/redisu.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@dataclass
class Sender:
    """Stripe's side: sends what is not acknowledged again and again, some of it twice."""

    port: int
    secret: str
    waiting: deque[tuple[str, bytes]]
    acknowledged: set[str] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> list[threading.Thread]:
        threads = [threading.Thread(target=self.send, args=(n,), daemon=True) for n in range(10)]
        for thread in threads:
            thread.start()
        return threads

    def send(self, seed: int) -> None:
        chance = random.Random(seed)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.stopped.is_set():
            try:
                id, body = self.waiting.popleft()
            except IndexError:
                time.sleep(0.01)
                continue
            try:
                connection.request("POST", "/webhooks/stripe/us", body, dict(signed(body, self.secret)))
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                connection.close()
                status = 0
                time.sleep(0.05)
            self.answers[status] += 1
            if status == 200:
                self.acknowledged.add(id)
            if status != 200 or chance.random() < 0.1:
                self.waiting.append((id, body))
            time.sleep(10 / RATE)
        connection.close()


@dataclass
class Server:
    """`redisu serve` as a process."""

    config: Path
    environ: Mapping[str, str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(Path(sys.executable).with_name("redisu")), "serve", "--port", str(self.port)]
        environ = {**os.environ, **self.environ, "REDISU_CONFIG": str(self.config)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)

    def end(self, with_signal: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(with_signal)
        return self.process.wait(60)


def free_port() -> int:
    listener = run.listening(0)
    port: int = listener.getsockname()[1]
    listener.close()
    return port


@pytest.mark.long
@pytest.mark.timeout(400)
def test_killed_at_random_moments_it_keeps_each_event_once_and_unlocks_each_learner_once(
    served: Served, tmp_path: Path, url: str
) -> None:
    home = house(fresh(served, tmp_path), url)
    made = [home.buy(f"learner-{n}") for n in range(LEARNERS)]
    completed = [one for one in home.shop.objects("us", "event") if one["type"] == "checkout.session.completed"]
    filler = [event(id=f"evt_filler_{n}", type="invoice.finalized") for n in range(RATE * KILLS)]
    sent = {one["id"]: json.dumps(one).encode() for one in [*completed, *filler]}
    order = list(sent.items())
    random.Random(1).shuffle(order)
    server = Server(tmp_path / "redisu.toml", home.shop.environ, free_port(), tmp_path / "serve.log")
    sender = Sender(server.port, str(home.shop.environ["STRIPE_WEBHOOK_SECRET_US"]), deque(order))
    threads = sender.start()
    chance = random.Random(2)
    try:
        for _ in range(KILLS):
            before = len(sender.acknowledged)
            server.start()
            until(lambda before=before: len(sender.acknowledged) > before, 60)  # type: ignore[misc]
            time.sleep(chance.uniform(0.0, 1.0))
            server.end(signal.SIGKILL)
        server.start()
        until(lambda: len(sender.acknowledged) == len(sent), 120)
        until(lambda: all(home.has_access(one.learner) for one in made), 120)
        until(lambda: unlocked(home) == LEARNERS, 120)
    finally:
        sender.stopped.set()
        for thread in threads:
            thread.join(60)
        code = server.end(signal.SIGTERM)
    assert code == 0, server.log.read_text()[-2000:]
    with home.services.database.read() as connection:
        kept = [*connection.execute(select(events.c.id)).scalars()]
        finished = connection.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state)).all()
    assert sorted(kept) == sorted(sent)
    assert {state for state, _ in finished} == {"done"}
    keys = Counter(
        call["path"] for call in {(c["path"], c["idempotency_key"]): c for c in home.flockjay.calls()}.values()
    )
    assert set(keys.values()) == {1}, "every learner by one key, however often it was called"
    assert len(keys) == LEARNERS
    home.services.close()


def unlocked(home: House) -> int:
    with home.services.database.read() as connection:
        counted = select(func.count()).select_from(orders).where(orders.c.state == "unlocked")
        return int(connection.execute(counted).scalar_one())
