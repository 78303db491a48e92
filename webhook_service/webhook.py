"""`POST /webhooks/stripe/{account}`: verify, keep durably with the job, answer. Nothing else happens in a request.

Until the signature holds, nothing of a request is logged or stored: anybody can send one. Spoken in plain ASGI, before
all of Starlette: its requests, responses and middleware cost as much again as all that is done here.
"""

import time
from datetime import datetime
from functools import lru_cache
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from webhook_service.database import Unavailable
from webhook_service.headers import SAFE_HEADERS
from webhook_service.inbox import Received
from webhook_service.services import Services, logger
from webhook_service.signature import signed_at
from webhook_service.stripe_events import Event, NotAnEvent, decode_event, received
from webhook_service.sweep_clock import Hurry

PREFIX: Final = "/webhooks/stripe/"
LARGEST_BODY: Final = 1 << 20
_TOO_LARGE: Final = "too large"
_log = logger(__name__)
_Headers = list[tuple[bytes, bytes]]


class Refused(Exception):
    """A request that is not kept; the text is the reason, for the answer and for metrics."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Webhooks:
    """The outermost application: answers the webhooks' route itself and hands everything else on."""

    def __init__(self, app: ASGIApp, services: Services, hurry: Hurry) -> None:
        self._app, self._services, self._hurry = app, services, hurry
        metrics = services.metrics
        self._events = lru_cache(maxsize=500)(metrics.events.labels)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            path: str = scope["path"]
            if path.startswith(PREFIX) and "/" not in (account := path[len(PREFIX) :]):
                await self._handle(account, scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _handle(self, account: str, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            secrets = self._services.webhook_secrets.get(account)
            if secrets is None:
                raise Refused(404, "unknown account")
            body, header = await _read(scope, receive)
            began, now = time.perf_counter(), self._services.now()
            event = _checked(self._services, account, secrets, body, header, now)
            arrived = received(event, body, account, "webhook", now)
            is_new = await self._keep(arrived)
        except Refused as refusal:
            await self._refuse(send, refusal)
            return
        await _answer(send, 200, _KEPT, _KEPT_HEADERS)
        metrics = self._services.metrics
        metrics.ack_seconds.observe(time.perf_counter() - began)
        if not is_new:
            metrics.duplicates.labels(account).inc()
            return
        if arrived.subject is not None:
            self._services.wake.refresh.ring()
        self._events(account, event.type).inc()
        metrics.lag_seconds.observe(max(now.timestamp() - event.created, 0))

    async def _keep(self, arrived: Received) -> bool:
        """Whether the event is new; it is durable then. Raises Refused."""
        try:
            return await self._services.database.store(arrived)
        except Unavailable as error:
            self._hurry.missed_something(self._services.now())
            _log.error(
                "event not stored",
                account=arrived.account,
                event_id=arrived.id,
                event_type=arrived.type,
                error=str(error),
            )
            raise Refused(503, "not stored") from None

    async def _refuse(self, send: Send, refusal: Refused) -> None:
        self._services.metrics.refused.labels(refusal.reason).inc()
        headers = _headers(body := f'{{"error":"{refusal.reason}"}}'.encode())
        if refusal.status == 503:
            headers.append((b"retry-after", b"5"))
        # The connection of a body that was not read to its end cannot be used again.
        if refusal.status == 413:
            headers.append((b"connection", b"close"))
        await _answer(send, refusal.status, body, headers)


def _headers(body: bytes) -> _Headers:
    length = (b"content-length", b"%d" % len(body))
    return [(b"content-type", b"application/json"), length, *SAFE_HEADERS]


_KEPT: Final = b'{"received":true}'
_KEPT_HEADERS: Final = _headers(_KEPT)


async def _answer(send: Send, status: int, body: bytes, headers: _Headers) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _read(scope: Scope, receive: Receive) -> tuple[bytes, str]:
    """The body and the signature's header; refused once it is known to be too large, whatever Content-Length claims."""
    signature = ""
    for name, value in scope["headers"]:
        if name == b"stripe-signature":
            signature = value.decode("latin-1")
        elif name == b"content-length" and value.isdigit() and int(value) > LARGEST_BODY:
            raise Refused(413, _TOO_LARGE)
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "gone")
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size > LARGEST_BODY:
            raise Refused(413, _TOO_LARGE)
        parts.append(part)
    return b"".join(parts), signature


def _checked(
    services: Services, account: str, secrets: tuple[bytes, ...], body: bytes, header: str, now: datetime
) -> Event:
    seconds = now.timestamp()
    stamp = signed_at(body, header, secrets, seconds)
    if stamp is None:
        raise Refused(400, "signature")
    services.skew.note(stamp, seconds)
    try:
        event = decode_event(body)
    except NotAnEvent as error:
        _log.warning("webhook refused", account=account, reason=str(error))
        raise Refused(400, "body") from None
    ours = services.stripe[account]
    if ours.live is not None and event.livemode is not ours.live:
        _log.warning("webhook refused", account=account, reason="livemode", livemode=event.livemode)
        raise Refused(400, "livemode")
    if event.account is not None and event.account != services.account_ids.get(account):
        _log.warning("webhook refused", account=account, reason="account")
        raise Refused(400, "account")
    return event
