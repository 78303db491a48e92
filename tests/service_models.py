"""Small models of Stripe and FlockJay in memory: just what the service reads and calls, with moods."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redisu_pipeline.common.stripe_api import NotThere, Transient
from webhook_service.delivery import Answer, Kind
from webhook_service.flockjay import Change


@dataclass
class Money:
    """What one session's money did, as its bank would tell it."""

    session: dict[str, Any]
    charge: dict[str, Any] | None = None
    dispute: str | None = None
    refunds: list[int] = field(default_factory=list)

    def covers(self) -> bool:
        if self.session["status"] != "complete" or self.session["payment_status"] != "paid" or self.charge is None:
            return False
        gone = sum(self.refunds) >= self.charge["amount"]
        return not gone and self.dispute not in ("needs_response", "under_review", "lost")


@dataclass
class Stripe:
    """Just what the service reads, with a mailbox of events that may or may not arrive."""

    now: int
    chance: random.Random
    money: dict[str, Money] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    flaky: float = 0.0

    def get(self, path: str, parameters: Mapping[str, Any]) -> bytes:
        if self.chance.random() < self.flaky:
            raise Transient("HTTP 500")
        match path.removeprefix("/v1/").split("/"):
            case ["checkout", "sessions", id]:
                if id not in self.money:
                    raise NotThere("resource_missing")
                return json.dumps(self.whole(self.money[id])).encode()
            case ["checkout", "sessions"]:
                wanted = parameters.get("payment_intent")
                found = [
                    one.session
                    for one in self.money.values()
                    if (wanted is None and one.session["status"] == "complete")
                    or (wanted is not None and one.session["payment_intent"] == wanted)
                ]
                return json.dumps({"data": found, "has_more": False}).encode()
            case ["disputes"]:
                found = [
                    {"id": "dp", "status": one.dispute}
                    for one in self.money.values()
                    if one.charge and one.charge["id"] == parameters["charge"] and one.dispute
                ]
                return json.dumps({"data": found, "has_more": False}).encode()
            case ["events"]:
                since = parameters["created"]["gte"]
                feed = [one for one in reversed(self.events) if one["created"] >= since]
                return json.dumps({"data": feed, "has_more": False}).encode()
        raise NotThere(path)

    def whole(self, money: Money) -> dict[str, Any]:
        charge = money.charge
        if charge is not None:
            charge = {**charge, "amount_refunded": sum(money.refunds), "disputed": money.dispute is not None}
        intent = money.session["payment_intent"]
        state = "succeeded" if money.session["payment_status"] == "paid" else "processing"
        expanded = {"id": intent, "status": state, "latest_charge": charge} if intent else None
        return {**money.session, "payment_intent": expanded}

    def say(self, type: str, object: dict[str, Any]) -> None:
        self.events.append(
            {
                "id": f"evt_{self.chance.getrandbits(64):x}",
                "object": "event",
                "type": type,
                "created": self.now,
                "livemode": False,
                "data": {"object": object},
            }
        )


@dataclass
class FlockJay:
    """Who has access, by calls that may be answered, refused for the moment, or done and never answered."""

    chance: random.Random
    access: set[str] = field(default_factory=set)
    keys: dict[str, str] = field(default_factory=dict)
    flaky: float = 0.0

    def deliver(self, change: Change) -> Answer:
        mood = self.chance.random()
        if mood < self.flaky / 2:
            return Answer(Kind.DOWN, 503, "HTTP 503")
        body = f"{change.action} {change.learner} {change.email} {change.name} {change.order_id}"
        assert self.keys.setdefault(change.key, body) == body, "a key is for one request"
        (self.access.add if change.action == "grant" else self.access.discard)(change.learner)
        return Answer(Kind.DOWN, None, "no answer") if mood < self.flaky else Answer(Kind.DONE, 200, "HTTP 200")

    def has_access(self, learner: str, course_id: str) -> bool | None:
        return learner in self.access

    def close(self) -> None:
        pass
