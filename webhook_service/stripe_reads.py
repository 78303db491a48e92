"""What a refresh reads at Stripe, and nothing else of those objects: the session with its charge, and its disputes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from redisu_pipeline.common.decoders import decode
from redisu_pipeline.common.stripe_api import NotThere, StripeApi
from webhook_service.entitlements import OrderFacts

_EXPAND: Final = ["payment_intent.latest_charge", "invoice"]
T = TypeVar("T")


class _Charge(msgspec.Struct):
    id: str
    amount: int
    status: str
    amount_refunded: int = 0
    refunded: bool = False
    disputed: bool = False


class _Intent(msgspec.Struct):
    id: str
    status: str
    latest_charge: _Charge | None = None


class _Invoice(msgspec.Struct):
    id: str
    hosted_invoice_url: str | None = None


class _Address(msgspec.Struct):
    country: str | None = None


class _Customer(msgspec.Struct):
    email: str | None = None
    name: str | None = None
    address: _Address | None = None


class _Session(msgspec.Struct):
    id: str
    livemode: bool
    status: str
    payment_status: str
    created: int
    mode: str = "payment"
    amount_total: int | None = None
    currency: str | None = None
    client_reference_id: str | None = None
    metadata: dict[str, str] | None = None
    customer_details: _Customer | None = None
    payment_intent: _Intent | None = None
    invoice: _Invoice | None = None


class _Dispute(msgspec.Struct):
    id: str
    status: str


class _SessionId(msgspec.Struct):
    id: str


class _Disputes(msgspec.Struct):
    data: list[_Dispute]
    has_more: bool = False


class _SessionIds(msgspec.Struct):
    data: list[_SessionId]


class _PaidBy(msgspec.Struct):
    payment_intent: str | None = None


class Unreadable(Exception):
    """Stripe's answer has not the shape of its pinned API version."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A session as it is now. Amounts in minor units; ``metadata`` as we (or somebody else) set it."""

    session_id: str
    live: bool
    facts: OrderFacts
    metadata: Mapping[str, str]
    payment_intent: str | None
    amount_total: int | None
    currency: str | None
    country: str | None
    email: str | None
    name: str | None
    invoice_url: str | None


def read_session(api: StripeApi, session_id: str, *, suspect_dispute: bool) -> Reading:
    """Read a session whole. Raises the errors of `StripeApi.get`, and Unreadable.

    Disputes are listed when the charge says it has one, or when the caller has reason to ask.
    """
    session = _decode(api.get(f"/v1/checkout/sessions/{session_id}", {"expand": _EXPAND}), _Session)
    charge = session.payment_intent.latest_charge if session.payment_intent else None
    disputes: tuple[str, ...] = ()
    if charge is not None and (charge.disputed or suspect_dispute):
        found = _decode(api.get("/v1/disputes", {"charge": charge.id, "limit": 100}), _Disputes)
        disputes = tuple(dispute.status for dispute in found.data)
    buyer = session.customer_details or _Customer()
    return Reading(
        session_id=session.id,
        live=session.livemode,
        facts=_facts(session, charge, disputes),
        metadata=session.metadata or {},
        payment_intent=session.payment_intent.id if session.payment_intent else None,
        amount_total=session.amount_total,
        currency=session.currency,
        country=buyer.address.country if buyer.address else None,
        email=buyer.email,
        name=buyer.name,
        invoice_url=session.invoice.hosted_invoice_url if session.invoice else None,
    )


def _facts(session: _Session, charge: _Charge | None, disputes: tuple[str, ...]) -> OrderFacts:
    taken = charge if charge is not None and charge.status != "failed" else None
    return OrderFacts(
        session_status=session.status,
        payment_status=session.payment_status,
        payment_intent_status=session.payment_intent.status if session.payment_intent else None,
        charge_failed=charge is not None and charge.status == "failed",
        charged=taken.amount if taken else 0,
        refunded=taken.amount_refunded if taken else 0,
        disputes=disputes,
    )


def session_of(api: StripeApi, subject: str) -> str | None:
    """The id of the session that a payment intent or charge belongs to; None when it came from no session."""
    if subject.startswith(("ch_", "py_")):
        try:
            intent = _decode(api.get(f"/v1/charges/{subject}", {}), _PaidBy).payment_intent
        except NotThere:
            return None
        if intent is None:
            return None
        subject = intent
    found = _decode(api.get("/v1/checkout/sessions", {"payment_intent": subject, "limit": 1}), _SessionIds).data
    return found[0].id if found else None


def _decode(body: bytes, shape: type[T]) -> T:
    try:
        return decode(body, shape)
    except msgspec.MsgspecError as error:
        # msgspec's text names the field, never its value.
        raise Unreadable(str(error)) from None
