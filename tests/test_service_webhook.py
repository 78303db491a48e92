"""What Stripe (or anybody) may send to the webhook, and what is kept, answered and logged."""

import contextlib
import io
import json
import logging
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st
from quiet_shop import Served, fresh, serving
from service_house import House, event, house, signed
from sqlalchemy import func, select

from redisu_pipeline.common import clock
from redisu_pipeline.common.opsdb.schema import events, jobs
from redisu_pipeline.common.problems import ConfigurationError, Failed
from webhook_service.app import application, create_app, serve_alone
from webhook_service.commands import configure_logs
from webhook_service.services import open_services
from webhook_service.signature import signed_at
from webhook_service.stripe_events import SWEPT_TYPES, NotAnEvent, decode_event

SECRET = "whsec_test"
URL = "/webhooks/stripe/us"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as made:
        yield made


@pytest.fixture
def home(served: Served, tmp_path: Path) -> Iterator[House]:
    made = house(fresh(served, tmp_path))
    served.front.app = application(made.services)
    yield made
    made.services.close()


@pytest.fixture
def secret(home: House) -> str:
    return str(home.shop.environ["STRIPE_WEBHOOK_SECRET_US"])


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs(stream, logging.DEBUG)
    yield stream
    root.handlers[:], root.level = handlers, level


def kept(home: House) -> tuple[int, int]:
    with home.services.database.read() as connection:
        return tuple(
            connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (events, jobs)
        )  # type: ignore[return-value]


def post(served: Served, body: bytes, secret: str, stamp: int | None = None, url: str = URL) -> httpx.Response:
    return served.client.post(url, content=body, headers=signed(body, secret, stamp))


def body_of(**changed: Any) -> bytes:
    return json.dumps(event(**changed)).encode()


# --- what is kept


def test_an_event_is_stored_with_its_job_before_the_200_and_its_repetition_changes_nothing(
    home: House, served: Served, secret: str
) -> None:
    body = body_of()
    assert [post(served, body, secret).status_code for _ in range(3)] == [200] * 3
    assert kept(home) == (1, 1)
    with home.services.database.read() as connection:
        assert connection.execute(select(events.c.payload)).scalar_one() == body
        assert connection.execute(select(jobs.c.key, jobs.c.state)).one() == ("refresh:us:cs_live_1", "due")


def test_different_events_of_one_session_share_one_job(home: House, served: Served, secret: str) -> None:
    for number, type in enumerate(SWEPT_TYPES[:4]):
        assert post(served, body_of(id=f"evt_{number}", type=type), secret).status_code == 200
    assert kept(home) == (4, 1)


def test_an_unknown_type_is_kept_and_asks_for_nothing(home: House, served: Served, secret: str) -> None:
    assert post(served, body_of(type="a.type.of.tomorrow"), secret).status_code == 200
    assert kept(home) == (1, 0)


def test_a_sweep_can_ask_for_all_types_at_once() -> None:
    assert len(SWEPT_TYPES) <= 20


def test_while_a_secret_rolls_both_the_old_and_the_new_one_are_taken(served: Served, tmp_path: Path) -> None:
    shop = fresh(served, tmp_path)
    settings = shop.settings(us='stripe_webhook_secret_envs = ["NEW", "OLD"]')
    services = open_services(settings, {**shop.environ, "NEW": "whsec_new", "OLD": "whsec_old"})
    served.front.app = application(services)
    try:
        for number, secret in enumerate(("whsec_old", "whsec_new")):
            assert post(served, body_of(id=f"evt_{number}"), secret).status_code == 200
        both = body_of(id="evt_both")
        now = int(clock.now().timestamp())
        first, second = (signed(both, one, now)["Stripe-Signature"] for one in ("whsec_other", "whsec_old"))
        header = f"{first},{second.partition(',')[2]}"
        assert served.client.post(URL, content=both, headers={"Stripe-Signature": header}).status_code == 200
        assert post(served, body_of(id="evt_9"), "whsec_older").status_code == 400
    finally:
        services.close()


# --- what is refused


NOW = "now"
MARK = "jenny@example.com"
DEEP = b'{"id":"evt_1","object":"event","data":' + b"[" * 200_000 + b"]" * 200_000 + b"}"


@pytest.mark.parametrize(
    ("body", "offset"),
    [
        (body_of(extra=MARK), -301),
        (body_of(extra=MARK), 302),
        (body_of(extra=MARK)[:-20], 0),
        (b"", 0),
        (b'{"id": "evt_1", "object": "event", "mark": "' + b"\xff\xfe" + b'"}', 0),
        (body_of(extra=MARK).replace(b"jenny", b"j\xe9nny"), 0),
        (DEEP, 0),
        (json.dumps({"id": "evt_1", "object": "v2.core.event", "type": "v1.x", "mark": MARK}).encode(), 0),
        (body_of(livemode=False, extra=MARK), 0),
        (body_of(account="acct_of_somebody_else", extra=MARK), 0),
        (json.dumps([event()]).encode(), 0),
        (body_of(id="evt_1\nforged", extra=MARK), 0),
        (body_of(created="now", extra=MARK), 0),
    ],
    ids="stale future truncated empty no-utf8 half-utf8 nested thin livemode account list unprintable no-date".split(),
)
def test_a_signed_request_that_is_no_event_of_ours_is_400_and_leaves_nothing(
    home: House, served: Served, secret: str, said: io.StringIO, body: bytes, offset: int
) -> None:
    stamp = int(clock.now().timestamp()) + offset
    signature = hmac_header(body, secret, stamp)
    answer = served.client.post(URL, content=body, headers={"Stripe-Signature": signature})
    assert answer.status_code == 400
    assert kept(home) == (0, 0)
    assert MARK not in said.getvalue() + answer.text
    assert "evt_1" not in said.getvalue()


