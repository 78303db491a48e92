"""The ways to unlock a course: what each preset sends, and what the settings can change of it."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from quiet_shop import Served, fresh, serving
from service_house import house

from redisu_pipeline.common.secrets import Secret
from redisu_pipeline.common.settings import Call, FlockJay, Method, Preset
from webhook_service.delivery import Kind
from webhook_service.entitlements import State
from webhook_service.flockjay import Change, HttpAdapter, WorkListAdapter
from webhook_service.work_list import WorkList


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as made:
        yield made


CHANGE = Change("grant", "c/1", "l 1", "é@example.com", "{order_id} O'Neil", "ord_1", "ord_1:grant:1", "cor_1")


def called(settings: FlockJay, change: Change = CHANGE) -> httpx.Request:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    adapter = HttpAdapter(settings, Secret("key"), httpx.MockTransport(answer))
    assert adapter.deliver(change).kind is Kind.DONE
    adapter.close()
    return seen[0]


def test_the_default_preset_is_the_contracts_with_every_id_quoted() -> None:
    request = called(FlockJay(api_base="https://fj.example/api"))
    assert (request.method, str(request.url)) == ("PUT", "https://fj.example/api/v1/courses/c%2F1/learners/l%201")
    assert json.loads(request.content) == {"email": CHANGE.email, "name": CHANGE.name, "order_id": "ord_1"}
    assert request.headers["authorization"] == "Bearer key"
    assert request.headers["idempotency-key"] == "ord_1:grant:1"
    assert request.headers["x-correlation-id"] == "cor_1"
    gone = called(FlockJay(api_base="https://fj.example"), replace(CHANGE, action="revoke"))
    assert (gone.method, gone.content) == ("DELETE", b"")


def test_header_scheme_method_path_and_body_can_be_set() -> None:
    grant = Call(method=Method.POST, path="/open/{course_id}", body={"who": "{learner_id}", "note": "{nothing}"})
    request = called(FlockJay(api_base="https://fj.example", auth_header="X-Key", auth_scheme="", grant=grant))
    assert (request.method, request.url.path, request.headers["x-key"]) == ("POST", "/open/c/1", "key")
    assert json.loads(request.content) == {"who": "l 1", "note": "{nothing}"}


@pytest.mark.parametrize("preset", [Preset.ENROLLMENT, Preset.GROUP, Preset.SCIM])
def test_every_preset_grants_and_revokes_at_the_stand_in(served: Served, tmp_path: Path, preset: Preset) -> None:
    home = house(fresh(served, tmp_path), **{"[flockjay]": f'[flockjay]\npreset = "{preset}"'})
    order = home.buy()
    home.hear()
    home.work()
    assert (home.state(order), home.has_access()) == (State.UNLOCKED, True)
    home.act("refund", charge_id=home.charge(order))
    home.hear()
    home.work()
    assert (home.state(order), home.has_access()) == (State.REFUNDED, False)
    home.services.close()


def test_the_manual_preset_lists_each_change_once_and_no_cell_can_run(tmp_path: Path) -> None:
    adapter = WorkListAdapter(WorkList(tmp_path / "lists" / "unlocks.csv"))
    evil = replace(CHANGE, name='=HYPERLINK("http://x")')
    for change in (evil, evil, replace(evil, action="revoke", key="ord_1:revoke:2")):
        assert adapter.deliver(change).kind is Kind.LISTED
    with (tmp_path / "lists" / "unlocks.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == ["ord_1:grant:1", "ord_1:revoke:2"]
    assert rows[0]["name"].startswith("'=")
    assert WorkList(tmp_path / "lists" / "unlocks.csv").forget("l 1") == 2
