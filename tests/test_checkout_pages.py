"""The payment page and the return page over HTTP, against the stand-in of Stripe: what a buyer meets."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from quiet_shop import QuietShop, Served, fresh, serving
from starlette.applications import Starlette

from redisu_pipeline.common.secrets import Secret
from redisu_pipeline.common.settings import Settings
from webhook_service import orders, refresh
from webhook_service.catalog import apply
from webhook_service.pages import routes
from webhook_service.pages.signing import Links
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


def test_the_page_shows_the_course_its_prices_and_asks_for_country_and_responsibility(site: Site) -> None:
    page = site.client.get(LINK).text
    assert "<h1>Redis 101 &lt;for&gt; everyone</h1>" in page
    assert "199.00 USD" in page
    assert "699.00 ILS" in page
    assert "plus 18 % VAT" in page
    assert 'name="address_confirmed" value="yes" required' in page
    assert '<option value="IL">Israel</option>' in page


@pytest.mark.parametrize(
    ("languages", "country"), [("he-IL,he;q=0.9", "IL"), ("en-GB", "GB"), ("de;q=0.5,fr;q=0.9", "FR"), ("", None)]
)
def test_the_country_is_guessed_from_the_browsers_languages(site: Site, languages: str, country: str | None) -> None:
    page = site.client.get(LINK, headers={"accept-language": languages}).text
    assert re.findall(r'<option value="(..)" selected>', page) == ([country] if country else [])


def test_an_order_becomes_a_session_with_everything_the_books_need(site: Site) -> None:
    answer = site.order()
    session = site.session(answer)
    assert answer.status_code == 303
    metadata = session["metadata"]
    assert (metadata["course"], metadata["flockjay_course_id"]) == ("redis-101", "fj_crs_101")
    assert metadata["learner"] == LEARNER
    assert metadata["order_id"] == session["client_reference_id"]
    assert session["invoice_creation"]["invoice_data"]["metadata"] == metadata
    assert session["automatic_tax"]["enabled"] is True
    assert session["billing_address_collection"] == "required"
    assert session["customer_email"] == EMAIL
    assert session["tax_id_collection"]["enabled"] is True
    assert session["adaptive_pricing"] == session["managed_payments"] == {"enabled": False}
    assert session["amount_subtotal"] == 19900


def test_an_israeli_buyer_goes_to_the_israeli_account_with_vat(site: Site) -> None:
    site.order(country="IL")
    assert site.sessions("us") == []
    (session,) = site.sessions("il")
    assert (session["currency"], session["amount_subtotal"]) == ("ils", 69900)
    assert session["total_details"]["amount_tax"] == 12582
    assert session["automatic_tax"]["enabled"] is False


def test_an_account_with_terms_asks_consent_with_the_address_sentence(served: Served, shop: QuietShop) -> None:
    with site_of(served, shop, shop.settings(us='terms_url = "https://redis.io/terms"')) as site:
        session = site.session(site.order())
    assert session["consent_collection"]["terms_of_service"] == "required"
    message = session["custom_text"]["terms_of_service_acceptance"]["message"]
    assert "billing address is correct" in message
    assert "[terms](https://redis.io/terms)" in message


def test_a_second_click_leads_to_the_same_session(site: Site) -> None:
    first, second = site.order(), site.order()
    assert first.headers["location"] == second.headers["location"]
    assert len(site.sessions()) == 1


def test_ten_clicks_at_once_make_one_session(site: Site) -> None:
    form = {**site.form(), "country": "US", "address_confirmed": "yes"}
    gate = threading.Barrier(10)

    def click(_: int) -> httpx.Response:
        gate.wait()
        return site.client.post("/checkout/redis-101", data=form)

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(click, range(10)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len(site.sessions()) == 1


def test_an_expired_session_is_followed_by_a_new_one(site: Site) -> None:
    first = site.session(site.order())
    site.shop.sandbox.world.act("us", "expire", session_id=first["id"])
    second = site.session(site.order())
    assert second["id"] != first["id"]
    assert second["status"] == "open"


def test_who_chooses_another_country_can_pay_only_there(site: Site) -> None:
    american = site.session(site.order(country="US"))
    israeli = site.session(site.order(country="IL"))
    assert (american["status"], israeli["status"]) == ("expired", "open")


def test_who_gives_another_address_gets_another_session_and_the_first_is_closed(site: Site) -> None:
    first = site.session(site.order())
    second = site.session(site.order(link=LINK.replace("jenny", "rosen")))
    assert (first["status"], second["status"]) == ("expired", "open")
    assert second["customer_email"] == "rosen@example.com"


def test_who_paid_while_the_webhook_was_lost_does_not_pay_again(site: Site) -> None:
    site.buy()
    answer = site.order()
    assert answer.status_code == 409
    assert "You already have this course." in answer.text
    assert len(site.sessions()) == 1


def test_a_learner_who_has_the_course_is_told_so_and_offered_no_payment(site: Site) -> None:
    session = site.buy()
    site.back(session)
    page = site.client.get(LINK).text
    assert "You already have this course." in page
    assert "<form" not in page


def test_while_a_bank_debit_is_on_its_way_nothing_more_is_sold(site: Site) -> None:
    site.buy(method="us_bank_account")
    answer = site.order()
    assert answer.status_code == 409
    assert "on its way" in answer.text


def test_after_a_refund_the_course_can_be_bought_again(site: Site) -> None:
    session = site.buy()
    site.back(session)
    (charge,) = site.shop.objects("us", "charge")
    site.shop.sandbox.world.act("us", "refund", charge_id=charge["id"])
    refresh.refresh(site.services, "us", session["id"])
    assert site.order().status_code == 303
    assert len(site.sessions()) == 2


def test_missing_answers_are_asked_for_beside_their_fields(site: Site) -> None:
    answer = site.order(country="", address_confirmed="no")
    assert answer.status_code == 400
    assert "Choose the country of your billing address." in answer.text
    assert 'aria-describedby="address-error"' in answer.text
    assert "<title>Please check: Redis 101" in answer.text
    assert site.sessions() == []


def test_a_course_without_a_price_in_the_countrys_account_is_not_sold_there(site: Site) -> None:
    answer = site.order(link=LINK.replace("redis-101", "cert-dev"), country="IL")
    assert answer.status_code == 400
    assert "not sold in that country" in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?learner=x",
        f"?email={EMAIL}",
        f"?learner=../../admin&email={EMAIL}",
        f"?learner=a%0d%0ab&email={EMAIL}",
        f"?learner={'x' * 200}&email={EMAIL}",
        f"?learner={LEARNER}&email=no-address",
        f"?learner={LEARNER}&email=a@b",
        f"?learner={LEARNER}&email={'x' * 260}@example.com",
        f"?learner={LEARNER}&email=%22%3E%3Cscript%3E@example.com",
    ],
)
def test_a_link_that_names_nobody_is_refused_without_repeating_it(site: Site, query: str) -> None:
    answer = site.client.get(f"/checkout/redis-101{query}")
    assert answer.status_code == 400
    assert "This link does not work" in answer.text
    assert "script>@" not in answer.text


def test_an_unknown_course_is_not_found(site: Site) -> None:
    assert site.client.get(LINK.replace("redis-101", "nope")).status_code == 404
    assert site.client.post("/checkout/nope", data={}).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_a_form_that_another_site_sends_is_refused(site: Site, headers: dict[str, str]) -> None:
    form = {**site.form(), "country": "US", "address_confirmed": "yes"}
    assert site.client.post("/checkout/redis-101", data=form, headers=headers).status_code == 403
    assert site.sessions() == []


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin"}, {"origin": "http://localhost:8000"}])
def test_the_pages_own_form_is_taken_from_a_browser(site: Site, headers: dict[str, str]) -> None:
    form = {**site.form(), "country": "US", "address_confirmed": "yes"}
    assert site.client.post("/checkout/redis-101", data=form, headers=headers).status_code == 303


@pytest.mark.parametrize("changed", [{"csrf_token": ""}, {"csrf_token": "x.y"}, {"learner": "somebody-else"}])
def test_a_form_without_the_pages_token_for_this_learner_is_refused(site: Site, changed: dict[str, str]) -> None:
    assert site.order(**changed).status_code == 403
    assert site.sessions() == []


def test_a_form_token_expires(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDISU_NOW", "2026-11-23T10:00:00Z")
    form = {**site.form(), "country": "US", "address_confirmed": "yes"}
    monkeypatch.setenv("REDISU_NOW", "2026-11-23T22:00:01Z")
    assert site.client.post("/checkout/redis-101", data=form).status_code == 403


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("application/x-www-form-urlencoded", b"x" * 20_000, 413),
        ("application/x-www-form-urlencoded", b"learner=%ff%fe", 400),
        ("application/x-www-form-urlencoded", b"\xff\xfe", 400),
        ("application/x-www-form-urlencoded", b"&".join(b"a=b" for _ in range(60)), 400),
    ],
)
def test_a_body_that_no_form_sends_is_refused(site: Site, kind: str, body: bytes, status: int) -> None:
    answer = site.client.post("/checkout/redis-101", content=body, headers={"content-type": kind})
    assert answer.status_code == status


def test_a_buyer_is_sent_only_where_stripe_says(site: Site) -> None:
    link = f"{LINK}&next=https://evil.example&success_url=https://evil.example"
    answer = site.order(link=link, success_url="https://evil.example", url="https://evil.example")
    assert answer.headers["location"].startswith(f"{site.shop.url}/c/pay/cs_")
    session = site.session(answer)
    assert session["success_url"].startswith("http://localhost:8000/checkout/return?")
    assert session["cancel_url"].startswith("http://localhost:8000/checkout/redis-101?")


def test_too_many_orders_from_one_address_have_to_wait(served: Served, shop: QuietShop) -> None:
    settings = shop.settings(pages="checkouts_per_minute = 3")
    with site_of(served, shop, settings) as site:
        answers = [site.order() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [303, 303, 303, 429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60


def test_when_stripe_is_out_of_order_the_buyer_is_told_that_nothing_was_charged(site: Site) -> None:
    site.shop.control.faults(server_error=1.0)
    answer = site.order()
    assert answer.status_code == 503
    assert "You were not charged." in answer.text
    assert answer.headers["retry-after"]


def test_a_price_that_is_not_what_the_page_says_is_not_charged(site: Site) -> None:
    (price,) = (each for each in site.shop.objects("us", "price") if each["lookup_key"] == "redis-101")
    site.shop.sandbox.world.stores["us"].change("price", price["id"], unit_amount=99900)
    assert site.order().status_code == 503
    assert site.sessions() == []


def test_a_price_that_changed_since_it_was_looked_up_is_looked_up_again(site: Site) -> None:
    site.order()
    apply(site.shop.settings(**{"usd = 19900": "usd = 17900"}), site.shop.environ, False)
    apply(site.shop.settings(), site.shop.environ, False)
    answer = site.order(link=LINK.replace(LEARNER, "learner-8"))
    assert answer.status_code == 303
    assert site.session(answer)["amount_subtotal"] == 19900


def test_a_click_whose_session_was_never_recorded_is_not_stuck(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("webhook_service.pages.desk.record_session", lambda *_: None)
        site.order()
    assert site.order(link=LINK.replace("jenny", "rosen")).status_code == 303


@pytest.fixture
def signed(served: Served, shop: QuietShop) -> Iterator[Site]:
    settings = shop.settings(pages='link_secret_envs = ["NEW", "OLD"]')
    with site_of(served, shop, settings, NEW="new-secret", OLD="old-secret") as made:
        yield made


@pytest.mark.parametrize("secret", ["new-secret", "old-secret"])
def test_a_signed_link_opens_the_page_while_a_secret_rolls(signed: Site, secret: str) -> None:
    expires = signed.services.now() + timedelta(hours=1)
    link = f"/checkout/redis-101?{Links((Secret(secret),)).query('redis-101', LEARNER, EMAIL, expires)}"
    assert signed.order(link=link).status_code == 303


@pytest.mark.parametrize(
    "change",
    [
        lambda link: link.replace(LEARNER, "learner-8"),
        lambda link: link.replace("redis-101", "cert-dev"),
        lambda link: link.replace("signature=", "signature=0"),
        lambda link: re.sub(r"expires=(\d+)", r"expires=9\1", link),
        lambda link: re.sub(r"&signature=\w+", "", link),
        lambda link: re.sub(r"signature=\w+", "signature=%F0%9F%98%80", link),
    ],
)
def test_a_signed_link_that_was_changed_opens_nothing(signed: Site, change: Any) -> None:
    expires = signed.services.now() + timedelta(hours=1)
    link = f"/checkout/redis-101?{Links((Secret('new-secret'),)).query('redis-101', LEARNER, EMAIL, expires)}"
    assert signed.client.get(change(link)).status_code == 400


def test_a_signed_link_expires(signed: Site) -> None:
    link = Links((Secret("new-secret"),)).query("redis-101", LEARNER, EMAIL, signed.services.now())
    assert signed.client.get(f"/checkout/redis-101?{link}").status_code == 400


def test_who_turns_back_at_stripe_finds_the_signed_page_again(signed: Site) -> None:
    expires = signed.services.now() + timedelta(hours=1)
    query = Links((Secret("new-secret"),)).query("redis-101", LEARNER, EMAIL, expires)
    session = signed.session(signed.order(link=f"/checkout/redis-101?{query}"))
    parts = urlsplit(session["cancel_url"])
    assert signed.client.get(f"{parts.path}?{parts.query}").status_code == 200


def test_the_return_page_knows_of_the_payment_before_the_webhook(site: Site) -> None:
    page = site.back(site.buy())
    assert "Paid. We are unlocking your course" in page.text
    assert "Redis 101 &lt;for&gt; everyone" in page.text
    assert 'http-equiv="refresh"' in page.text


def test_the_return_page_shows_the_invoice_to_its_buyer(site: Site) -> None:
    session = site.buy()
    (invoice,) = site.shop.objects("us", "invoice")
    page = site.back(session)
    assert invoice["hosted_invoice_url"] in page.text.replace("&amp;", "&")


def test_without_a_valid_token_only_the_state_is_shown(site: Site) -> None:
    session = site.buy()
    for token in ("", "x", "x.y", "é.ü", site.services and "W10.AAAA"):
        page = site.client.get("/checkout/return", params={"session_id": session["id"], "token": token})
        assert page.status_code == 200
        assert "Paid." in page.text
        for personal in (LEARNER, EMAIL, "Redis 101", session["client_reference_id"], "invoice"):
            assert personal not in page.text.replace("See your invoice", "invoice")


def test_the_token_of_one_order_shows_nothing_of_another(site: Site) -> None:
    mine = site.buy()
    other = site.buy(link=LINK.replace(LEARNER, "learner-8"))
    token = parse_qs(urlsplit(mine["success_url"]).query)["token"][0]
    page = site.client.get("/checkout/return", params={"session_id": other["id"], "token": token})
    assert "Paid." in page.text
    assert "Order ord_" not in page.text


def test_a_delayed_payment_is_said_to_be_on_its_way_and_then_to_have_failed(site: Site) -> None:
    session = site.buy(method="us_bank_account")
    assert "Your payment is on its way" in site.back(session).text
    site.shop.sandbox.world.act("us", "fail_payment", session_id=session["id"])
    refresh.refresh(site.services, "us", session["id"])
    page = site.back(session).text
    assert "Your payment failed" in page
    assert "Try again" in page
    assert 'http-equiv="refresh"' not in page


def test_an_unknown_session_is_not_found(site: Site) -> None:
    for session_id in ("", "cs_test_nobody", "cs_" + "x" * 300, "../../x", "\x00"):
        assert site.client.get("/checkout/return", params={"session_id": session_id}).status_code == 404
    assert not site.shop.control.requests()["endpoints"].get("GET /v1/checkout/sessions/{}")


def test_a_session_that_was_never_recorded_is_found_by_its_buyers_token(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("webhook_service.pages.desk.record_session", lambda *_: None)
        session = site.buy()
    assert "Paid." in site.back(session).text


def test_a_slow_unlock_is_admitted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    session = site.buy()
    site.back(session)
    later = site.services.now() + timedelta(minutes=6)
    monkeypatch.setenv("REDISU_NOW", later.isoformat())
    page = site.back(session).text
    assert "Paid, but your course is not open yet" in page
    assert "You need not pay again." in " ".join(page.split())


def test_the_piece_that_turns_is_the_same_words(site: Site) -> None:
    session = site.buy()
    page = site.back(session).text
    look = re.search(r'data-look="([^"]+)"', page)
    assert look
    piece = site.client.get(look[1].replace("&amp;", "&"))
    assert piece.status_code == 200
    assert "<html" not in piece.text
    assert 'data-state="paid"' in piece.text


@pytest.mark.parametrize("path", [LINK, "/checkout/redis-101", "/checkout/nope", "/checkout/return"])
def test_every_page_forbids_what_it_does_not_need(site: Site, path: str) -> None:
    headers = site.client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "set-cookie" not in headers


def test_the_form_may_lead_to_stripe_and_nowhere_else(site: Site) -> None:
    policy = site.client.get(LINK).headers["content-security-policy"]
    (action,) = (part for part in policy.split("; ") if part.startswith("form-action"))
    assert action == f"form-action 'self' https://checkout.stripe.com {site.shop.url}"


def test_the_stand_ins_order_is_ours(site: Site) -> None:
    session = site.buy()
    progress = orders.state_of(site.services.database, session["id"])
    assert progress is not None
    assert progress.order.learner == LEARNER


def test_a_free_course_is_had_without_a_payment(served: Served, shop: QuietShop) -> None:
    with site_of(served, shop, shop.settings(**{"usd = 19900": "usd = 0"})) as site:
        assert "<strong>free</strong>" in site.client.get(LINK).text
        session = site.buy()
        assert session["payment_status"] == "no_payment_required"
        assert "Paid." in site.back(session).text


def test_an_address_that_stripe_refuses_is_a_bad_link(site: Site) -> None:
    link = LINK.replace("jenny@example.com", "jenny@münchen.example")
    assert site.client.get(link).status_code == 400
