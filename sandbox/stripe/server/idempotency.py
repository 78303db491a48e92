"""Idempotency keys as Stripe keeps them (stripe.md §2.4): the first result is played again for 24 hours."""

from dataclasses import dataclass, field

from sandbox.stripe.server.errors import ApiError

KEPT = 24 * 3600  # seconds
LONGEST = 255


@dataclass(frozen=True)
class Kept:
    """The first result under a key."""

    request: str  # method, path and parameters
    at: int  # the world's unix time
    status: int
    body: bytes


@dataclass
class Replays:
    """By account and key. Validation failures are never kept, so that the same key may be sent mended."""

    kept: dict[tuple[str, str], Kept] = field(default_factory=dict)
    busy: set[tuple[str, str]] = field(default_factory=set)

    def claim(self, account: str, key: str) -> None:
        """Begin a request under a key. Raises ApiError(409) while another one with it is under way."""
        if len(key) > LONGEST:
            message = f"Invalid Idempotency-Key: must be at most {LONGEST} characters."
            raise ApiError(400, message, type="idempotency_error")
        if (account, key) in self.busy:
            message = (
                "There is currently another in-progress request using this Idempotent Key (that probably means you "
                "submitted twice, and the other request is still going through). Please try again later."
            )
            raise ApiError(409, message, code="idempotency_key_in_use", type="idempotency_error")
        self.busy.add((account, key))

    def release(self, account: str, key: str) -> None:
        self.busy.discard((account, key))

    def find(self, account: str, key: str, request: str, now: int) -> Kept | None:
        """The result to play again. Raises ApiError(400) when the key belongs to another request."""
        kept = self.kept.get((account, key))
        if kept is None or now - kept.at > KEPT:
            return None
        if kept.request != request:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request."
            )
            raise ApiError(400, message, type="idempotency_error")
        return kept
