"""What a learner's order entitles to: a pure decision on Stripe's objects as they are now.

The order of events plays no part, so any loss, repetition or disorder of them ends at the same state. Policies:
stripe.md §3.1, §3.2.
"""

from dataclasses import dataclass
from enum import StrEnum

from redisu_pipeline.common.settings import PartialRefund


class State(StrEnum):
    """Where an order stands."""

    PENDING = "pending"
    """The session is open."""
    PROCESSING = "processing"
    """A delayed payment is on its way."""
    PAID = "paid"
    """Paid; FlockJay has not confirmed yet."""
    UNLOCKED = "unlocked"
    """Paid, and FlockJay has confirmed."""
    FAILED = "failed"
    """A delayed payment did not come."""
    EXPIRED = "expired"
    """The session ended unpaid."""
    REFUNDED = "refunded"
    SUSPENDED = "suspended"
    """A dispute is open."""
    REVOKED = "revoked"
    """A dispute was lost."""


ENTITLED = frozenset((State.PAID, State.UNLOCKED))
"""States in which an order opens its course."""


class UnknownValue(Exception):
    """Stripe said something this program does not know; a person must decide what it means."""


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What was read at Stripe. Amounts in minor units of the charge's currency; 0 without a charge."""

    session_status: str
    payment_status: str
    payment_intent_status: str | None = None
    charge_failed: bool = False
    charged: int = 0
    refunded: int = 0
    """Succeeded and pending refunds; one that failed counts no more (`charge.amount_refunded`)."""
    disputes: tuple[str, ...] = ()
    """Status of every dispute of the charge."""


# Inquiries move no money (warning_*); `prevented` gave the money back before a dispute began.
_DISPUTES = {
    "warning_needs_response": None,
    "warning_under_review": None,
    "warning_closed": None,
    "needs_response": State.SUSPENDED,
    "under_review": State.SUSPENDED,
    "appeal_needs_response": State.SUSPENDED,
    "appeal_under_review": State.SUSPENDED,
    "won": None,
    "lost": State.REVOKED,
    "prevented": State.REVOKED,
}


def decide(facts: OrderFacts, partial_refund: PartialRefund) -> State:
    """Return the state that the money says: PAID where it opens the course. Raises UnknownValue."""
    paid = _payment(facts)
    if paid is not State.PAID:
        return paid
    if facts.charged and facts.refunded >= facts.charged:
        return State.REFUNDED
    disputes = {_dispute(status) for status in facts.disputes}
    for verdict in (State.REVOKED, State.SUSPENDED):
        if verdict in disputes:
            return verdict
    if facts.refunded and partial_refund is PartialRefund.REVOKE:
        return State.REFUNDED
    return State.PAID


def _payment(facts: OrderFacts) -> State:
    match facts.session_status, facts.payment_status:
        case "complete", "paid" | "no_payment_required":
            return State.PAID
        case "complete", "unpaid":
            # Failed only when the bank has said so: the charge failed, or its intent wants another method.
            failed = facts.charge_failed or facts.payment_intent_status in ("requires_payment_method", "canceled")
            return State.FAILED if failed else State.PROCESSING
        case "open", "paid" | "unpaid" | "no_payment_required":
            return State.PENDING
        case "expired", "paid" | "unpaid" | "no_payment_required":
            return State.EXPIRED
    raise UnknownValue(f"session status {facts.session_status!r} with payment status {facts.payment_status!r}")


def _dispute(status: str) -> State | None:
    try:
        return _DISPUTES[status]
    except KeyError:
        raise UnknownValue(f"dispute status {status!r}") from None
