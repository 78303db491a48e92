"""Snapshot events as Stripe delivers them, and what each type asks for; unknown types are kept and ask for nothing."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from redisu_pipeline.common.decoders import decoder_of
from webhook_service.inbox import Received

SESSION_TYPES: Final = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
)
MONEY_TYPES: Final = (
    "charge.refunded",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "refund.created",
    "refund.updated",
    "refund.failed",
)
SWEPT_TYPES: Final = SESSION_TYPES + MONEY_TYPES
"""What a sweep asks for: at most 20 types (stripe.md §4.3)."""


class NotAnEvent(Exception):
    """A body that is no snapshot event of API v1; the text says why and quotes nothing of it."""


class _Object(msgspec.Struct):
    id: str | None = None
    object: str | None = None
    payment_intent: msgspec.Raw = msgspec.Raw(b"null")
    charge: msgspec.Raw = msgspec.Raw(b"null")


class _Data(msgspec.Struct):
    object: _Object


class Event(msgspec.Struct):
    """The parts of an event that the service acts on."""

    id: str
    object: str
    type: str
    created: int
    livemode: bool
    data: _Data
    account: str | None = None


_decoder = decoder_of(Event)


def decode_event(body: bytes) -> Event:
    """Return the event of a body. Raises NotAnEvent."""
    try:
        body.decode()
        event = _decoder.decode(body)
    except UnicodeDecodeError:
        raise NotAnEvent("not UTF-8") from None
    except msgspec.MsgspecError:
        raise NotAnEvent("not a snapshot event") from None
    except RecursionError:
        raise NotAnEvent("nested too deeply") from None
    fits = 0 < len(event.id) <= 255 and 0 < len(event.type) <= 120 and 0 <= event.created < 10**11
    if event.object != "event" or not fits or len(event.data.object.id or "") > 255:
        raise NotAnEvent("not a snapshot event")
    if not (event.id + event.type + (event.data.object.id or "")).isprintable():
        raise NotAnEvent("unprintable id")
    return event


def subject_of(event: Event) -> str | None:
    """The Stripe id to read again because of the event: its session, or the payment that leads to one."""
    thing = event.data.object
    if event.type in SESSION_TYPES:
        return _known(thing.id, "cs_")
    if event.type == "charge.refunded":
        return _id_in(thing.payment_intent) or _known(thing.id, "ch_", "py_")
    if event.type in MONEY_TYPES:
        return _id_in(thing.payment_intent) or _id_in(thing.charge)
    return None


def received(event: Event, body: bytes, account: str, source: str, now: datetime) -> Received:
    """The event as it is kept."""
    return Received(
        id=event.id,
        account=account,
        type=event.type,
        object_id=event.data.object.id or "",
        created=datetime.fromtimestamp(event.created, UTC),
        received_at=now,
        source=source,
        subject=subject_of(event),
        payload=body,
    )


def _id_in(raw: msgspec.Raw) -> str | None:
    """An id, or the id of an expanded object."""
    try:
        value = msgspec.json.decode(raw)
    except msgspec.MsgspecError:
        return None
    if isinstance(value, dict):
        value = value.get("id")
    return _known(value, "pi_", "ch_", "py_") if isinstance(value, str) else None


def _known(id: str | None, *prefixes: str) -> str | None:
    # It becomes part of an address at Stripe, so nothing but an id may pass.
    fits = id is not None and id.startswith(prefixes) and len(id) <= 255 and id.replace("_", "").isalnum()
    return id if fits and id is not None and id.isascii() else None
