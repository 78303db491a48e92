"""The stand-in's own endpoints under /_sandbox: the clock, faults, requests, truth, objects, happenings. No key."""

import gc
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import msgspec

from sandbox.stripe.server import reports
from sandbox.stripe.server.call import Sandbox
from sandbox.stripe.server.parameters import parse

Query = Mapping[str, Any]
Given = dict[str, Any]
Control = Callable[[Sandbox, Query, Given], Any | Awaitable[Any]]


async def handle(sandbox: Sandbox, method: str, path: str, query: str, body: bytes) -> tuple[int, bytes]:
    """Status and JSON body; a mistake of the caller is 400 with its message."""
    found = CONTROLS.get((method, path.removeprefix("/_sandbox").strip("/")))
    if found is None:
        return 404, _json({"error": f"no such control: {method} {path}", "known": [" ".join(key) for key in CONTROLS]})
    try:
        given = msgspec.json.decode(body, type=dict[str, Any]) if body else {}
        made = found(sandbox, parse(query), given)
        return 200, _json(await made if inspect.isawaitable(made) else made)
    except (ValueError, KeyError, TypeError) as fault:
        return 400, _json({"error": f"{type(fault).__name__}: {fault}"})


def _json(value: object) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)


def state(sandbox: Sandbox, _query: Query, _given: Given) -> object:
    """What a person or a test needs in order to talk to the stand-in."""
    accounts = {
        name: {
            "id": store.account_id,
            "key": store.key,
            "webhook_secret": store.webhook_secret,
            "country": store.country,
            "default_currency": store.default_currency,
            "livemode": store.livemode,
            "counts": {kind: len(store.collection(kind).order) for kind in store.kinds()},
        }
        for name, store in sandbox.world.stores.items()
    }
    return {"now": _iso(sandbox.now()), "accounts": accounts}


def clock_get(sandbox: Sandbox, _query: Query, _given: Given) -> object:
    return {"now": _iso(sandbox.now()), "ahead_seconds": sandbox.ahead}


def clock_set(sandbox: Sandbox, _query: Query, given: Given) -> object:
    """Move the clock: `{"advance_to": …}` or `{"now": …}`, ISO-8601 in UTC.

    The first lets everything happen until then and finishes report runs; with the second the world follows at the next
    write.
    """
    to = datetime.fromisoformat(given.get("advance_to") or given["now"]).astimezone(UTC)
    if to.timestamp() < sandbox.world.now:
        raise ValueError(f"the world is at {_iso(sandbox.world.now)} and cannot go back to {_iso(int(to.timestamp()))}")
    if "advance_to" in given:
        sandbox.world.advance(to)
        gc.freeze()  # see sandbox.run.build
    sandbox.ahead += int(to.timestamp()) - sandbox.now()
    if "advance_to" in given:
        reports.finish_all(sandbox)
    return clock_get(sandbox, {}, {})


def faults_get(sandbox: Sandbox, _query: Query, _given: Given) -> object:
    return sandbox.faults.shown() | {"account_rate": sandbox.limiter.account, "endpoint_rate": sandbox.limiter.endpoint}


def faults_set(sandbox: Sandbox, _query: Query, given: Given) -> object:
    """Faults by name, and the limits `account_rate` and `endpoint_rate` in requests per second (0 is none)."""
    values = dict(given)
    sandbox.limiter.account = float(values.pop("account_rate", sandbox.limiter.account))
    sandbox.limiter.endpoint = float(values.pop("endpoint_rate", sandbox.limiter.endpoint))
    sandbox.faults.set(values)
    return faults_get(sandbox, {}, {})


def faults_clear(sandbox: Sandbox, _query: Query, _given: Given) -> object:
    fresh = type(sandbox.faults)()
    return faults_set(sandbox, {}, fresh.shown() | {"account_rate": 0, "endpoint_rate": 0})


def requests_get(sandbox: Sandbox, query: Query, _given: Given) -> object:
    return sandbox.log.shown(query.get("account"))


