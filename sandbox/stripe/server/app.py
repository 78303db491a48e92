"""The ASGI application: address, key, version, weather, idempotency; then the handler."""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from sandbox.stripe.server import checkout_page, control, errors, faults, transport
from sandbox.stripe.server.call import Call, Sandbox
from sandbox.stripe.server.errors import ApiError
from sandbox.stripe.server.idempotency import Kept
from sandbox.stripe.server.parameters import Values, parse
from sandbox.stripe.server.routes import Route, find
from sandbox.stripe.store import API_VERSION, Store

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

FORM = "application/x-www-form-urlencoded"
BROKEN = ("reset", "truncate")  # ways in which no whole answer leaves


@dataclass(frozen=True)
class Answer:
    """What goes out, and how it goes wrong on the way."""

    status: int
    body: bytes
    headers: dict[str, str]
    content_type: str = "application/json"
    way: str = "ok"


@dataclass
class App:
    """One server for all accounts of the sandbox; the key says whose objects are meant."""

    sandbox: Sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _whole_body(receive)
        if scope["path"].startswith("/_sandbox"):
            status, answer = await control.handle(self.sandbox, scope["method"], scope["path"], _query(scope), body)
            await _send(send, Answer(status, answer, {}))
            return
        if scope["path"].startswith(checkout_page.PREFIX):
            status, page, headers = checkout_page.handle(self.sandbox, scope["method"], scope["path"], body)
            await _send(send, Answer(status, page, headers, "text/html; charset=utf-8"))
            return
        answered = await self._api(scope, body)
        if answered.way in BROKEN:
            await transport.break_off(scope, receive, answered.way, _head(answered), answered.body)
        else:
            await _send(send, answered)

    async def _api(self, scope: Scope, body: bytes) -> Answer:
        """Stripe's answer to one request, whatever it is."""
        sandbox = self.sandbox
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        sandbox.requests_made += 1
        request_id = f"req_{sandbox.requests_made:014d}"
        method, path = scope["method"], scope["path"]
        route, ids = find(method, path)
        endpoint = f"{method} {route.template if route else path}"
        try:
            store, key = _authenticated(sandbox, headers)
        except ApiError as fault:
            return self._refused(fault, request_id, headers)
        if "host" in headers:  # the payment page stands where the API was called
            store.checkout_base = f"{scope.get('scheme', 'http')}://{headers['host']}"
        way = sandbox.faults.next(path)
        call = Call(sandbox, store, method, path, ids, {}, request_id, headers.get("idempotency-key"))
        answer = Answer(0, b"", {})
        sandbox.log.begin(store.name)
        try:
            with _claimed(call):
                limited = "global-rate" if way == "rate_limit" else sandbox.limiter.take(store.name, endpoint)
                if sandbox.faults.latency:
                    await asyncio.sleep(sandbox.faults.latency)
                _hindered(way, limited)
                _versioned(headers)
                if route is None:
                    raise errors.unknown_url(method, path)
                if route.permission in sandbox.denied.get(store.name, ()):
                    raise errors.forbidden(key, route.permission)
                call.values = _values(method, _query(scope), headers, body)
                answer = _performed(route, call, endpoint, body)
        except ApiError as fault:
            answer = self._refused(fault, request_id, headers)
        finally:
            status = 0 if way in BROKEN else answer.status
            sandbox.log.end(store.name, endpoint, status, f"{method} {path}?{_query(scope)}".rstrip("?"))
        return _spoilt(answer, way)

    def _refused(self, fault: ApiError, request_id: str, headers: dict[str, str]) -> Answer:
        return Answer(fault.status, fault.body(request_id), _standard(request_id, headers) | fault.headers)


def _performed(route: Route, call: Call, endpoint: str, body: bytes) -> Answer:
    """Run the handler, or play its first result again."""
    headers = _standard(call.request_id, {"idempotency-key": call.idempotency_key or ""})
    if call.method != "POST":
        return Answer(200, route.handler(call), headers, route.content_type)
    sandbox, store, key = call.sandbox, call.store, call.idempotency_key
    sandbox.tick()
    request = f"{endpoint} {call.path} {sorted(body.split(b'&'))}"
    if key:
        kept = sandbox.replays.find(store.name, key, request, sandbox.now())
        if kept is not None:
            return Answer(kept.status, kept.body, headers | {"Idempotent-Replayed": "true"})
    store.request = {"id": call.request_id, "idempotency_key": key}
    try:
        made = route.handler(call)
    finally:
        store.request = {"id": None, "idempotency_key": None}
    if key:
        sandbox.replays.kept[store.name, key] = Kept(request, sandbox.now(), 200, made)
    return Answer(200, made, headers)


@contextmanager
def _claimed(call: Call) -> Iterator[None]:
    """Hold the idempotency key of a POST while it is under way."""
    key = call.idempotency_key if call.method == "POST" else None
    if key is None:
        yield
        return
    call.sandbox.replays.claim(call.store.name, key)
    try:
        yield
    finally:
        call.sandbox.replays.release(call.store.name, key)


def _hindered(way: str, limited: str | None) -> None:
    """Refusals before any work is done; Stripe keeps none of them under an idempotency key."""
    if limited:
        raise faults.too_many(limited)
    if way == "lock_timeout":
        raise faults.too_many(None)
    if way == "server_error":
        raise faults.broken()


def _spoilt(answer: Answer, way: str) -> Answer:
    """The answer with what befell it on the way out."""
    if way == "cut":
        return Answer(answer.status, answer.body[: len(answer.body) * 2 // 3], answer.headers, answer.content_type)
    if way in BROKEN:
        return Answer(answer.status, answer.body, answer.headers, answer.content_type, way)
    return answer


def _authenticated(sandbox: Sandbox, headers: dict[str, str]) -> tuple[Store, str]:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    key: str | None = None
    if scheme.lower() == "bearer":
        key = value.strip()
    elif scheme.lower() == "basic":
        try:
            key = base64.b64decode(value).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            key = ""
    if not key:
        raise errors.unauthorized(None)
    store = sandbox.by_key(key)
    if store is None:
        raise errors.unauthorized(key)
    return store, key


def _versioned(headers: dict[str, str]) -> None:
    version = headers.get("stripe-version", API_VERSION)
    if version != API_VERSION:
        message = (
            f"Invalid Stripe API version: {version}. The stand-in speaks only {API_VERSION}. "
            "You do not have to send an API version; see https://stripe.com/docs/api/versioning."
        )
        raise errors.ApiError(400, message)


def _values(method: str, query: str, headers: dict[str, str], body: bytes) -> Values:
    if method != "POST":
        return parse(query)
    kind = headers.get("content-type", FORM).partition(";")[0]
    if body and kind != FORM:
        message = f"Invalid request (check that your POST content type is {FORM})."
        raise errors.ApiError(400, message)
    return parse(body.decode()) | parse(query)


def _standard(request_id: str, headers: dict[str, str]) -> dict[str, str]:
    made = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
    key = headers.get("idempotency-key")
    return made | {"Idempotency-Key": key} if key else made


def _query(scope: Scope) -> str:
    return str(scope["query_string"].decode("latin-1"))


def _head(answer: Answer) -> list[tuple[bytes, bytes]]:
    length = str(len(answer.body)).encode()
    own = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
    return [(b"content-type", answer.content_type.encode()), (b"content-length", length), *own]


async def _whole_body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _send(send: Send, answer: Answer) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": _head(answer)})
    await send({"type": "http.response.body", "body": answer.body})
