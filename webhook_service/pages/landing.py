"""`/checkout/return`: where Stripe sends the buyer afterwards. The address's token says whose order it may show."""

import re
from dataclasses import dataclass
from urllib.parse import urlencode

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from webhook_service.database import Unavailable
from webhook_service.entitlements import State
from webhook_service.orders import Order, Progress, state_of
from webhook_service.pages.checkout import course_url
from webhook_service.pages.desk import Desk
from webhook_service.pages.limits import Limiter, Throttle
from webhook_service.pages.render import Renderer
from webhook_service.pages.signing import RETURN, Signer
from webhook_service.pages.views import UNKNOWN, View, view_of
from webhook_service.refresh import refresh
from webhook_service.services import Services, logger

_SESSION = re.compile(r"cs_[A-Za-z0-9_]{1,200}")
# How often Stripe is asked again while a buyer looks: it knows of a payment before its webhook has come.
_ASK_SECONDS = {State.PENDING: 2.0, State.PROCESSING: 60.0, State.UNLOCKED: 10.0}
_log = logger(__name__)


@dataclass(frozen=True)
class Own:
    """What only the buyer of the order may see."""

    order_id: str
    course: str
    course_url: str | None
    invoice_url: str | None
    retry_url: str | None


@dataclass(frozen=True)
class ReturnPage:
    """The page after paying, and the piece of it that turns."""

    services: Services
    renderer: Renderer
    signer: Signer
    desk: Desk
    views: Limiter
    asked: Throttle

    async def page(self, request: Request) -> Response:
        """The whole page."""
        return await self._answer(request, "return.html")

    async def piece(self, request: Request) -> Response:
        """Only what turns: the page's script asks for it again and again."""
        return await self._answer(request, "standing.html")

    async def _answer(self, request: Request, template: str) -> Response:
        wait = self.views.wait(request.client.host if request.client else "")
        if wait:
            return self.renderer.message(
                429, "One moment, please", "Please try again in a minute.", {"Retry-After": str(wait)}
            )
        given = {name: request.query_params.get(name, "") for name in ("session_id", "token")}
        try:
            view, own = await run_in_threadpool(self._standing, given["session_id"], given["token"])
        except (SQLAlchemyError, Unavailable) as error:
            _log.error("return page failed", kind=type(error).__name__)
            text = "Your payment is safe with Stripe. Please reload this page in a minute."
            return self.renderer.message(503, "We cannot look it up right now", text, {"Retry-After": "5"})
        status = 404 if view is UNKNOWN else 200
        look_at = f"/checkout/return/standing?{urlencode(given)}"
        return self.renderer.page(template, status, view=view, own=own, look_at=look_at)

    def _standing(self, session_id: str, token: str) -> tuple[View, Own | None]:
        if not _SESSION.fullmatch(session_id):
            return UNKNOWN, None
        claims = self.signer.verify(RETURN, token, self.services.now())
        progress = self._progress(session_id, claims)
        if progress is None:
            return UNKNOWN, None
        view = view_of(progress, self.services.now())
        is_own = claims is not None and claims[0] == progress.order.order_id
        return view, self._own(progress.order, view) if is_own else None

    def _progress(self, session_id: str, claims: tuple[str, ...] | None) -> Progress | None:
        """The order's standing, after asking Stripe where it may know more."""
        database = self.services.database
        progress = state_of(database, session_id)
        if progress is None:
            # Its creation was not recorded, or the database is another one: only a buyer's token is worth a question.
            if claims is None or claims[1] not in self.services.stripe or not self.asked.allows(session_id, 2.0):
                return None
            account = claims[1]
        else:
            account = progress.order.account
            seconds = _ASK_SECONDS.get(progress.state)
            is_settled = progress.state is State.UNLOCKED and progress.order.invoice_url is not None
            if seconds is None or is_settled or not self.asked.allows(session_id, seconds):
                return progress
        refresh(self.services, account, session_id)
        return state_of(database, session_id)

    def _own(self, order: Order, view: View) -> Own:
        settings = self.services.settings
        course = settings.courses.get(order.course)
        opened = course_url(settings.pages.course_url, course) if course and order.state is State.UNLOCKED else None
        return Own(
            order_id=order.order_id,
            course=course.name if course else order.course,
            course_url=opened,
            invoice_url=order.invoice_url,
            retry_url=self.desk.page_url(order) if view.may_retry and course and order.email else None,
        )
