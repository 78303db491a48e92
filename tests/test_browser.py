"""A buyer's whole way in a real browser: choose, confirm, pay at the stand-in's page, come back, see it unlocked."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from quiet_shop import QuietShop, Served, fresh, serving

from sandbox.client import FlockJayControl
from webhook_service.catalog import apply

pytestmark = [pytest.mark.browser, pytest.mark.long]
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
PHONE = {"width": 360, "height": 740}
PICTURES = os.environ.get("REDISU_PICTURES")  # a folder: keep screenshots there


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(each for each in CHROMIUM if Path(each).exists())
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as made:
        yield made


@dataclass
class Town:
    """Everything that a buyer meets: the service in a process of its own, and the stand-ins."""

    shop: QuietShop
    url: str
    learners: int = 0  # so far: each test has a learner of its own

    @property
    def flockjay(self) -> FlockJayControl:
        return FlockJayControl(self.shop.flockjay_url)

    @property
    def learner(self) -> str:
        return f"learner-{self.learners}"

    @property
    def link(self) -> str:
        return f"{self.url}/checkout/redis-101?learner={self.learner}&email=jenny@example.com"

    def has_access(self) -> bool:
        return "fj_crs_101" in self.flockjay.access().get(self.learner, {})

    def session(self, account: str) -> dict[str, Any]:
        """The learner's only session in that account."""
        (found,) = (
            each
            for each in self.shop.control.raw(account, "checkout.session")
            if each["metadata"]["learner"] == self.learner
        )
        return found


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def service(shop: QuietShop, folder: Path, port: int) -> Iterator[None]:
    command = [sys.executable, "-c", "from redisu_pipeline.cli import main; main()", "serve", "--port", str(port)]
    environ = {**os.environ, **shop.environ, "REDISU_CONFIG": str(folder / "redisu.toml")}
    with (folder / "serve.log").open("w") as log:
        child = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        try:
            _await(f"http://127.0.0.1:{port}/readyz", child, folder / "serve.log")
            yield
        finally:
            child.terminate()
            child.wait(60)


def _await(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and child.poll() is None:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"the service is not ready: {log.read_text()}")


