"""The pages that buyers see (ours, beyond the contract): their look, signed links, limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from redisu_pipeline.common import secrets
from redisu_pipeline.common.secrets import Secret
from redisu_pipeline.common.settings import checks
from redisu_pipeline.common.settings.fields import Fault, setting

_color = checks.matching(r"#[0-9A-Fa-f]{6}", "a colour like #FF4438")


def _support(address: str) -> str:
    if address.startswith("mailto:") and "@" in address:
        return address
    if address.startswith(("https://", "http://")):
        return address
    raise Fault(f"{checks.shown(address)} is not an address for a link", "write mailto:help@example.com or https://…")


def _template(address: str) -> str:
    filled = address.replace("{course}", "c").replace("{flockjay_course_id}", "f")
    if "{" in filled or "}" in filled:
        raise Fault("has an unknown placeholder", "use {course} and {flockjay_course_id} only")
    checks.web_address(filled.partition("?")[0].partition("#")[0])
    return address


@dataclass(frozen=True, kw_only=True)
class Pages:
    """The pages that buyers see (ours, beyond the contract)."""

    brand: str = setting("Name on the pages and on Stripe's", default="Redis University", clean=checks.text)
    logo: Path | None = setting("SVG or PNG shown on the pages; without one a mark is drawn", default=None)
    accent_color: str = setting("Colour of buttons", default="#FF4438", clean=_color)
    ink_color: str = setting("Colour of text and of the head of the page", default="#091A23", clean=_color)
    support: str | None = setting("Where buyers find help: mailto:… or a web address", default=None, clean=_support)
    course_url: str | None = setting(
        "Where an unlocked course is opened; {course} and {flockjay_course_id} are filled in",
        default=None,
        clean=_template,
    )
    link_secret_envs: tuple[str, ...] = setting(
        "Variables that hold the secret with which FlockJay signs its links to the payment page (several while it "
        "rolls); without one links are taken unsigned",
        default=(),
        clean=checks.variable,
    )
    token_secret_env: str | None = setting(
        "Variable that holds the secret of the pages' own tokens; without one it is derived from the webhook secrets",
        default=None,
        clean=checks.variable,
    )
    checkout_domain: str | None = setting(
        "Your own domain of Stripe's payment page, when you have one", default=None, clean=checks.web_address
    )
    checkouts_per_minute: int = setting(
        "Checkouts that one network address may begin a minute", default=120, clean=checks.at_least(1, "a minute")
    )

    def link_secrets(self, environ: Mapping[str, str]) -> tuple[Secret, ...]:
        """Return the secrets of signed links; ConfigurationError naming every variable that is missing."""
        where, what = "pages.link_secret_envs", "the secret that signs FlockJay's links"
        return tuple(secrets.gather(partial(secrets.read, environ, v, where, what) for v in self.link_secret_envs))

    def token_secret(self, environ: Mapping[str, str]) -> Secret | None:
        """Return the secret of the pages' tokens, None when none is named; ConfigurationError when it is missing."""
        if self.token_secret_env is None:
            return None
        return secrets.read(environ, self.token_secret_env, "pages.token_secret_env", "a long random text")
