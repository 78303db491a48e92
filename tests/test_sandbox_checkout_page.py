"""The stand-in of Stripe's payment page: what a buyer can do there, and what then is so at Stripe."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from quiet_shop import QuietShop, Served, fresh, serving

FORM = {
    "email": "jenny@example.com",
    "name": "Jenny Rosen",
    "country": "US",
    "line1": "350 5th Ave",
    "city": "New York",
    "state": "NY",
    "postal_code": "10001",
    "way": "card",
}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as made:
        yield made


@pytest.fixture
def shop(served: Served, tmp_path: Path) -> QuietShop:
    return fresh(served, tmp_path)


def session(shop: QuietShop, amount: int = 19900, **changed: str) -> dict[str, Any]:
    """A session made over the API, with its page at the stand-in."""
    given = {
        "mode": "payment",
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][product_data][name]": "Redis <101>",
        "line_items[0][price_data][unit_amount]": str(amount),
        "line_items[0][quantity]": "1",
        "automatic_tax[enabled]": "true",
        "invoice_creation[enabled]": "true",
        "success_url": "https://shop.example/done?id={CHECKOUT_SESSION_ID}",
        **changed,
    }
    key = shop.sandbox.world.stores["us"].key
    answer = httpx.post(f"{shop.url}/v1/checkout/sessions", data=given, auth=(key, ""))
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = shop.sandbox.world.stores["us"].get("checkout.session", answer.json()["id"])
    assert made["url"].startswith(f"{shop.url}/c/pay/cs_")
    return made


def pressed(made: dict[str, Any], **changed: str) -> httpx.Response:
    return httpx.post(made["url"], data={**FORM, **changed})


def test_the_page_shows_what_is_sold_and_asks_for_the_address(shop: QuietShop) -> None:
    page = httpx.get(session(shop)["url"]).text
    assert "Redis &lt;101&gt;" in page
    assert "199.00 USD" in page
    assert 'name="postal_code"' in page


def test_paying_completes_the_session_with_the_address_and_its_tax_and_leads_back(shop: QuietShop) -> None:
    made = session(shop)
    answer = pressed(made)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"https://shop.example/done?id={made['id']}"
    assert (made["status"], made["payment_status"]) == ("complete", "paid")
    assert made["customer_details"]["address"]["postal_code"] == "10001"
    assert made["total_details"]["amount_tax"] > 0


def test_a_declined_card_leaves_the_session_open(shop: QuietShop) -> None:
    made = session(shop)
    answer = pressed(made, way="declined")
    assert answer.status_code == 402
    assert "declined" in answer.text
    assert made["status"] == "open"
    assert pressed(made).status_code == 303


def test_a_bank_debit_completes_the_session_unpaid(shop: QuietShop) -> None:
    made = session(shop)
    assert pressed(made, way="bank").status_code == 303
    assert (made["status"], made["payment_status"]) == ("complete", "unpaid")


def test_a_free_course_needs_no_payment(shop: QuietShop) -> None:
    made = session(shop, amount=0)
    assert pressed(made).status_code == 303
    assert made["payment_status"] == "no_payment_required"


def test_a_tax_id_is_kept_with_the_customer(shop: QuietShop) -> None:
    made = session(shop, **{"tax_id_collection[enabled]": "true", "customer_creation": "always"})
    pressed(made, country="DE", tax_id="DE123456789")
    assert made["customer_details"]["tax_ids"] == [{"type": "eu_vat", "value": "DE123456789"}]


def test_terms_must_be_accepted_where_they_are_asked_for(shop: QuietShop) -> None:
    wording = "I accept the [terms](https://shop.example/terms)."
    made = session(
        shop,
        **{
            "consent_collection[terms_of_service]": "required",
            "custom_text[terms_of_service_acceptance][message]": wording,
        },
    )
    assert '<a href="https://shop.example/terms">terms</a>' in httpx.get(made["url"]).text
    assert pressed(made).status_code == 400
    assert pressed(made, consent="yes").status_code == 303
    assert made["consent"]["terms_of_service"] == "accepted"


@pytest.mark.parametrize("missing", ["name", "line1", "postal_code", "way"])
def test_what_is_missing_is_asked_for(shop: QuietShop, missing: str) -> None:
    made = session(shop)
    assert pressed(made, **{missing: ""}).status_code == 400
    assert made["status"] == "open"


def test_a_page_that_was_paid_or_has_expired_takes_nothing_more(shop: QuietShop) -> None:
    paid, expired = session(shop), session(shop)
    pressed(paid)
    shop.sandbox.world.act("us", "expire", session_id=expired["id"])
    assert "was used already" in httpx.get(f"{shop.url}/c/pay/{paid['id']}").text
    assert "has expired" in httpx.post(f"{shop.url}/c/pay/{expired['id']}", data=FORM).text
    assert len(shop.objects("us", "charge")) == 1


def test_an_unknown_page_is_not_found(shop: QuietShop) -> None:
    assert httpx.get(f"{shop.url}/c/pay/cs_nobody").status_code == 404
