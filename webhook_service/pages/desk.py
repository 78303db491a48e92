"""Where a buyer is sent to pay: the order, and one open Checkout Session for it. Synchronous; call it from a thread."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

import msgspec
from sqlalchemy import select

from redisu_pipeline.common.decoders import decode
from redisu_pipeline.common.opsdb.schema import orders
from redisu_pipeline.common.settings import Account, Course
from redisu_pipeline.common.stripe_api import NotThere, Refused, Transient
from webhook_service.entitlements import State
from webhook_service.orders import OpenSession, Order, has_course, of_row, open_order, record_session
from webhook_service.pages.form import Buyer
from webhook_service.pages.offers import NotOnSale, Shelf
from webhook_service.pages.session_request import Sale, parameters_of
from webhook_service.pages.signing import RETURN, Links, Signer
from webhook_service.refresh import refresh
from webhook_service.services import Services, logger
from webhook_service.stripe_catalog import patient_post

PAUSES: Final = (0.3, 1.0)  # seconds; a buyer waits
MONTH, DAY = timedelta(days=30), timedelta(days=1)
_log = logger(__name__)


class AlreadyPaid(Exception):
    """The learner has the course."""


class OnItsWay(Exception):
    """A delayed payment for the course has begun: paying once more would be paying twice."""


class _Session(msgspec.Struct):
    id: str
    expires_at: int
    url: str | None = None


@dataclass(frozen=True)
class Desk:
    """Opens orders and their sessions."""

    services: Services
    signer: Signer
    links: Links
    shelf: Shelf = field(default_factory=Shelf)

    def send_to_pay(self, buyer: Buyer, course: Course, account: Account, country: str) -> str:
        """Return the address of an open payment page for this buyer, the same one for a second click.

        Raises AlreadyPaid, OnItsWay, NotOnSale, Transient, NotThere or Refused.
        """
        self._learn_how_it_stands(buyer, course, account)
        services = self.services
        now = services.now()
        order = open_order(
            services.database,
            learner=buyer.learner,
            email=buyer.email,
            course=course,
            account=account,
            country=country,
            now=now,
        )
        if order.session_url is not None and order.can_be_paid(now):
            return order.session_url
        session = self._create(order, course, account)
        record_session(services.database, order, session, services.now())
        _log.info("checkout opened", order_id=order.order_id, correlation_id=order.correlation_id, account=account.name)
        if order.stale_session is not None and not self._close(account.name, order.stale_session):
            refresh(services, account.name, order.stale_session)
            if has_course(services.database, buyer.learner, course.flockjay_course_id):
                self._close(account.name, session.id)
                raise AlreadyPaid
        return session.url

    def unsettled(self, learner: str, course: Course) -> list[Order]:
        """Return the learner's orders of the course of which Stripe may know more than we do."""
        of_learner = (orders.c.learner == learner, orders.c.course_id == course.flockjay_course_id)
        waiting = orders.c.state.in_((State.PENDING, State.PROCESSING))
        with self.services.database.read() as connection:
            rows = connection.execute(select(orders).where(*of_learner, waiting)).mappings().all()
        return [order for order in map(of_row, rows) if order.session_id is not None]

    def return_url(self, order: Order) -> str:
        """Where Stripe sends the buyer after paying; its token lives at least a month and names order and account."""
        # The same for a second click: a request is only idempotent with the same parameters (stripe.md §2.4).
        expires = _rounded(self.services.now(), MONTH) + 2 * MONTH
        token = self.signer.sign(RETURN, (order.order_id, order.account), expires)
        base = self.services.settings.service.public_url
        return f"{base}/checkout/return?session_id={{CHECKOUT_SESSION_ID}}&token={token}"

    def page_url(self, order: Order) -> str:
        """The payment page of an order's buyer, signed where links are."""
        expires = _rounded(self.services.now(), DAY) + 3 * DAY
        query = self.links.query(order.course, order.learner, order.email or "", expires)
        return f"{self.services.settings.service.public_url}/checkout/{order.course}?{query}"

    def _learn_how_it_stands(self, buyer: Buyer, course: Course, account: Account) -> None:
        """Ask Stripe about earlier sessions: a lost webhook must not let anybody pay twice."""
        services = self.services
        for order in self.unsettled(buyer.learner, course):
            refresh(services, order.account, str(order.session_id))
        if has_course(services.database, buyer.learner, course.flockjay_course_id):
            raise AlreadyPaid
        for order in self.unsettled(buyer.learner, course):
            if order.state is State.PROCESSING:
                raise OnItsWay
            if order.account != account.name:  # the buyer has chosen another country meanwhile
                self._close(order.account, str(order.session_id))
                refresh(services, order.account, str(order.session_id))

    def _create(self, order: Order, course: Course, account: Account) -> OpenSession:
        try:
            return self._ask(order, course, account)
        except Refused as error:
            if error.status != 400:
                raise
            # A price or tax rate that was archived since we looked, and the like: look again, once.
            self.shelf.forget(account, course)
            return self._ask(order, course, account)

    def _ask(self, order: Order, course: Course, account: Account) -> OpenSession:
        api = self.services.stripe[account.name].api
        sale = Sale(
            order=order,
            course=course,
            account=account,
            pages=self.services.settings.pages,
            shelf=self.shelf.find(api, account, course),
            success_url=self.return_url(order),
            cancel_url=self.page_url(order),
        )
        given, key = parameters_of(sale), sale.idempotency_key
        try:
            body = patient_post(api, "/v1/checkout/sessions", given, key, PAUSES)
        except Refused as error:
            if error.code != "idempotency_error":
                raise
            # This attempt was begun with other parameters by a click whose answer was lost: one more session.
            digest = sha256(msgspec.json.encode(given, order="sorted")).hexdigest()[:16]
            body = patient_post(api, "/v1/checkout/sessions", given, f"{key}:{digest}", PAUSES)
        made = decode(body, _Session)
        if made.url is None or not made.url.startswith(("https://", "http://")):
            raise NotOnSale(f"Stripe made session {made.id} without a page")
        return OpenSession(made.id, made.url, datetime.fromtimestamp(made.expires_at, UTC))

    def _close(self, account: str, session_id: str) -> bool:
        """Expire a session that must not be paid any more; False when it is not open."""
        api = self.services.stripe[account].api
        try:
            patient_post(api, f"/v1/checkout/sessions/{session_id}/expire", {}, f"expire:{session_id}", PAUSES)
        except (Refused, NotThere):
            return False
        except Transient as error:
            # It stays payable until it expires by itself; a second payment is seen and listed for a refund.
            _log.warning("session not closed", account=account, session_id=session_id, error=str(error))
        return True


def _rounded(now: datetime, step: timedelta) -> datetime:
    since = now - datetime(2020, 1, 1, tzinfo=UTC)
    return now - since % step
