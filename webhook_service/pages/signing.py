"""Tokens of the pages and signatures of links: HMAC-SHA256 over text that names its purpose, with an expiry.

Nothing is kept on the server. A secret may be rolled: the first signs, every one verifies.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from urllib.parse import urlencode

import msgspec

from redisu_pipeline.common.secrets import Secret

FORM, RETURN = "form", "return"  # purposes: a token for one never opens the other


@dataclass(frozen=True)
class Signer:
    """Signs and verifies tokens that carry a few texts; ``keys`` are raw bytes, the newest first."""

    keys: tuple[bytes, ...]

    def sign(self, purpose: str, claims: Sequence[str], expires: datetime) -> str:
        """Return a URL-safe token; the same arguments give the same token (an idempotent request may carry it)."""
        payload = _encoded(msgspec.json.encode([int(expires.timestamp()), *claims]))
        return f"{payload}.{_mac(self.keys[0], purpose, payload)}"

    def verify(self, purpose: str, token: str, now: datetime) -> tuple[str, ...] | None:
        """Return the claims of a token that is ours, meant for ``purpose`` and not expired; else None."""
        payload, _, mac = token.partition(".")
        if not mac.isascii() or not payload.isascii():
            return None
        if not any(hmac.compare_digest(_mac(key, purpose, payload), mac) for key in self.keys):
            return None
        expires, *claims = msgspec.json.decode(_decoded(payload))
        return tuple(map(str, claims)) if now.timestamp() < expires else None


def signer(secrets: Sequence[Secret]) -> Signer:
    """Return the pages' signer; its keys are derived, so that no token tells about the secrets themselves."""
    return Signer(tuple(hmac.digest(secret.reveal().encode(), b"redisu pages v1", sha256) for secret in secrets))


LINK_FIELDS = ("course", "learner", "email", "expires")


@dataclass(frozen=True)
class Links:
    """Signed links to the payment page, so that nobody but FlockJay can name a learner.

    The signature is hex HMAC-SHA256 over ``course=…&learner=…&email=…&expires=…``, form-encoded in that order;
    ``expires`` is in unix seconds. Without secrets links are taken unsigned.
    """

    secrets: tuple[Secret, ...]

    def query(self, course: str, learner: str, email: str, expires: datetime) -> str:
        """Return the query of a link to ``/checkout/{course}``, signed when links are."""
        query = {"learner": learner, "email": email}
        if self.secrets:
            stamp = str(int(expires.timestamp()))
            query |= {"expires": stamp, "signature": self._signature(self.secrets[0], course, learner, email, stamp)}
        return urlencode(query)

    def accepts(self, course: str, learner: str, email: str, expires: str, signature: str, now: datetime) -> bool:
        """Whether a link is FlockJay's and not expired; every link is when links are not signed."""
        if not self.secrets:
            return True
        if not signature.isascii() or not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            return False
        ours = any(
            hmac.compare_digest(self._signature(secret, course, learner, email, expires), signature.lower())
            for secret in self.secrets
        )
        return ours and now.timestamp() < int(expires)

    def _signature(self, secret: Secret, *fields: str) -> str:
        text = urlencode(list(zip(LINK_FIELDS, fields, strict=True)))
        return hmac.new(secret.reveal().encode(), text.encode(), sha256).hexdigest()


RETURN_DAYS = timedelta(days=30)


def _mac(key: bytes, purpose: str, payload: str) -> str:
    return _encoded(hmac.digest(key, f"{purpose}.{payload}".encode(), sha256))


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:  # cannot happen to what we signed
        raise ValueError("a signed token that is no base64") from error
