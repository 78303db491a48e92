"""The payment page: what it shows, and how an order becomes one open session."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from checkout_site import EMAIL, LEARNER, LINK, Site, site_of
from quiet_shop import QuietShop, Served

from webhook_service import orders, refresh
from webhook_service.catalog import apply

pytest_plugins = ("checkout_site",)


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