@pytest.fixture(scope="module")
def built(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    shop, port = fresh(served, folder), free_port()
    url = f"http://127.0.0.1:{port}"
    pages = 'course_url = "https://university.example/{course}"\nsupport = "mailto:help@example.com"'
    settings = shop.settings(public=url, pages=pages, us='terms_url = "https://redis.io/terms"')
    assert not apply(settings, shop.environ, False).problems
    for account in ("us", "il"):
        shop.control.webhooks(account, f"{url}/webhooks/stripe/{account}")
    with service(shop, folder, port):
        yield Town(shop, url)


@pytest.fixture
def town(built: Town) -> Town:
    built.learners += 1
    return built


@contextmanager
def visitor(browser: Browser, *, javascript: bool = True, phone: bool = False, locale: str = "en-US") -> Iterator[Page]:
    """A new buyer's tab; whatever its console complains of fails the test."""
    size = PHONE if phone else {"width": 1100, "height": 900}
    context = browser.new_context(java_script_enabled=javascript, viewport=size, locale=locale, is_mobile=phone)
    page = context.new_page()
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # A declined card (402 of the stand-in) and a form to be completed (400) are part of the play.
        if message.type == "error" and "status of 40" not in message.text:
            complaints.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def order(page: Page, link: str, country: str = "United States") -> None:
    """From the link to Stripe's page."""
    page.goto(link)
    page.get_by_label("Country of your billing address").select_option(label=country)
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Continue to payment").click()
    expect(page.get_by_text("A stand-in of Stripe’s payment page")).to_be_visible()


def pay(page: Page, way: str = "a card that works", country: str = "United States") -> None:
    """Fill Stripe's page in and pay."""
    page.get_by_role("textbox", name="Name").fill("Jenny Rosen")
    page.get_by_role("combobox").select_option(label=country)
    page.get_by_role("textbox", name="Street").fill("350 5th Ave")
    page.get_by_role("textbox", name="City").fill("New York")
    page.get_by_role("textbox", name="State").fill("NY")
    page.get_by_role("textbox", name="ZIP").fill("10001")
    page.get_by_label(way, exact=True).check()
    terms = page.get_by_role("checkbox")
    if terms.count():
        terms.check()
    page.get_by_role("button", name="Pay").click()


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


def test_from_the_click_to_the_unlocked_course(town: Town, browser: Browser) -> None:
    town.flockjay.mood(outage=True)
    with visitor(browser) as page:
        page.goto(town.link)
        picture(page, "checkout-desktop")
        order(page, town.link)
        picture(page, "stripe-desktop")
        pay(page)
        expect(page.get_by_role("heading", name="Paid. We are unlocking your course")).to_be_visible()
        picture(page, "unlocking-desktop")
        page.evaluate("window.stayed = true")
        town.flockjay.mood()
        expect(page.get_by_role("heading", name="Your course is unlocked")).to_be_visible(timeout=60_000)
        assert page.evaluate("window.stayed")  # it turned without reloading
        assert page.title().startswith("Your course is unlocked")
        assert page.get_by_role("link", name="Start the course").get_attribute("href") == (
            "https://university.example/redis-101"
        )
        expect(page.get_by_role("link", name="See your invoice")).to_be_visible()
        picture(page, "unlocked-desktop")
        page.goto(town.link)
        expect(page.get_by_text("You already have this course.")).to_be_visible()
        expect(page.get_by_role("button")).to_have_count(0)
        picture(page, "owned-desktop")
    assert town.has_access()
    assert town.session("us")["consent"]["terms_of_service"] == "accepted"


def test_an_israeli_buyer_pays_vat_to_the_israeli_account_on_a_phone(town: Town, browser: Browser) -> None:
    with visitor(browser, phone=True, locale="he-IL") as page:
        page.goto(town.link)
        expect(page.get_by_label("Country of your billing address")).to_have_value("IL")
        picture(page, "checkout-phone")
        order(page, town.link, "Israel")
        expect(page.get_by_text("125.82 ILS")).to_be_visible()
        pay(page, country="Israel")
        expect(page.get_by_role("heading", name="Your course is unlocked")).to_be_visible(timeout=60_000)
        picture(page, "unlocked-phone")
    session = town.session("il")
    assert (session["currency"], session["amount_total"]) == ("ils", 82482)
    assert town.has_access()


def test_a_declined_card_may_be_followed_by_another(town: Town, browser: Browser) -> None:
    with visitor(browser) as page:
        order(page, town.link)
        pay(page, "a card that is declined")
        expect(page.get_by_role("alert")).to_contain_text("declined")
        pay(page)
        expect(page.get_by_role("heading", name="Your course is unlocked")).to_be_visible(timeout=60_000)


def test_a_bank_debit_is_waited_for_and_the_page_turns_when_it_arrives(town: Town, browser: Browser) -> None:
    with visitor(browser) as page:
        order(page, town.link)
        pay(page, "a bank debit that arrives later")
        expect(page.get_by_role("heading", name="Your payment is on its way")).to_be_visible()
        picture(page, "processing-desktop")
        assert not town.has_access()
        town.shop.control.act("us", "settle", session_id=town.session("us")["id"])
        expect(page.get_by_role("heading", name="Your course is unlocked")).to_be_visible(timeout=60_000)


def test_a_bank_debit_that_fails_is_said_so_with_a_way_to_try_again(town: Town, browser: Browser) -> None:
    with visitor(browser) as page:
        order(page, town.link)
        pay(page, "a bank debit that arrives later")
        expect(page.get_by_role("heading", name="Your payment is on its way")).to_be_visible()
        town.shop.control.act("us", "fail_payment", session_id=town.session("us")["id"])
        expect(page.get_by_role("heading", name="Your payment failed")).to_be_visible(timeout=60_000)
        picture(page, "failed-desktop")
        page.get_by_role("link", name="Try again").click()
        expect(page.get_by_role("button", name="Continue to payment")).to_be_visible()
    assert not town.has_access()


def test_everything_works_without_javascript(town: Town, browser: Browser) -> None:
    with visitor(browser, javascript=False) as page:
        order(page, town.link)
        pay(page)
        expect(page.get_by_role("heading", name="Your course is unlocked")).to_be_visible(timeout=60_000)
        expect(page.get_by_role("link", name="Start the course")).to_be_visible()


def test_the_page_can_be_used_by_keyboard_alone(town: Town, browser: Browser) -> None:
    with visitor(browser) as page:
        page.goto(town.link)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type("Germany")
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_text("A stand-in of Stripe’s payment page")).to_be_visible()
    assert town.session("us")["status"] == "open"


def test_what_is_missing_is_said_where_it_is_missing(town: Town, browser: Browser) -> None:
    with visitor(browser, phone=True, javascript=False) as page:
        page.goto(town.link)
        page.get_by_label("Country of your billing address").select_option("")
        page.get_by_role("button", name="Continue to payment").click()
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("Choose the country of your billing address.")
        expect(alert).to_contain_text("Confirm that your billing address will be correct.")
        field = page.get_by_label("Country of your billing address")
        assert field.get_attribute("aria-invalid") == "true"
        picture(page, "errors-phone")


def test_nothing_is_wider_than_a_phone_and_everything_pressed_is_large_enough(town: Town, browser: Browser) -> None:
    with visitor(browser, phone=True) as page:
        page.goto(town.link)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        for target in (page.get_by_role("button"), page.get_by_role("combobox")):
            box = target.bounding_box()
            assert box is not None
            assert box["height"] >= 44
