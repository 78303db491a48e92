"""Small clients for the stand-ins' own endpoints: what a test, the demo or a person says to the sandbox."""

import json
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit


class Refused(ValueError):
    """The stand-in did not understand; the message is its own."""


def send(base: str, method: str, path: str, body: Any = None) -> Any:
    """One JSON request to the sandbox on this machine. Raises Refused for anything but 200."""
    connection = HTTPConnection(urlsplit(base).netloc, timeout=300)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, "/_sandbox" + path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        made = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != 200:
        raise Refused(f"{method} {path}: {made}")
    return made


@dataclass(frozen=True)
class Control:
    """The Stripe stand-in's controls. Times are aware datetimes, UTC."""

    base: str

    def state(self) -> Any:
        return send(self.base, "GET", "/")

    def now(self) -> datetime:
        return datetime.fromisoformat(send(self.base, "GET", "/clock")["now"])

    def advance(self, to: datetime) -> None:
        """Move time forward; everything scheduled until then happens, with its events."""
        send(self.base, "POST", "/clock", {"advance_to": to.isoformat()})

    def set_now(self, now: datetime) -> None:
        """Only set the clock; nothing happens."""
        send(self.base, "POST", "/clock", {"now": now.isoformat()})

    def faults(self, **values: Any) -> Any:
        """Set faults and limits by name (server/faults.py); without any, all off."""
        return send(self.base, "POST" if values else "DELETE", "/faults", values or None)

    def page_cap(self, most: int) -> None:
        """Pages of at most `most` objects, whatever is asked for; 0 takes it back."""
        self.faults(page_cap=most)

    def requests(self, account: str = "") -> Any:
        """Counts by endpoint, the most at once, and the last requests word for word."""
        return send(self.base, "GET", "/requests" + (f"?account={account}" if account else ""))

    def reset_requests(self) -> None:
        send(self.base, "DELETE", "/requests")

    def raw(self, account: str, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind, oldest first, nested lists whole."""
        made: list[dict[str, Any]] = send(self.base, "GET", "/objects?" + urlencode({"account": account, "kind": kind}))
        return made

    def truth(self, account: str, month: str) -> Any:
        return send(self.base, "GET", "/truth?" + urlencode({"account": account, "month": month}))

    def tax_rows(self, account: str) -> Any:
        return send(self.base, "GET", "/tax_rows?" + urlencode({"account": account}))

    def act(self, account: str, action: str, **arguments: Any) -> Any:
        """Let one thing happen: a refund, a dispute, a failed payout … (the world's actions)."""
        return send(self.base, "POST", "/act", {"account": account, "action": action, **arguments})

    def deny(self, account: str, *permissions: str) -> None:
        """Take permissions (rak_…) from the account's key; none gives all back."""
        send(self.base, "POST", "/permissions", {"account": account, "missing": list(permissions)})

    def webhooks(self, account: str, url: str, **settings: Any) -> Any:
        """Deliver the account's events to a URL; `types`, `secrets`."""
        return send(self.base, "POST", "/webhooks", {"account": account, "url": url, **settings})

    def webhook_manners(self, **values: Any) -> Any:
        """`lose`, `duplicate`, `shuffle`, `retries`, `stamp_offset` … (server/deliveries.py)."""
        return send(self.base, "POST", "/webhooks/manners", values)

    def flush_webhooks(self) -> Any:
        """Wait until no delivery is on its way; answers what was delivered."""
        return send(self.base, "POST", "/webhooks/flush")

    def resend(self, account: str, event: str) -> Any:
        return send(self.base, "POST", "/webhooks/resend", {"account": account, "event": event})

    def reports(self, **values: int) -> Any:
        """`polls`, `lag_hours`, `fail_next`, `files_expire_next` of report runs."""
        return send(self.base, "POST", "/reports", values)


@dataclass(frozen=True)
class FlockJayControl:
    """The FlockJay stand-in's controls."""

    base: str

    def access(self) -> dict[str, dict[str, Any]]:
        """Who has access: learner → course → details."""
        made: dict[str, dict[str, Any]] = send(self.base, "GET", "/access")["access"]
        return made

    def calls(self) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = send(self.base, "GET", "/access")["calls"]
        return made

    def reset(self) -> None:
        send(self.base, "DELETE", "/access")

    def mood(self, **values: Any) -> Any:
        """Set the mood by name (flockjay.py); without any, all is well."""
        return send(self.base, "POST" if values else "DELETE", "/mood", values or None)
