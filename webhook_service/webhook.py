"""`POST /webhooks/stripe/{account}`: verify, keep durably with the job, answer. Nothing else happens in a request.

Until the signature holds, nothing of a request is logged or stored: anybody can send one.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from webhook_service.database import Unavailable
from webhook_service.services import Services, logger
from webhook_service.signature import is_signed, stamp_of
from webhook_service.stripe_events import Event, NotAnEvent, decode, received
from webhook_service.sweep_clock import Hurry

LARGEST_BODY: Final = 1 << 20
_log = logger(__name__)
_KEPT: Final = b'{"received":true}'


class TooLarge(Exception):
    """A body over the limit."""


class Refused(Exception):
    """A request that is answered 400; the text is the reason for metrics."""


def endpoint(services: Services, hurry: Hurry) -> Callable[[Request], Awaitable[Response]]:
    """The route's handler."""

    async def handle(request: Request) -> Response:
        account = request.path_params["account"]
        secrets = services.webhook_secrets.get(account)
        if secrets is None:
            return _answer(services, 404, "unknown account")
        try:
            body = await read_limited(request)
            began = time.perf_counter()
            event = _checked(services, account, secrets, body, request.headers.get("stripe-signature", ""))
            now = services.now()
            arrived = received(event, body, account, "webhook", now)
            is_new = await services.database.store(arrived)
        except TooLarge:
            return _answer(services, 413, "too large")
        except Refused as refusal:
            return _answer(services, 400, str(refusal))
        except ClientDisconnect:
            return _answer(services, 400, "gone")
        except Unavailable as error:
            hurry.missed_something(services.now())
            _log.error("event not stored", account=account, event_id=event.id, event_type=event.type, error=str(error))
            return _answer(services, 503, "not stored")
        services.metrics.ack_seconds.observe(time.perf_counter() - began)
        if is_new:
            if arrived.subject is not None:
                services.wake.refresh.ring()
            services.metrics.events.labels(account, event.type).inc()
            services.metrics.lag_seconds.observe(max(now.timestamp() - event.created, 0))
        else:
            services.metrics.duplicates.labels(account).inc()
        return Response(_KEPT, media_type="application/json")

    return handle


async def read_limited(request: Request) -> bytes:
    """The body; TooLarge as soon as it is known to be, whatever Content-Length claims."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > LARGEST_BODY:
        raise TooLarge
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            raise TooLarge
        parts.append(part)
    return b"".join(parts)


def _checked(services: Services, account: str, secrets: tuple[bytes, ...], body: bytes, header: str) -> Event:
    now = services.now().timestamp()
    if not is_signed(body, header, secrets, now):
        raise Refused("signature")
    services.skew.note(stamp_of(header) or 0, now)
    try:
        event = decode(body)
    except NotAnEvent as error:
        _log.warning("webhook refused", account=account, reason=str(error))
        raise Refused("body") from None
    ours = services.stripe[account]
    if ours.live is not None and event.livemode is not ours.live:
        _log.warning("webhook refused", account=account, reason="livemode", livemode=event.livemode)
        raise Refused("livemode")
    if event.account is not None and event.account != services.account_ids.get(account):
        _log.warning("webhook refused", account=account, reason="account")
        raise Refused("account")
    return event


def _answer(services: Services, status: int, reason: str) -> Response:
    services.metrics.refused.labels(reason).inc()
    headers = {"Retry-After": "5"} if status == 503 else {}
    # The connection of a body that was not read to its end cannot be used again.
    if status == 413:
        headers["Connection"] = "close"
    return Response(f'{{"error":"{reason}"}}', status, headers, "application/json")
