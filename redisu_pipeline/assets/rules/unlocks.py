"""The lake's paid sessions against the service's entitlements: who paid without a course, who has one without paying.

Pure: rows in, differences out. What a state should be is decided by the money alone, as in the service (stripe.md
§3.1, §3.2). Only sessions that the service answers for are compared: ours (their metadata say so), and made since its
first order.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from redisu_pipeline.common.opsdb.entitlements import Entitlement
from redisu_pipeline.common.settings import PartialRefund

PAID: Final = frozenset(("paid", "no_payment_required"))
OPENS: Final = "unlocked"
_ENTITLED: Final = frozenset(("paid", OPENS))
_ON_THE_WAY: Final = frozenset(("pending", "processing", "paid"))
"""States that money paid before must have ended, however lately the service has asked."""
_AT_ONCE: Final = frozenset(("card", "link"))
"""Ways to pay that are paid when the charge is made; of the others only the reading tells that they are."""
_DISPUTES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("needs_response", "under_review", "appeal_needs_response", "appeal_under_review"), "suspended"),
    **dict.fromkeys(("lost", "prevented"), "revoked"),
}


@dataclass(frozen=True)
class Charge:
    """What became of a session's payment. Amounts in minor units; ``seen_at``: when this state was read."""

    created: datetime
    method: str | None
    amount: int
    refunded: int
    seen_at: datetime
    disputes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Session:
    """A session of ours in the lake. ``charge`` is the succeeded one; None for a free order."""

    id: str
    order_id: str
    course: str
    created: datetime
    status: str
    payment_status: str
    seen_at: datetime
    charge: Charge | None = None

    def due_since(self) -> datetime:
        """Return an instant at which what the lake says of the session was true already."""
        charge = self.charge
        if charge is None:
            return self.created if self.payment_status == "no_payment_required" else self.seen_at
        if charge.refunded or charge.disputes:
            return charge.seen_at
        return charge.created if charge.method in _AT_ONCE else max(self.seen_at, charge.seen_at)

    def wanted(self, partial_refund: PartialRefund) -> str:
        """Return the state that the money says; "unpaid" where nothing was paid."""
        if self.status != "complete" or self.payment_status not in PAID:
            return "unpaid"
        charge = self.charge
        if charge is None:
            return OPENS
        if charge.amount and charge.refunded >= charge.amount:
            return "refunded"
        verdicts = {_DISPUTES.get(status) for status in charge.disputes}
        for verdict in ("revoked", "suspended"):
            if verdict in verdicts:
                return verdict
        return "refunded" if charge.refunded and partial_refund is PartialRefund.REVOKE else OPENS


@dataclass(frozen=True)
class Difference:
    """One disagreement: what the lake says of the money, and what the service has made of it."""

    session_id: str
    order_id: str
    course: str
    account: str
    lake: str
    service: str

    def __str__(self) -> str:
        return f"{self.session_id} ({self.order_id}, {self.course}, {self.account}): lake {self.lake}, {self.service}"


@dataclass(frozen=True)
class Comparison:
    """The two sides of one account. ``complete_until``: how far the lake goes; ``grace``: how long an unlock may take.

    ``start`` is the account's: the lake holds no older session.
    """

    account: str
    sessions: Collection[Session]
    orders: Collection[Entitlement]
    now: datetime
    complete_until: datetime
    start: datetime
    grace: timedelta
    partial_refund: PartialRefund
    _by_session: dict[str, Entitlement] = field(init=False, default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._by_session.update({order.session_id: order for order in self.orders if order.session_id})

    @property
    def since(self) -> datetime:
        """The first order: for older sessions the service does not answer. The present when there is no order."""
        # An order comes a moment before its session, whose time is cut to the second and by Stripe's clock.
        return min((order.created_at for order in self.orders), default=self.now) - timedelta(minutes=1)

    def compared(self) -> list[Session]:
        """Return the sessions that are old enough, and not older than the service."""
        return [one for one in self.sessions if one.created >= self.since and self.now - one.due_since() > self.grace]

    def differences(self) -> Iterator[Difference]:
        """Yield every disagreement, in both directions."""
        for session in sorted(self.compared(), key=lambda one: one.id):
            wanted = session.wanted(self.partial_refund)
            order = self._by_session.get(session.id)
            state = "no order" if order is None else order.state
            if order is not None and state not in _ON_THE_WAY and self._knows_better(order):
                continue
            if wanted == OPENS and state != OPENS:
                yield self._difference(session, "paid", f"service {state}")
            elif wanted != OPENS and state in _ENTITLED:
                yield self._difference(session, wanted, f"service {state}")
        yield from self._unknown_to_the_lake()

    def _difference(self, session: Session, lake: str, service: str) -> Difference:
        return Difference(session.id, session.order_id, session.course, self.account, lake, service)

    def _knows_better(self, order: Entitlement) -> bool:
        """Whether the service has asked Stripe since the lake did: a refund or a verdict may be newer than the lake."""
        return order.read_at is not None and order.read_at > self.complete_until

    def _unknown_to_the_lake(self) -> Iterator[Difference]:
        known = {session.id for session in self.sessions}
        until = self.complete_until - self.grace
        for order in sorted(self.orders, key=lambda one: one.order_id):
            there = order.session_id in known or order.created_at < self.start
            there |= (order.paid_at or order.created_at) > until
            if order.session_id and order.state in _ENTITLED and not there:
                yield Difference(
                    order.session_id, order.order_id, order.course, self.account, "no session", f"service {order.state}"
                )


def words(differences: Iterable[Difference]) -> str:
    """Return the differences for people, one a line."""
    return "\n".join(f"- {one}" for one in differences)
