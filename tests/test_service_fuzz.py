"""Whatever is sent to the public routes: never a 500, always the security headers."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from quiet_shop import QuietShop, Served, fresh, serving

from webhook_service.app import application
from webhook_service.catalog import apply
from webhook_service.services import open_services

ROUTES = (
    "/checkout/redis-101",
    "/checkout/{}",
    "/checkout/return",
    "/checkout/return/standing",
    "/webhooks/stripe/us",
    "/webhooks/stripe/{}",
    "/healthz",
    "/readyz",
    "/metrics",
    "/{}",
)
EXPECTED = {200, 303, 400, 403, 404, 405, 409, 413, 415, 429, 503}
ODD = st.sampled_from(
    [
        "",
        "yes",
        "US",
        "IL",
        "XX",
        "a@example.com",
        "learner-7",
        "cs_test_x",
        "\x00",
        "'; --",
        "<b>",
        "é🚀",
        "../..",
        "W10.",
    ]
)
TEXT = st.one_of(ODD, st.text(max_size=40))
NAMES = st.sampled_from(
    ["learner", "email", "country", "address_confirmed", "csrf_token", "session_id", "token", "expires", "signature"]
)
FIELDS = st.lists(st.tuples(st.one_of(NAMES, st.text(max_size=8)), TEXT), max_size=8)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        # httpx sends no value that begins or ends with a space
        "accept-language": st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60).map(str.strip),
        "origin": st.sampled_from(["null", "https://evil.example", "http://localhost:8000"]),
        "sec-fetch-site": st.sampled_from(["same-origin", "cross-site", "none", "?"]),
        "stripe-signature": st.sampled_from(["", "t=1,v1=x", "t=99999999999999999999,v1=ff", "t=,v1=", "v1=" * 99]),
        "content-type": st.sampled_from(
            ["application/json", "application/x-www-form-urlencoded", "multipart/form-data", "?"]
        ),
        "x-forwarded-for": st.sampled_from(["1.2.3.4", "nonsense", ""]),
    },
)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as made:
        yield made


@pytest.fixture(scope="module")
def client(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    shop: QuietShop = fresh(served, folder)
    chosen = shop.settings(pages="checkouts_per_minute = 100000")
    apply(chosen, shop.environ, False)
    services = open_services(chosen, shop.environ)
    served.front.app = application(services)
    yield served.client
    services.close()


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]),
    route=st.sampled_from(ROUTES),
    part=TEXT,
    query=FIELDS,
    form=st.one_of(FIELDS, st.binary(max_size=60)),
    headers=HEADERS,
)
@example("POST", "/checkout/redis-101", "", [], [("learner", "\ud800")], {})
@example("GET", "/checkout/{}", "0/", [], [], {"host": "evil.example"})
def test_no_request_is_answered_with_a_500(
    client: httpx.Client,
    method: str,
    route: str,
    part: str,
    query: list[tuple[str, str]],
    form: list[tuple[str, str]] | bytes,
    headers: dict[str, str],
) -> None:
    path = route.replace("{}", quote(part.encode("utf-8", "surrogatepass"), safe=""))
    body = form if isinstance(form, bytes) else urlencode(form, errors="surrogatepass").encode()
    given_headers = {"content-type": "application/x-www-form-urlencoded", **headers}
    asked = f"{path}?{urlencode(query, errors='surrogatepass')}"
    answer = client.request(method, asked, content=body if method == "POST" else None, headers=given_headers)
    assert answer.status_code in EXPECTED, answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "traceback" not in answer.text.lower()
    if "location" in answer.headers:
        assert not answer.headers["location"].startswith("//")
