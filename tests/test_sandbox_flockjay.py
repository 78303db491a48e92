"""The FlockJay stand-in: who has access after which call, and every mood that a client must survive."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import pytest

from sandbox import run
from sandbox.client import FlockJayControl, Refused
from sandbox.flockjay import FlockJay

URL = "/v1/courses/fj-101/learners/ada%40example.com"
GRANT = {"email": "ada@example.com", "name": "Ada שלום", "order_id": "o-1"}


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with run.running(FlockJay("fj_key")) as (url,):
        yield url


@pytest.fixture
def flockjay(base: str) -> FlockJayControl:
    control = FlockJayControl(base)
    control.reset()
    control.mood()
    return control


def call(control: FlockJayControl, method: str, path: str = URL, body: Any = None, **headers: str) -> HTTPResponse:
    given = {"Authorization": "Bearer fj_key"} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection = HTTPConnection(urlsplit(control.base).netloc, timeout=5)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), given)
        answer = connection.getresponse()
        answer.read()
        return answer
    finally:
        connection.close()


def test_put_grants_and_delete_revokes_and_both_may_be_repeated(flockjay: FlockJayControl) -> None:
    assert [call(flockjay, "PUT", body=GRANT).status for _ in range(2)] == [201, 200]
    shown = flockjay.access()["ada@example.com"]["fj-101"]
    assert shown == {"course_id": "fj-101", "learner_id": "ada@example.com", **GRANT}
    assert [call(flockjay, "DELETE").status for _ in range(2)] == [204, 204]
    assert flockjay.access()["ada@example.com"] == {}


def test_without_the_right_key_nothing_happens(flockjay: FlockJayControl) -> None:
    assert call(flockjay, "PUT", body=GRANT, Authorization="Bearer wrong").status == 401
    assert call(flockjay, "PUT", body=GRANT, Authorization="").status == 401
    assert call(flockjay, "PUT", body=GRANT, Authorization="Token fj_key").status == 201


def test_an_idempotency_key_is_remembered_with_its_request(flockjay: FlockJayControl) -> None:
    assert [call(flockjay, "PUT", body=GRANT, Idempotency_Key="k").status for _ in range(2)] == [201, 201]
    assert call(flockjay, "PUT", body={**GRANT, "order_id": "o-2"}, Idempotency_Key="k").status == 422
    assert [one["replayed"] for one in flockjay.calls()] == [False, True, True]
    assert flockjay.calls()[0]["body"] == GRANT


@pytest.mark.parametrize(
    ("mood", "status"),
    [
        ({"outage": True}, 503),
        ({"forbidden": True}, 403),
        ({"conflict": 1}, 409),
        ({"unknown_courses": ["fj-101"]}, 404),
        ({"unknown_learners": ["ada@example.com"]}, 404),
    ],
    ids=str,
)
def test_a_mood_refuses_and_passes(flockjay: FlockJayControl, mood: dict[str, Any], status: int) -> None:
    flockjay.mood(**mood)
    assert call(flockjay, "PUT", body=GRANT).status == status
    assert flockjay.access() == {}
    flockjay.mood()
    assert call(flockjay, "PUT", body=GRANT).status == 201


def test_too_many_requests_say_how_long_to_wait(flockjay: FlockJayControl) -> None:
    flockjay.mood(rate_limited=2, retry_after=7)
    answers = [call(flockjay, "PUT", body=GRANT) for _ in range(3)]
    assert [one.status for one in answers] == [429, 429, 201]
    assert answers[0].headers["Retry-After"] == "7"


def test_a_connection_that_breaks_leaves_nothing_and_a_lost_answer_leaves_access(flockjay: FlockJayControl) -> None:
    flockjay.mood(unreachable=True)
    with pytest.raises(ConnectionResetError):
        call(flockjay, "PUT", body=GRANT)
    assert flockjay.access() == {}
    flockjay.mood(unreachable=False, lost_answers=1)
    with pytest.raises(ConnectionResetError):
        call(flockjay, "PUT", body=GRANT, Idempotency_Key="k")
    assert "fj-101" in flockjay.access()["ada@example.com"]
    assert call(flockjay, "PUT", body=GRANT, Idempotency_Key="k").status == 201
    assert [one["status"] for one in flockjay.calls()] == [0, 0, 201]


def test_a_slow_answer_outlasts_an_impatient_client(flockjay: FlockJayControl) -> None:
    flockjay.mood(slow=0.5)
    connection = HTTPConnection(urlsplit(flockjay.base).netloc, timeout=0.1)
    connection.request("PUT", URL, json.dumps(GRANT), {"Authorization": "Bearer fj_key"})
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()


def test_the_group_preset_adds_and_removes_members(flockjay: FlockJayControl) -> None:
    assert call(flockjay, "POST", "/v1/groups/g-1/members", {"user_id": "ada", "email": "a@b.co"}).status == 201
    assert "g-1" in flockjay.access()["ada"]
    assert call(flockjay, "POST", "/v1/groups/g-1/members", {"email": "a@b.co"}).status == 422
    assert call(flockjay, "DELETE", "/v1/groups/g-1/members/ada").status == 204
    assert flockjay.access()["ada"] == {}


def test_the_scim_preset_patches_the_members_of_a_group(flockjay: FlockJayControl) -> None:
    schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]

    def patch(**operation: Any) -> int:
        body = {"schemas": schemas, "Operations": [operation]}
        return call(flockjay, "PATCH", "/scim/v2/Groups/g-1", body).status

    assert patch(op="add", path="members", value=[{"value": "ada"}, {"value": "bob"}]) == 204
    assert sorted(flockjay.access()) == ["ada", "bob"]
    assert patch(op="remove", path='members[value eq "ada"]') == 204
    assert patch(op="Remove", path="members", value=[{"value": "bob"}]) == 204
    assert flockjay.access() == {"ada": {}, "bob": {}}
    assert patch(op="replace", path="displayName", value=[]) == 400
    assert call(flockjay, "PATCH", "/scim/v2/Groups/g-1", {}).status == 400


def test_an_unknown_address_or_mood_is_refused(flockjay: FlockJayControl) -> None:
    assert call(flockjay, "GET", "/v2/anything").status == 404
    with pytest.raises(Refused, match="known are"):
        flockjay.mood(sulky=True)
