"""Secrets: read from the environment when a command needs them, and hidden wherever they might be printed."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from redisu_pipeline.common.problems import ConfigurationError, Problem

T = TypeVar("T")

# Stripe's keys and signing secrets wear their kind in front; the rest of the form is not documented.
_STRIPE_SECRET = re.compile(r"\b(?:sk|rk|pk|ek|whsec)_[A-Za-z0-9_]{6,}")
HIDDEN = "[hidden]"


class Secret:
    """A secret text that shows itself only to :meth:`reveal`; its repr, str and format hide it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself: call it where it is used, and keep the result nowhere."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def read(environ: Mapping[str, str], variable: str, where: str, what: str) -> Secret:
    """Return the secret in ``variable``; ConfigurationError naming the variable when it is missing or misshapen.

    ``where`` is the setting that names the variable, ``what`` the secret in words.
    """
    text = environ.get(variable, "")
    if not text.strip():
        raise ConfigurationError(
            Problem("missing_variable", where, f"{variable} is not set", f"export {variable}=<{what}>")
        )
    if any(sign.isspace() for sign in text) or not text.isprintable() or not text.isascii():
        raise ConfigurationError(
            Problem("bad_variable", where, f"{variable} holds spaces or other signs", f"export it again: <{what}> only")
        )
    return Secret(text)


def read_api_key(environ: Mapping[str, str], variable: str, where: str) -> Secret:
    """Return a Stripe API key that can read; a publishable key or a signing secret is refused."""
    secret = read(environ, variable, where, "a restricted Stripe key, rk_…")
    if secret.reveal().startswith(("pk_", "whsec_")):
        kind = "a publishable key" if secret.reveal().startswith("pk_") else "a webhook's signing secret"
        raise ConfigurationError(
            Problem(
                "wrong_kind_of_key", where, f"{variable} holds {kind}", "export a restricted key, rk_…, in its place"
            )
        )
    return secret


def is_live(key: str) -> bool | None:
    """Tell from a key's prefix whether it reads live data; None for a key of an unknown form."""
    parts = key.split("_")
    if len(parts) < 3:
        return None
    return {"live": True, "test": False}.get(parts[1])


def gather(getters: Iterable[Callable[[], T]]) -> list[T]:
    """Call every getter and return the results; one ConfigurationError with all their problems when any refuses."""
    results: list[T] = []
    problems: list[Problem] = []
    for getter in getters:
        try:
            results.append(getter())
        except ConfigurationError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigurationError(problems)
    return results


def scrub(text: str) -> str:
    """Return ``text`` with everything that looks like a Stripe key or signing secret hidden."""
    return _STRIPE_SECRET.sub(HIDDEN, text)
