"""The payment pages in front of the stand-ins, as a browser sees them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from quiet_shop import QuietShop, Served, fresh, serving
from starlette.applications import Starlette

from redisu_pipeline.common.settings import Settings
from webhook_service.catalog import apply
from webhook_service.pages import routes
from webhook_service.services import Services, open_services

LEARNER, EMAIL = "learner-7", "jenny@example.com"
LINK = f"/checkout/redis-101?learner={LEARNER}&email={EMAIL}"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as made:
        yield made


@dataclass
class Site:
    """The pages of one service, as a browser without JavaScript sees them."""

    shop: QuietShop
    services: Services
    client: httpx.Client

    def form(self, link: str = LINK, **headers: str) -> dict[str, str]:
        page = self.client.get(link, headers=headers)
        assert page.status_code == 200, page.text
        return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))

    def order(self, link: str = LINK, country: str = "US", **changed: str) -> httpx.Response:
        filled = {**self.form(link), "country": country, "address_confirmed": "yes", **changed}
        return self.client.post(f"/checkout/{urlsplit(link).path.rsplit('/')[-1]}", data=filled)

    def buy(self, country: str = "US", link: str = LINK, **how: Any) -> dict[str, Any]:
        """Order, pay at Stripe; returns the session."""
        answer = self.order(link, country)
        assert answer.status_code == 303, answer.text
        session = self.session(answer)
        account = "il" if country == "IL" else "us"
        paid: dict[str, Any] = self.shop.sandbox.world.act(
            account, "pay", session=session["id"], buyer={"country": country}, **how
        )
        return paid

    def session(self, answer: httpx.Response) -> dict[str, Any]:
        id = answer.headers["location"].rsplit("/", 1)[-1]
        for account in ("us", "il"):
            for each in self.shop.objects(account, "checkout.session"):
                if each["id"] == id:
                    return each
        raise AssertionError(f"no session {id}")

    def sessions(self, account: str = "us") -> list[dict[str, Any]]:
        return self.shop.objects(account, "checkout.session")

    def back(self, session: dict[str, Any]) -> httpx.Response:
        """Follow success_url."""
        parts = urlsplit(session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"]))
        return self.client.get(f"{parts.path}?{parts.query}")


@contextmanager
def site_of(served: Served, shop: QuietShop, settings: Settings, **environ: str) -> Iterator[Site]:
    """The pages at the front, with the catalogue applied."""
    assert not apply(settings, shop.environ, False).problems
    services = open_services(settings, {**shop.environ, **environ})
    served.front.app = Starlette(routes=routes(services))
    yield Site(shop, services, served.client)
    services.close()


@pytest.fixture
def shop(served: Served, tmp_path: Path) -> QuietShop:
    return fresh(served, tmp_path)


@pytest.fixture
def site(served: Served, shop: QuietShop) -> Iterator[Site]:
    with site_of(served, shop, shop.settings()) as made:
        yield made
