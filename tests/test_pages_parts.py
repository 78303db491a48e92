"""The pages' pure parts: tokens, signed links, countries, limits, words, colours."""

import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from redisu_pipeline.common.problems import ConfigurationError
from redisu_pipeline.common.secrets import Secret
from redisu_pipeline.common.settings import Pages
from redisu_pipeline.common.settings.checks import COUNTRIES
from webhook_service.entitlements import State
from webhook_service.orders import Order, Progress
from webhook_service.pages.countries import BY_NAME, guess
from webhook_service.pages.form import Buyer, buyer_of, errors_of
from webhook_service.pages.limits import Limiter, Throttle
from webhook_service.pages.render import look_of, readable_on
from webhook_service.pages.signing import FORM, RETURN, Links, signer
from webhook_service.pages.views import view_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
OLD, NEW = Secret("whsec_old"), Secret("whsec_new")


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=4))
@example(["é", ".", ""])
def test_a_token_gives_back_what_was_signed_for_its_purpose_only(claims: list[str]) -> None:
    pages = signer([NEW])
    token = pages.sign(FORM, claims, LATER)
    assert pages.verify(FORM, token, NOW) == tuple(claims)
    assert pages.verify(RETURN, token, NOW) is None
    assert pages.verify(FORM, token, LATER) is None
    assert token == pages.sign(FORM, claims, LATER)
    assert "whsec" not in token


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=127))
def test_a_token_with_one_changed_sign_is_refused(place: int, step: int) -> None:
    pages = signer([NEW])
    token = pages.sign(RETURN, ["ord_1", "us"], LATER)
    at = place % len(token)
    changed = token[:at] + chr((ord(token[at]) + step) % 128) + token[at + 1 :]
    assert pages.verify(RETURN, changed, NOW) is None


@given(st.text(max_size=80))
def test_any_text_as_a_token_is_refused_quietly(text: str) -> None:
    assert signer([NEW]).verify(RETURN, text, NOW) is None


def test_a_token_outlives_the_rolling_of_its_secret() -> None:
    token = signer([OLD]).sign(RETURN, ["ord_1", "us"], LATER)
    assert signer([NEW, OLD]).verify(RETURN, token, NOW) == ("ord_1", "us")
    assert signer([NEW]).verify(RETURN, token, NOW) is None


def test_a_link_is_signed_as_its_documentation_says() -> None:
    """What FlockJay's engineers must compute, spelled out with the standard library alone."""
    text = urlencode({"course": "redis-101", "learner": "l 1", "email": "a+b@example.com", "expires": "1795438800"})
    expected = hmac.new(b"whsec_new", text.encode(), sha256).hexdigest()
    expires = datetime.fromtimestamp(1795438800, UTC)
    query = parse_qs(Links((NEW,)).query("redis-101", "l 1", "a+b@example.com", expires))
    assert query["signature"] == [expected]
    assert Links((OLD, NEW)).accepts("redis-101", "l 1", "a+b@example.com", "1795438800", expected, NOW)


def test_every_country_has_a_name_and_they_stand_in_order() -> None:
    assert {code for code, _ in BY_NAME} == COUNTRIES
    names = [name for _, name in BY_NAME]
    assert names.index("Åland Islands") < names.index("Germany") < names.index("Zimbabwe")


@given(st.text(max_size=200))
@example("en-US;q=1..1")
@example("zh-Hant-TW, x-private;q=0")
def test_a_guess_is_a_country_or_none(header: str) -> None:
    assert guess(header) in {*COUNTRIES, None}


@pytest.mark.parametrize(
    ("header", "country"),
    [("en-us,en;q=.5", "US"), ("he", "IL"), ("en", None), ("zh-Hant-TW", "TW"), ("en-GB;q=0.2, de-AT;q=0.8", "AT")],
)
def test_the_most_wanted_language_decides(header: str, country: str | None) -> None:
    assert guess(header) == country


