"""The FlockJay stand-in: who has access to which course, by the three contracts that our adapter knows (contract §5).

* `enrollment`: `PUT|DELETE /v1/courses/{course}/learners/{learner}` with `{"email", "name", "order_id"}`
* `group`: `POST|DELETE /v1/groups/{group}/members[/{learner}]`
* `scim`: RFC 7644 `PATCH /scim/v2/Groups/{group}` with add and remove of members

Its moods (outage, slow, 429, 404 …) and its record are under `/_sandbox`.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeAlias
from urllib.parse import unquote

import msgspec

from redisu_pipeline.common import clock
from sandbox.stripe.server import transport

Scope: TypeAlias = MutableMapping[str, Any]
Reply: TypeAlias = tuple[int, Any, dict[str, str]]
SCHEMES = ("Bearer", "Token")
ERROR_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"


@dataclass
class Mood:
    """How the stand-in treats the next calls."""

    outage: bool = False  # 503
    unreachable: bool = False  # the connection is reset
    slow: float = 0.0  # seconds before every answer
    rate_limited: int = 0  # this many calls are answered 429
    retry_after: int = 1  # seconds, in the 429's header
    conflict: int = 0  # this many calls are answered 409
    lost_answers: int = 0  # this many calls are done and then reset, so that the caller cannot know
    unknown_courses: list[str] = field(default_factory=list)  # 404
    unknown_learners: list[str] = field(default_factory=list)  # 404
    forbidden: bool = False  # 403 to the right key


@dataclass(frozen=True)
class Call:
    """One call, for the record."""

    at: float
    method: str
    path: str
    status: int  # 0: no answer was sent
    idempotency_key: str | None
    replayed: bool
    body: Any


@dataclass
class FlockJay:
    """The ASGI application and its state. `access` is learner → course → details of the grant."""

    key: str
    mood: Mood = field(default_factory=Mood)
    access: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    replays: dict[str, tuple[str, Reply]] = field(default_factory=dict)

    async def __call__(
        self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http":
            return
        text = (await _body(receive)).decode()
        method, path = scope["method"], scope["path"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if path.startswith("/_sandbox"):
            await _answer(send, self._control(method, path, _json(text)))
            return
        if self.mood.slow:
            await asyncio.sleep(self.mood.slow)
        idempotency_key = headers.get("idempotency-key")
        kept = self.replays.get(idempotency_key or "")
        request = f"{method} {path} {text}"
        reply, lost = self._reply(method, path, headers, text, kept, request)
        self.calls.append(
            Call(
                clock.now().timestamp(),
                method,
                path,
                0 if lost else reply[0],
                idempotency_key,
                kept is not None,
                _json(text),
            )
        )
        if lost:
            await transport.break_off(scope, receive, "reset", [], b"")
        else:
            await _answer(send, reply)

    def _reply(
        self, method: str, path: str, headers: dict[str, str], text: str, kept: Any, request: str
    ) -> tuple[Reply, bool]:
        """The answer, and whether it is lost on the way."""
        mood = self.mood
        if mood.unreachable:
            return (0, None, {}), True
        refusal = self._refusal(headers)
        if refusal is not None:
            return refusal, False
        if kept is not None and kept[0] != request:
            return (422, {"error": "idempotency key was used with another request"}, {}), False
        reply = kept[1] if kept is not None else self._route(method, path, _json(text))
        key = headers.get("idempotency-key")
        if key and reply[0] < 400:
            self.replays[key] = (request, reply)
        if mood.lost_answers > 0:
            mood.lost_answers -= 1
            return reply, True
        return reply, False

    def _refusal(self, headers: dict[str, str]) -> Reply | None:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        mood = self.mood
        if mood.outage:
            return 503, {"error": "service unavailable"}, {}
        if scheme not in SCHEMES or not hmac.compare_digest(key.encode(), self.key.encode()):
            return 401, {"error": "missing or wrong key"}, {"WWW-Authenticate": "Bearer"}
        if mood.forbidden:
            return 403, {"error": "this key may not manage enrollments"}, {}
        if mood.rate_limited > 0:
            mood.rate_limited -= 1
            return 429, {"error": "too many requests"}, {"Retry-After": str(mood.retry_after)}
        if mood.conflict > 0:
            mood.conflict -= 1
            return 409, {"error": "another change of this learner is under way"}, {}
        return None

    def _route(self, method: str, path: str, body: Any) -> Reply:
        parts = [unquote(part) for part in path.strip("/").split("/")]
        match (method, parts):
            case ("PUT" | "DELETE", ["v1", "courses", course, "learners", learner]):
                return self._enrollment(method, course, learner, body)
            case ("GET", ["v1", "courses", course, "learners", learner]):
                found = self.access.get(learner, {}).get(course)
                return (200, found, {}) if found else (404, {"error": "not enrolled"}, {})
            case ("POST", ["v1", "groups", group, "members"]):
                if not isinstance(body, dict) or not body.get("user_id"):
                    return 422, {"error": "user_id is required"}, {}
                return self._enrollment("PUT", group, str(body["user_id"]), body)
            case ("DELETE", ["v1", "groups", group, "members", learner]):
                return self._enrollment("DELETE", group, learner, None)
            case ("PATCH", ["scim", "v2", "Groups", group]):
                return self._scim(group, body)
        return 404, {"error": f"no such resource: {method} {path}"}, {}

    def _enrollment(self, method: str, course: str, learner: str, body: Any) -> Reply:
        if course in self.mood.unknown_courses:
            return 404, {"error": f"no such course: {course}"}, {}
        if learner in self.mood.unknown_learners:
            return 404, {"error": f"no such learner: {learner}"}, {}
        if method == "DELETE":
            self.access.get(learner, {}).pop(course, None)
            return 204, None, {}
        if not isinstance(body, dict) or not isinstance(body.get("email", ""), str):
            return 422, {"error": "the body must be a JSON object with email, name and order_id"}, {}
        courses = self.access.setdefault(learner, {})
        known = course in courses
        courses[course] = {"course_id": course, "learner_id": learner, **body}
        return (200 if known else 201), courses[course], {}

    def _scim(self, group: str, body: Any) -> Reply:
        """RFC 7644 §3.5.2: `add` with members, `remove` with a path filter or with members."""
        if group in self.mood.unknown_courses:
            return 404, {"schemas": [ERROR_SCHEMA], "status": "404", "detail": f"Group {group} not found"}, {}
        if not isinstance(body, dict) or not body.get("Operations"):
            return 400, {"schemas": [ERROR_SCHEMA], "status": "400", "scimType": "invalidSyntax"}, {}
        for operation in body["Operations"]:
            path = str(operation.get("path", "members"))
            members = [str(one["value"]) for one in operation.get("value") or []]
            if path.startswith("members[value eq "):
                members = [path.removeprefix("members[value eq ").rstrip("]").strip('"')]
            method = {"add": "PUT", "remove": "DELETE"}.get(str(operation.get("op", "")).lower())
            if method is None or not path.startswith("members"):
                return 400, {"schemas": [ERROR_SCHEMA], "status": "400", "scimType": "invalidPath"}, {}
            for learner in members:
                reply = self._enrollment(method, group, learner, {})
                if reply[0] >= 400:
                    return (
                        reply[0],
                        {"schemas": [ERROR_SCHEMA], "status": str(reply[0]), "detail": reply[1]["error"]},
                        {},
                    )
        return 204, None, {}

    def _control(self, method: str, path: str, body: Any) -> Reply:
        match (method, path.removeprefix("/_sandbox").strip("/")):
            case ("GET", "access"):
                return 200, {"access": self.access, "calls": [asdict(call) for call in self.calls]}, {}
            case ("DELETE", "access"):
                self.access.clear()
                self.calls.clear()
                self.replays.clear()
                return 200, {}, {}
            case ("GET", "mood"):
                return 200, asdict(self.mood), {}
            case ("POST", "mood"):
                known = {one.name for one in fields(Mood)}
                if not isinstance(body, dict) or body.keys() - known:
                    return 400, {"error": f"known are {', '.join(sorted(known))}"}, {}
                for name, value in body.items():
                    setattr(self.mood, name, value)
                return 200, asdict(self.mood), {}
            case ("DELETE", "mood"):
                self.mood = Mood()
                return 200, asdict(self.mood), {}
        return 404, {"error": f"no such control: {method} {path}"}, {}


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text) if text else None
    except msgspec.DecodeError:
        return None


async def _body(receive: Callable[[], Awaitable[Any]]) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _answer(send: Callable[[Any], Awaitable[None]], reply: Reply) -> None:
    status, value, headers = reply
    body = b"" if value is None else msgspec.json.encode(value)
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    head += [(name.lower().encode(), text.encode()) for name, text in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": head if status != 204 else head[2:]})
    await send({"type": "http.response.body", "body": body})
