"""A shop that the doctor looks at, with everything in order, and verbs that spoil it."""

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import quiet_shop
from quiet_shop import QuietShop, Served

from redisu_pipeline import cli
from redisu_pipeline.common.settings import Settings
from redisu_pipeline.doctor import asking, stripe_webhook
from redisu_pipeline.tables.model import Scope
from redisu_pipeline.tables.registry import RESOURCES
from sandbox.client import FlockJayControl
from webhook_service import catalog
from webhook_service.stripe_events import SWEPT_TYPES

PUBLIC = "https://learn.example"
READS = [resource.name for resource in RESOURCES if resource.scope is not Scope.REPORT]


@dataclass
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def checks(self) -> dict[str, dict[str, str]]:
        return {check["id"]: check for check in self.json["checks"]}

    def states(self, *states: str) -> dict[str, str]:
        return {id: check["evidence"] for id, check in self.checks.items() if check["state"] in states}

    @property
    def failed(self) -> set[str]:
        return set(self.states("fail"))


@dataclass
class Clinic:
    """Two accounts where all is well, and `doctor` run in this process."""

    shop: QuietShop
    settings: Settings
    environ: dict[str, str] = field(repr=False)

    def doctor(self, *arguments: str, **environ: str) -> Answer:
        return self.run("--json", *arguments, **environ)

    def run(self, *arguments: str, **environ: str) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self.environ, **environ}.items():
                patch.setenv(name, value)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
                cli.main(["doctor", "--config", self.settings.path, *arguments])
        return Answer(int(end.value.code or 0), out.getvalue(), err.getvalue())

    def configure(self, **changed: str) -> None:
        self.settings = _configured(self.shop, **changed)

    def endpoint(self, account: str = "us", **fields: Any) -> None:
        """Change the account's one webhook endpoint."""
        store = self.shop.sandbox.world.stores[account]
        (one,) = store.all("webhook_endpoint")
        store.change("webhook_endpoint", one["id"], **fields)

    @property
    def flockjay(self) -> FlockJayControl:
        return FlockJayControl(self.shop.flockjay_url)


def _configured(shop: QuietShop, **changed: str) -> Settings:
    base = f'stripe_api_base = "{shop.url}"'
    return shop.settings(public=PUBLIC, **{base: f'{base}\nstripe_files_base = "{shop.url}"', **changed})


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with quiet_shop.serving() as made:
        yield made


@pytest.fixture
def clinic(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clinic:
    monkeypatch.setattr(asking, "PAUSE_SECONDS", 0.01)
    shop = quiet_shop.fresh(served, tmp_path)
    settings = _configured(shop)
    for account in settings.accounts.values():
        shop.control.webhooks(account.name, stripe_webhook.address(settings, account), types=list(SWEPT_TYPES))
    assert not catalog.apply(settings, shop.environ, dry_run=False).problems
    for store in shop.sandbox.world.stores.values():  # a listener that nobody is behind
        store.listeners.clear()
    return Clinic(shop, settings, dict(shop.environ))