def test_a_limiter_lets_a_burst_through_and_then_one_after_another() -> None:
    now = [0.0]
    limiter = Limiter(6, lambda: now[0])
    assert [limiter.wait("a") for _ in range(7)] == [0, 0, 0, 0, 0, 0, 11]
    assert limiter.wait("b") == 0
    now[0] = 10.0
    assert limiter.wait("a") == 0
    assert limiter.wait("a") > 0


def test_a_throttle_allows_each_thing_once_in_its_time() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    assert [throttle.allows("x", 2), throttle.allows("x", 2), throttle.allows("y", 2)] == [True, False, True]
    now[0] = 2.0
    assert throttle.allows("x", 2)


@pytest.mark.parametrize("learner", ["a/b", "..", "", "a b", "ä", "x" * 129, "-a", "a\n", "%2e", "a?b", "a#b", "\x00"])
def test_a_learner_that_would_change_flockjays_address_is_nobody(learner: str) -> None:
    assert buyer_of({"learner": learner, "email": "a@example.com"}) is None


@pytest.mark.parametrize("learner", ["7", "user-7", "550e8400-e29b-41d4-a716-446655440000", "a@example.com", "A_b.c:d"])
def test_usual_learner_ids_are_taken(learner: str) -> None:
    assert buyer_of({"learner": learner, "email": "a.b+c@sub.example.co"}) == Buyer(learner, "a.b+c@sub.example.co")


def test_a_plus_that_a_link_left_bare_is_a_plus_again() -> None:
    assert buyer_of({"learner": "7", "email": "jenny courses@example.com"}) == Buyer("7", "jenny+courses@example.com")


def test_a_country_that_stripe_does_not_know_is_none_chosen() -> None:
    given_fields = {"learner": "7", "email": "a@example.com", "country": "XX", "address_confirmed": "yes"}
    buyer = buyer_of(given_fields)
    assert buyer is not None
    assert list(errors_of(buyer)) == ["country"]


def order(state: State, **changed: object) -> Order:
    given: dict[str, Any] = dict.fromkeys(Order.__dataclass_fields__)
    given |= {"order_id": "ord_1", "learner": "7", "course": "redis-101", "account": "us", "state": state}
    given |= {"created_at": NOW, "paid_at": NOW, "unlocked_at": NOW}
    return Order(**given | changed)


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_its_words(state: State) -> None:
    view = view_of(Progress(order(state), needs_help=False), NOW)
    assert view.title
    assert view.text
    assert view.tone in ("good", "wait", "warn", "wrong")


def test_a_dead_letter_is_said_to_need_help_at_once() -> None:
    view = view_of(Progress(order(State.PAID), needs_help=True), NOW)
    assert (view.state, view.needs_help, view.is_final) == ("needs_help", True, False)


def test_an_unlocked_page_looks_for_its_invoice_for_a_while() -> None:
    unlocked = Progress(order(State.UNLOCKED), needs_help=False)
    assert not view_of(unlocked, NOW + timedelta(minutes=1)).is_final
    assert view_of(unlocked, NOW + timedelta(minutes=3)).is_final
    known = Progress(order(State.UNLOCKED, invoice_url="https://invoice.example"), needs_help=False)
    assert view_of(known, NOW).is_final


@pytest.mark.parametrize(
    ("color", "text"), [("#FF4438", "#000000"), ("#091A23", "#ffffff"), ("#ffffff", "#000000"), ("#0000ff", "#ffffff")]
)
def test_the_text_on_a_button_can_be_read(color: str, text: str) -> None:
    assert readable_on(color) == text


def test_a_logo_stands_in_the_page_itself(tmp_path: Path) -> None:
    logo = tmp_path / "logo.svg"
    logo.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    look = look_of(Pages(logo=logo))
    assert look.logo is not None
    assert look.logo.startswith("data:image/svg+xml;base64,")


@pytest.mark.parametrize("name", ["missing.svg", "logo.exe"])
def test_a_logo_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path, name: str) -> None:
    (tmp_path / "logo.exe").write_text("x")
    with pytest.raises(ConfigurationError):
        look_of(Pages(logo=tmp_path / name))