@pytest.mark.parametrize(
    "header",
    ["", "nonsense", "t=,v1=", "t=1", "v1=00", "t=99999999999999,v1=00", "t=1,v1=é", "t=" + "9" * 5000],
    ids="none nonsense empty no-mac no-stamp far not-ascii long".split(),
)
def test_without_a_right_signature_nothing_is_stored_or_logged(
    home: House, served: Served, said: io.StringIO, header: str
) -> None:
    headers = [(b"Stripe-Signature", header.encode())] if header else []
    answer = served.client.post(URL, content=body_of(extra=MARK), headers=headers)
    assert answer.status_code == 400
    assert kept(home) == (0, 0)
    assert said.getvalue() == ""


def test_the_other_accounts_secret_does_not_open_this_account(home: House, served: Served) -> None:
    others = str(home.shop.environ["STRIPE_WEBHOOK_SECRET_IL"])
    assert post(served, body_of(), others).status_code == 400
    assert post(served, body_of(), others, url="/webhooks/stripe/nobody").status_code == 404
    assert kept(home) == (0, 0)


def test_a_body_over_a_mebibyte_is_413_whether_its_length_is_said_or_not(
    home: House, served: Served, secret: str, said: io.StringIO
) -> None:
    large = b" " * 10_000_000

    def unsaid() -> Iterator[bytes]:
        yield from (large[:65536] for _ in range(160))

    for content in (large, unsaid()):
        hung_up = contextlib.suppress(httpx.WriteError, httpx.ReadError)  # while we still wrote: as good an answer
        with httpx.Client(base_url=served.client.base_url, timeout=30) as client, hung_up:
            assert client.post(URL, content=content).status_code == 413
    assert post(served, body_of(extra="x" * 1_000_000), secret).status_code == 200
    assert said.getvalue().count("\n") <= 1


def test_what_cannot_be_stored_is_503_so_that_stripe_sends_it_again(home: House, served: Served, secret: str) -> None:
    home.services.database.close()
    answer = post(served, body_of(), secret)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_every_answer_bears_the_security_headers(home: House, served: Served, secret: str) -> None:
    for answer in (post(served, body_of(), secret), served.client.get("/healthz"), served.client.get("/nothing")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"]


def test_every_missing_secret_is_named_at_once_and_an_empty_one_counts_as_missing(
    served: Served, tmp_path: Path
) -> None:
    shop = fresh(served, tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        create_app(shop.settings(), {"STRIPE_WEBHOOK_SECRET_US": " "})
    named = {problem.message.split()[0] for problem in caught.value.problems}
    assert named == {
        "STRIPE_API_KEY_US", "STRIPE_API_KEY_IL", "STRIPE_WEBHOOK_SECRET_US", "STRIPE_WEBHOOK_SECRET_IL",
        "FLOCKJAY_API_KEY",
    }  # fmt: skip


def test_a_second_process_on_one_sqlite_file_is_refused(home: House) -> None:
    first = serve_alone(home.services.database)
    assert first is not None
    with first, pytest.raises(Failed, match="another process serves"):
        serve_alone(home.services.database)


# --- the signature, against the SDK


def hmac_header(body: bytes, secret: str, stamp: int) -> str:
    import hashlib
    import hmac

    return f"t={stamp},v1={hmac.new(secret.encode(), b'%d.' % stamp + body, hashlib.sha256).hexdigest()}"


TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
PARTS = st.lists(
    st.sampled_from(
        ["t=1000", "t=1290", "t=1400", "v1=MAC", "v1=00", "v0=MAC", "v1=", "x", " v1=MAC", "t=abc", "t=-5"]
    ),
    max_size=5,
)


@given(body=TEXTS, secret=st.text(string.ascii_letters + " ", max_size=8), parts=PARTS, age=st.integers(0, 400))
def test_it_agrees_with_stripes_sdk_but_for_future_stamps(body: str, secret: str, parts: list[str], age: int) -> None:
    mac = stripe.WebhookSignature.generate_signature_header(body, secret or "x", 1000).partition("v1=")[2]
    header = ",".join(part.replace("MAC", mac) for part in parts)
    now = 1000 + age
    ours = signed_at(body.encode(), header, [secret.encode()], now)
    if ours:
        with_clock = pytest.MonkeyPatch()
        with with_clock.context() as patch:
            patch.setattr("stripe._webhook.time.time", lambda: now)
            assert stripe.WebhookSignature.verify_header(body, header, secret, 300)
    elif secret.strip() and header == f"t=1000,v1={mac}":
        assert age > 300


@given(body=st.binary(max_size=5000), cut=st.integers(0, 4999))
def test_a_body_of_any_length_is_signed_whole(body: bytes, cut: int) -> None:
    header = hmac_header(body, SECRET, 1000)
    assert signed_at(body, header, [b"other", SECRET.encode()], 1000)
    changed = body[:cut] + b"!" + body[cut:]
    assert not signed_at(changed, header, [SECRET.encode()], 1000)


def test_an_empty_secret_signs_nothing() -> None:
    for secret in ("", "  "):
        assert not signed_at(b"{}", hmac_header(b"{}", secret, 1000), [secret.encode()], 1000)


@given(st.binary(max_size=300))
def test_whatever_the_bytes_they_are_an_event_or_not_one(body: bytes) -> None:
    with contextlib.suppress(NotAnEvent):
        decode_event(body)
