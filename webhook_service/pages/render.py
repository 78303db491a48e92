"""HTML answers: one environment, one set of headers, nothing that a page could be made to load from elsewhere."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import jinja2
from starlette.responses import HTMLResponse

from redisu_pipeline.common.problems import ConfigurationError, Problem
from redisu_pipeline.common.settings import Pages, Settings

STRIPE_CHECKOUT = "https://checkout.stripe.com"
_MOST_LOGO = 256 * 1024
_LOGO_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}

HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # The address of the payment page holds learner and e-mail: no other site may hear of it.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Look:
    """What the settings say about the pages' look."""

    brand: str
    accent: str
    on_accent: str
    ink: str
    logo: str | None
    support: str | None


def look_of(pages: Pages) -> Look:
    """Return the look; ConfigurationError when the logo cannot be used."""
    return Look(
        brand=pages.brand,
        accent=pages.accent_color,
        on_accent=readable_on(pages.accent_color),
        ink=pages.ink_color,
        logo=_data_uri(pages.logo) if pages.logo else None,
        support=pages.support,
    )


def readable_on(color: str) -> str:
    """Return black or white, whichever has the higher contrast on ``color`` (WCAG 2.2, relative luminance)."""
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else "#ffffff"


def _data_uri(logo: Path) -> str:
    where, kind = "pages.logo", _LOGO_TYPES.get(logo.suffix.lower())
    try:
        raw = logo.read_bytes()
    except OSError as error:
        message = f"cannot be read ({error.strerror})"
        raise ConfigurationError(Problem("logo", where, message, "check path and permissions")) from None
    if kind is None or len(raw) > _MOST_LOGO:
        raise ConfigurationError(Problem("logo", where, "is no SVG or PNG of at most 256 KiB", "name another file"))
    return f"data:{kind};base64,{base64.b64encode(raw).decode()}"


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class Renderer:
    """Renders the templates for one configuration."""

    def __init__(self, settings: Settings) -> None:
        self.look = look_of(settings.pages)
        self._form_action = " ".join(_form_targets(settings))
        self._https = settings.service.public_url.startswith("https://")

    def page(
        self, template: str, status: int = 200, headers: Mapping[str, str] | None = None, **given: object
    ) -> HTMLResponse:
        """Return a page under a content security policy of its own."""
        nonce = secrets.token_urlsafe(16)
        text = _environment().get_template(template).render(look=self.look, nonce=nonce, **given)
        return HTMLResponse(text, status, {**self.headers(self._policy(nonce)), **(headers or {})})

    def message(
        self,
        status: int,
        title: str,
        text: str,
        headers: Mapping[str, str] | None = None,
        link: tuple[str, str] | None = None,
    ) -> HTMLResponse:
        """Return a page that says one thing."""
        return self.page("message.html", status, headers, title=title, text=text, link=link)

    def headers(self, policy: str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'") -> dict[str, str]:
        """Return the headers of every answer of the pages."""
        made = {"Content-Security-Policy": policy, **HEADERS}
        if self._https:
            made["Strict-Transport-Security"] = "max-age=31536000"
        return made

    def _policy(self, nonce: str) -> str:
        # Browsers hold a form's redirect against form-action too, so Stripe's page must stand there.
        return (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src 'self' data:; "
            f"connect-src 'self'; form-action {self._form_action}; frame-ancestors 'none'; base-uri 'none'"
        )


def _form_targets(settings: Settings) -> list[str]:
    """Where the form may lead: here, and Stripe's payment page (or that of a stand-in, which is where its API is)."""
    targets = ["'self'", STRIPE_CHECKOUT]
    bases = [account.stripe_api_base for account in settings.accounts.values()]
    for address in (*bases, settings.pages.checkout_domain):
        parts = urlsplit(address or "")
        origin = f"{parts.scheme}://{parts.netloc}"
        if address and parts.hostname != "api.stripe.com" and origin not in targets:
            targets.append(origin)
    return targets
