"""What the payment page refuses: links that name nobody or were changed, forms that are not its own."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from checkout_site import EMAIL, LEARNER, LINK, Site, site_of
from quiet_shop import QuietShop, Served

from redisu_pipeline.common.secrets import Secret
from webhook_service.pages.signing import Links

pytest_plugins = ("checkout_site",)


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
