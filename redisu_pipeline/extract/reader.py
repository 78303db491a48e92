"""Asking one account politely and stubbornly: a turn from the budget, retries with jitter, and a count of it all."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from redisu_pipeline.common.decoders import decoder_of
from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.common.stripe_api import Refused, StripeApi, Transient
from redisu_pipeline.extract.budget import Budget
from redisu_pipeline.extract.decode import Truncated

T = TypeVar("T")
ATTEMPTS = 14
LONGEST_PAUSE = 8.0
FIRST_PAUSE = 0.1


class Interrupted(Exception):
    """The run was asked to stop; what was read so far is kept."""


class CursorGone(Failed):
    """The object after which a page was to begin has been deleted since: the list must be entered at another place."""


class Reader:
    """Reads one account. Threads share it; ``requests`` counts every attempt by table."""

    def __init__(self, account: str, api: StripeApi, budget: Budget, stop: threading.Event) -> None:
        self.account, self._api, self._budget, self.stop = account, api, budget, stop
        self.requests: Counter[str] = Counter()
        self._lock = threading.Lock()

    def get(self, table: str, path: str, parameters: Mapping[str, Any], parse: Callable[[bytes], T]) -> T:
        """Return ``parse(body)`` of a GET; a body that ``parse`` finds truncated is asked for again.

        Raises NotThere, Interrupted, CursorGone, or Failed with one line when Stripe refuses or stays unreachable.
        """
        try:
            return self.attempt(table, path, lambda api: parse(api.get(path, parameters)))
        except Refused as refused:
            gone = refused.code == "resource_missing" and "starting_after" in parameters
            raise (CursorGone if gone else Failed)([self._refusal(table, refused)]) from None

    def attempt(self, table: str, path: str, call: Callable[[StripeApi], T]) -> T:
        """Return ``call(api)``, repeated while that may help; ``path`` says which rate limit it counts against.

        As ``get``, but that Stripe refuses is the caller's to judge: raises Refused.
        """
        reason = ""
        endpoint = endpoint_of(path)
        for attempt in range(ATTEMPTS):
            self._budget.wait(endpoint, self.stop)
            if self.stop.is_set():
                raise Interrupted
            with self._lock:
                self.requests[table] += 1
            try:
                return call(self._api)
            except Truncated:
                reason = "truncated answer"
            except Transient as transient:
                reason = str(transient)
                if transient.limited:
                    self._budget.back_off(endpoint, FIRST_PAUSE)
            self.stop.wait(min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt) * random.uniform(0.5, 1))
        mend = "see https://status.stripe.com and sync again: it goes on where it was"
        message = f"Stripe did not answer usably in {ATTEMPTS} attempts ({reason})"
        raise Failed([Problem("stripe_unreachable", f"{self.account}/{table}", message, mend)])

    def expect(self, path: str, requests: float) -> None:
        """Say how many requests for ``path`` are still to come, so that the longest work is not left for the end."""
        self._budget.expect(endpoint_of(path), requests)

    def _refusal(self, table: str, refused: Refused) -> Problem:
        where = f"{self.account}/{table}"
        if refused.status == 401:
            where = f"accounts.{self.account}.stripe_api_key_env"
            mend = "put a valid secret or restricted key into the variable it names"
            return Problem("stripe_key", where, "Stripe does not accept the API key (401)", mend)
        if refused.status == 403:
            mend = "give the restricted key read permission for it in the Stripe Dashboard"
            return Problem("stripe_permission", where, f"the key may not read this (403): {refused.detail}", mend)
        message = f"Stripe refused the request ({refused.status} {refused.code}): {refused.detail}"
        return Problem("stripe_refused", where, message, "report this: the request does not fit Stripe's API")


class _Mode(msgspec.Struct):
    livemode: bool


def ask_livemode(reader: Reader) -> bool:
    """Ask whether the key reads live data, where its form does not tell (an organization key). Raises Failed."""
    decode: Callable[[bytes], _Mode] = decoder_of(_Mode).decode
    return reader.get("balances", "/v1/balance", {}, decode).livemode


def endpoint_of(path: str) -> str:
    """Return the rate-limit bucket of a path: all ids of one resource share a bucket."""
    parts = path.strip("/").split("/")
    known = [part for part in parts if not _is_id(part)]
    return "/".join(known) + ("/{id}" if len(known) < len(parts) else "")


def _is_id(part: str) -> bool:
    # Stripe's ids carry a prefix and an underscore, and a capital or a digit; no path segment has digits but v1, v2.
    return "_" in part and any(c.isdigit() or c.isupper() for c in part)