def requests_reset(sandbox: Sandbox, _query: Query, _given: Given) -> object:
    sandbox.log.reset()
    return {}


def truth(sandbox: Sandbox, query: Query, _given: Given) -> object:
    return sandbox.world.truth(query["account"], query["month"])


def tax_rows(sandbox: Sandbox, query: Query, _given: Given) -> object:
    return sandbox.world.tax_rows(query["account"])


def objects(sandbox: Sandbox, query: Query, _given: Given) -> object:
    """All objects of a kind, oldest first, whole (nested lists uncut): what an extraction is compared with."""
    return sandbox.world.stores[query["account"]].all(query["kind"])


def permissions(sandbox: Sandbox, _query: Query, given: Given) -> object:
    """`{"account": …, "missing": ["rak_invoice_read"]}`: what the account's restricted key may not do."""
    sandbox.denied[given["account"]] = set(given["missing"])
    return {name: sorted(missing) for name, missing in sandbox.denied.items()}


def webhooks_get(sandbox: Sandbox, _query: Query, _given: Given) -> object:
    return {"manners": asdict(sandbox.deliveries.manners), "deliveries": sandbox.deliveries.shown()}


def webhooks_register(sandbox: Sandbox, _query: Query, given: Given) -> object:
    """`{"account", "url", "types"?, "secrets"?}`: deliver the account's events there."""
    store = sandbox.world.stores[given["account"]]
    sandbox.tick()
    types, secrets = given.get("types", ["*"]), given.get("secrets", ())
    return sandbox.deliveries.register(store, given["url"], types, secrets)


def webhooks_manners(sandbox: Sandbox, _query: Query, given: Given) -> object:
    sandbox.deliveries.set(given)
    return asdict(sandbox.deliveries.manners)


async def webhooks_flush(sandbox: Sandbox, _query: Query, _given: Given) -> object:
    await sandbox.deliveries.flush()
    return webhooks_get(sandbox, {}, {})


def webhooks_resend(sandbox: Sandbox, _query: Query, given: Given) -> object:
    store = sandbox.world.stores[given["account"]]
    event = store.get("event", given["event"])
    if event is None:
        raise ValueError(f"no event {given['event']} in account {given['account']}")
    return {"endpoints": sandbox.deliveries.resend(store, event)}


def reports_set(sandbox: Sandbox, _query: Query, given: Given) -> object:
    """`polls`, `lag_hours`, `fail_next`, `files_expire_next` of report runs."""
    for name, value in given.items():
        if name not in asdict(sandbox.reports):
            raise ValueError(f"unknown report setting: {name}")
        setattr(sandbox.reports, name, int(value))
    return asdict(sandbox.reports)


def act(sandbox: Sandbox, _query: Query, given: Given) -> object:
    """`{"account", "action", …}`: let something happen, with the world's own actions."""
    sandbox.tick()
    arguments = {name: value for name, value in given.items() if name not in ("account", "action")}
    return sandbox.world.act(given["account"], given["action"], **arguments)


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


CONTROLS: dict[tuple[str, str], Control] = {
    ("GET", ""): state,
    ("GET", "clock"): clock_get,
    ("POST", "clock"): clock_set,
    ("GET", "faults"): faults_get,
    ("POST", "faults"): faults_set,
    ("DELETE", "faults"): faults_clear,
    ("GET", "requests"): requests_get,
    ("DELETE", "requests"): requests_reset,
    ("GET", "truth"): truth,
    ("GET", "tax_rows"): tax_rows,
    ("GET", "objects"): objects,
    ("POST", "permissions"): permissions,
    ("GET", "webhooks"): webhooks_get,
    ("POST", "webhooks"): webhooks_register,
    ("POST", "webhooks/manners"): webhooks_manners,
    ("POST", "webhooks/flush"): webhooks_flush,
    ("POST", "webhooks/resend"): webhooks_resend,
    ("POST", "reports"): reports_set,
    ("POST", "act"): act,
}
