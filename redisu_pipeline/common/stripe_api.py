"""Calls to Stripe through its own SDK, for bytes instead of objects; and what its errors mean for us.

The SDK authenticates, pins the API version and reads error bodies. A StripeObject costs 700 objects a second a core,
so a successful answer is kept as bytes (the SDK is shown an empty object) and decoded elsewhere. Retries are the
caller's: the SDK would not repeat a 429, and a repeated call must take a token from the account's budget first.
"""

import threading
from collections.abc import Mapping
from typing import Any

import stripe

API_VERSION = "2026-10-28.endive"
TIMEOUT_SECONDS = (10, 60)


class Transient(Exception):
    """Worth asking again: the network, a 429, a 5xx, a lock. The text names the reason, never a key."""

    def __init__(self, reason: str, *, limited: bool = False) -> None:
        super().__init__(reason)
        self.limited = limited


class NotThere(Exception):
    """404: the object does not exist (any more)."""


class Refused(Exception):
    """Any other 4xx: asking again will not help. ``detail`` is Stripe's own sentence, without the key."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status, self.code, self.detail = status, code, detail


class _Capture(stripe.RequestsClient):
    """Keeps the last successful body of each thread and hands the SDK an empty object in its place."""

    def __init__(self, timeout: tuple[float, float]) -> None:
        super().__init__(timeout=timeout)
        self.kept = threading.local()

    def request(  # type: ignore[override]  # the SDK's own RequestsClient narrows it the same way
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        body, status, answered = super().request(method, url, headers, post_data)
        if 200 <= status < 300:
            self.kept.body = body if isinstance(body, bytes) else str(body).encode()
            return b"{}", status, answered
        return body, status, answered


class StripeApi:
    """One account's API. Threads may share it."""

    def __init__(self, key: str, api_base: str, timeout: tuple[float, float] = TIMEOUT_SECONDS) -> None:
        """Use ``key`` at ``api_base``; ``timeout`` is (seconds to connect, seconds between bytes)."""
        self._http = _Capture(timeout)
        self._client = stripe.StripeClient(
            key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base.rstrip("/")},
            max_network_retries=0,
            http_client=self._http,
        )

    def get(self, path: str, parameters: Mapping[str, Any]) -> bytes:
        """Return the body of ``GET path``. Raises Transient, NotThere or Refused."""
        return self._call("get", path, parameters)

    def post(self, path: str, parameters: Mapping[str, Any], idempotency_key: str) -> bytes:
        """Return the body of ``POST path``. Raises Transient, NotThere or Refused.

        Repeated with the same key and parameters it acts once (stripe.md §2.4). The same key with other parameters is
        Refused with the code ``idempotency_error``; a first call still under way is Transient.
        """
        return self._call("post", path, {**parameters, "idempotency_key": idempotency_key})

    def close(self) -> None:
        """Close the calling thread's connections; those of other threads end with their threads."""
        self._http.close()  # type: ignore[no-untyped-call]

    def _call(self, method: str, path: str, parameters: Mapping[str, Any]) -> bytes:
        try:
            self._client.raw_request(method, path, **parameters)
        except stripe.APIConnectionError as error:
            raise Transient(f"no answer ({_cause(error)})") from None
        except stripe.RateLimitError as error:
            reason = (error.headers or {}).get("Stripe-Rate-Limited-Reason", "lock_timeout")
            raise Transient(f"429 {reason}", limited=True) from None
        except stripe.StripeError as error:
            raise _meaning(error) from None
        except (AttributeError, KeyError, TypeError, ValueError):
            # The SDK stumbles over an error body in another form than Stripe's: a proxy answered, not Stripe.
            raise Transient("an error that is not in Stripe's form") from None
        body: bytes = vars(self._http.kept).pop("body")  # else each thread would hold its last page while it is idle
        return body


def _meaning(error: stripe.StripeError) -> Exception:
    status = error.http_status or 0
    if status >= 500 or status == 409 or status == 0:
        return Transient(f"HTTP {status}")
    if status == 404:
        return NotThere(error.code or "resource_missing")
    if status < 400:
        return Transient(f"HTTP {status} with a body that is no JSON")
    detail = "the key was not accepted" if status == 401 else (error.user_message or "").splitlines()[0:1]
    code = "idempotency_error" if isinstance(error, stripe.IdempotencyError) else error.code or ""
    return Refused(status, code, detail if isinstance(detail, str) else "".join(detail))


def _cause(error: BaseException) -> str:
    cause = error.__cause__ or error.__context__
    return type(cause or error).__name__
