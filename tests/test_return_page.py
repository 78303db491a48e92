"""Where Stripe sends the buyer afterwards: what the page says, and to whom."""

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from checkout_site import EMAIL, LEARNER, LINK, Site

from webhook_service import refresh

pytest_plugins = ("checkout_site",)


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
