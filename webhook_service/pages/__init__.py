"""The pages that buyers see: choosing a course to pay for, and coming back from Stripe."""

from collections.abc import Mapping

from starlette.routing import Route

from redisu_pipeline.common.secrets import Secret
from redisu_pipeline.common.settings import Settings
from webhook_service.pages.checkout import CheckoutPage
from webhook_service.pages.desk import Desk
from webhook_service.pages.landing import ReturnPage
from webhook_service.pages.limits import Limiter, Throttle
from webhook_service.pages.render import Renderer
from webhook_service.pages.signing import Links, Signer, signer
from webhook_service.services import Services

VIEWS_FOR_EACH_CHECKOUT = 20
"""Pages may be looked at so many times more often than checkouts may be begun: the return page looks every second."""


def routes(services: Services) -> list[Route]:
    """Return the pages' routes. Raises ConfigurationError for a missing secret or a logo that cannot be used."""
    settings = services.settings
    renderer = Renderer(settings)
    tokens = page_signer(settings, services.environ)
    links = Links(settings.pages.link_secrets(services.environ))
    desk = Desk(services, tokens, links)
    per_minute = settings.pages.checkouts_per_minute
    views = Limiter(per_minute * VIEWS_FOR_EACH_CHECKOUT)
    checkout = CheckoutPage(services, renderer, tokens, links, desk, views, Limiter(per_minute))
    landing = ReturnPage(services, renderer, tokens, desk, views, Throttle())
    return [
        Route("/checkout/return", landing.page, methods=["GET"]),
        Route("/checkout/return/standing", landing.piece, methods=["GET"]),
        Route("/checkout/{course}", checkout.get, methods=["GET"]),
        Route("/checkout/{course}", checkout.post, methods=["POST"]),
    ]


def page_signer(settings: Settings, environ: Mapping[str, str]) -> Signer:
    """Return the signer of the pages' tokens; without a secret of its own it is derived from the webhooks' secrets.

    All of those verify, so that a token outlives the rolling of one.
    """
    own = settings.pages.token_secret(environ)
    if own is not None:
        return signer([own])
    found: list[Secret] = []
    for name in sorted(settings.accounts):
        found += settings.accounts[name].webhook_secrets(environ)
    return signer(found)
