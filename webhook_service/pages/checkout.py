"""`/checkout/{course}`: the payment page, and its form's way to Stripe."""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from redisu_pipeline.common.settings import Course
from redisu_pipeline.common.stripe_api import NotThere, Refused, Transient
from webhook_service.database import Unavailable
from webhook_service.orders import has_course
from webhook_service.pages.countries import BY_NAME, guess
from webhook_service.pages.desk import AlreadyPaid, Desk, OnItsWay
from webhook_service.pages.form import Buyer, buyer_of, errors_of, is_from_elsewhere
from webhook_service.pages.limits import Limiter
from webhook_service.pages.offers import NotOnSale, offers_of
from webhook_service.pages.render import Renderer
from webhook_service.pages.signing import FORM, Links, Signer
from webhook_service.services import Services, logger

MOST_BYTES = 16 * 1024
FORM_TYPE = "application/x-www-form-urlencoded"
FORM_LIFE = timedelta(hours=12)
_log = logger(__name__)


class _Bad(Exception):
    """A request that no page of ours makes."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


@dataclass(frozen=True)
class CheckoutPage:
    """GET and POST of the payment page."""

    services: Services
    renderer: Renderer
    signer: Signer
    links: Links
    desk: Desk
    views: Limiter
    orders: Limiter

    async def get(self, request: Request) -> Response:
        """Show the page for the learner whom the link names."""
        busy = self._busy(request, self.views)
        if busy is not None:
            return busy
        course = self.services.settings.courses.get(request.path_params["course"])
        if course is None:
            return self._no_course()
        buyer = buyer_of(request.query_params)
        if buyer is None or not self._is_signed(request, course, buyer):
            return self._bad_link()
        country = request.query_params.get("country") or guess(request.headers.get("accept-language", ""))
        buyer = Buyer(buyer.learner, buyer.email, country)
        try:
            return await run_in_threadpool(self._page, course, buyer)
        except (SQLAlchemyError, Unavailable) as error:
            return self._out_of_order(error)

    async def post(self, request: Request) -> Response:
        """Send the buyer to Stripe with an open session, or show the page again with what is missing."""
        busy = self._busy(request, self.orders)
        if busy is not None:
            return busy
        course = self.services.settings.courses.get(request.path_params["course"])
        if course is None:
            return self._no_course()
        try:
            form = await _form(request)
        except _Bad as bad:
            return self.renderer.message(bad.status, "This did not work", bad.text)
        buyer = buyer_of(form)
        if buyer is None:
            return self._bad_link()
        if not self._is_our_form(request, course, buyer, form.get("csrf_token", "")):
            text = (
                "The page was open for too long, or it was not opened here. Open the course again and follow its link."
            )
            return self.renderer.message(403, "Please open the page again", text)
        try:
            return await run_in_threadpool(self._sell, course, buyer)
        except Refused as error:
            return self._bad_link() if error.code == "email_invalid" else self._out_of_order(error)
        except (SQLAlchemyError, Unavailable, Transient, NotThere, NotOnSale) as error:
            return self._out_of_order(error)

    def _page(self, course: Course, buyer: Buyer, errors: dict[str, str] | None = None, status: int = 200) -> Response:
        claims = (course.slug, buyer.learner, buyer.email)
        settings = self.services.settings
        return self.renderer.page(
            "checkout.html",
            status,
            course=course,
            buyer=buyer,
            errors=errors or {},
            offers=offers_of(course, settings),
            owned=has_course(self.services.database, buyer.learner, course.flockjay_course_id),
            course_url=course_url(settings.pages.course_url, course),
            countries=BY_NAME,
            token=self.signer.sign(FORM, claims, self.services.now() + FORM_LIFE),
        )

    def _sell(self, course: Course, buyer: Buyer) -> Response:
        errors = errors_of(buyer)
        if errors or buyer.country is None:
            return self._page(course, buyer, errors, 400)
        account = self.services.settings.account_for(buyer.country)
        if account.currency not in course.prices:
            return self._page(course, buyer, {"country": "This course is not sold in that country."}, 400)
        try:
            target = self.desk.send_to_pay(buyer, course, account, buyer.country)
        except AlreadyPaid:
            return self._page(course, buyer, status=409)
        except OnItsWay:
            text = "Your bank needs a few days. The course opens by itself when the money arrives; do not pay again."
            return self.renderer.message(409, "Your payment is on its way", text)
        return RedirectResponse(target, 303, self.renderer.headers())

    def _is_signed(self, request: Request, course: Course, buyer: Buyer) -> bool:
        given = request.query_params
        expires, signature = given.get("expires", ""), given.get("signature", "")
        return self.links.accepts(course.slug, buyer.learner, buyer.email, expires, signature, self.services.now())

    def _is_our_form(self, request: Request, course: Course, buyer: Buyer, token: str) -> bool:
        """Whether our page made this form for this buyer, lately, and no other site sends it (no cookie is needed)."""
        parts = urlsplit(self.services.settings.service.public_url)
        if is_from_elsewhere(request.headers, f"{parts.scheme}://{parts.netloc}"):
            return False
        return self.signer.verify(FORM, token, self.services.now()) == (course.slug, buyer.learner, buyer.email)

    def _busy(self, request: Request, limiter: Limiter) -> Response | None:
        wait = limiter.wait(request.client.host if request.client else "")
        if not wait:
            return None
        text = "Many requests came from your network. Please try again in a minute."
        return self.renderer.message(429, "One moment, please", text, {"Retry-After": str(wait)})

    def _no_course(self) -> Response:
        return self.renderer.message(404, "There is no such course", "Check the link that brought you here.")

    def _bad_link(self) -> Response:
        text = "It is incomplete, or it has expired. Open the course again and follow its link to pay."
        return self.renderer.message(400, "This link does not work", text)

    def _out_of_order(self, error: Exception) -> Response:
        """Say that it is our fault; the reason goes to the log, without what the buyer gave."""
        reason = str(error) if isinstance(error, Transient | NotThere | Refused | NotOnSale) else type(error).__name__
        _log.error("checkout failed", kind=type(error).__name__, reason=reason)
        text = "You were not charged. Please try again in a few minutes."
        return self.renderer.message(503, "We cannot take payments right now", text, {"Retry-After": "60"})


def course_url(template: str | None, course: Course) -> str | None:
    """Where the course is taken, when the settings say so."""
    if template is None:
        return None
    return template.replace("{course}", course.slug).replace("{flockjay_course_id}", course.flockjay_course_id)


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a small form; of a field given twice the last. Raises _Bad."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise _Bad(415, "Please send the form of the payment page.")
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                raise _Bad(413, "That is too much for this form.")
        return dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=50))
    except ClientDisconnect:
        raise _Bad(400, "The request broke off.") from None
    except ValueError:  # no UTF-8, or too many fields
        raise _Bad(400, "The form could not be read.") from None
