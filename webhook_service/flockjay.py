"""FlockJay behind a small protocol: presets for how a course is unlocked, changeable by settings (contract §5)."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Final, Protocol
from urllib.parse import quote

import httpx

from redisu_pipeline.common import clock
from redisu_pipeline.common.secrets import Secret
from redisu_pipeline.common.settings import Call, FlockJay, Preset, Settings
from webhook_service.delivery import Answer, Kind
from webhook_service.work_list import WorkList

TIMEOUT: Final = httpx.Timeout(10.0, connect=3.0)
_LONGEST_PAUSE: Final = 3600.0  # a longer Retry-After would outlast what buyers forgive; asking hourly harms nobody


@dataclass(frozen=True)
class Change:
    """One change of a learner's access. ``key`` is the same for every attempt."""

    action: str
    course_id: str
    learner: str
    email: str
    name: str
    order_id: str
    key: str
    correlation_id: str

    def fields(self) -> dict[str, str]:
        """What templates may name."""
        return {
            "course_id": self.course_id,
            "learner_id": self.learner,
            "email": self.email,
            "name": self.name,
            "order_id": self.order_id,
        }


class Adapter(Protocol):
    """A way to unlock courses. Both methods may be called from several threads."""

    def deliver(self, change: Change) -> Answer:
        """Make the change (again, with the same key, when nobody knows whether it was made)."""

    def has_access(self, learner: str, course_id: str) -> bool | None:
        """Ask whether the learner has the course; None where the preset cannot be asked, or gave no answer."""

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True)
class Template:
    """A call: ``body`` is JSON whose texts may hold placeholders, None for no body."""

    method: str
    path: str
    body: object = None
    content_type: str = "application/json"


_SCIM_MESSAGE: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_PERSON: Final = {"email": "{email}", "name": "{name}", "order_id": "{order_id}"}
_ADD: Final = {"op": "add", "path": "members", "value": [{"value": "{learner_id}"}]}
_REMOVE: Final = {"op": "remove", "path": 'members[value eq "{learner_id}"]'}


def _scim(operation: object) -> Template:
    body = {"schemas": [_SCIM_MESSAGE], "Operations": [operation]}
    return Template("PATCH", "/scim/v2/Groups/{course_id}", body, "application/scim+json")


_ENROLLMENT: Final = "/v1/courses/{course_id}/learners/{learner_id}"
_MEMBERS: Final = "/v1/groups/{course_id}/members"
PRESETS: Final[Mapping[Preset, Mapping[str, Template]]] = MappingProxyType(
    {
        Preset.ENROLLMENT: {
            "grant": Template("PUT", _ENROLLMENT, _PERSON),
            "revoke": Template("DELETE", _ENROLLMENT),
            "ask": Template("GET", _ENROLLMENT),
        },
        Preset.GROUP: {
            "grant": Template("POST", _MEMBERS, {"user_id": "{learner_id}", **_PERSON}),
            "revoke": Template("DELETE", f"{_MEMBERS}/{{learner_id}}"),
        },
        Preset.SCIM: {"grant": _scim(_ADD), "revoke": _scim(_REMOVE)},
    }
)


def adapter_for(settings: Settings, key: Secret | None) -> Adapter:
    """The adapter of the settings' preset; every preset but `manual` needs the key."""
    if settings.flockjay.preset is Preset.MANUAL or key is None:
        return WorkListAdapter(WorkList(settings.flockjay.work_list))
    return HttpAdapter(settings.flockjay, key)


class NoAnswer(Exception):
    """A call that may or may not have been made; the text is the kind of failure."""


class HttpAdapter:
    """Calls an API as the templates say."""

    def __init__(self, settings: FlockJay, key: Secret, transport: httpx.BaseTransport | None = None) -> None:
        scheme = f"{settings.auth_scheme} " if settings.auth_scheme else ""
        self._templates = templates(settings)
        self._client = httpx.Client(
            base_url=settings.base(),
            headers={settings.auth_header: f"{scheme}{key.reveal()}", "User-Agent": "redisu/1"},
            timeout=TIMEOUT,
            follow_redirects=False,
            transport=transport,
            trust_env=False,
        )

    def deliver(self, change: Change) -> Answer:
        template = self._templates[change.action]
        headers = {"Idempotency-Key": change.key, "X-Correlation-ID": change.correlation_id}
        try:
            response = self._send(template, change.fields(), headers)
        except NoAnswer as error:
            return Answer(Kind.DOWN, None, f"no answer ({error})")
        return meaning(response.status_code, response.headers)

    def has_access(self, learner: str, course_id: str) -> bool | None:
        template = self._templates.get("ask")
        if template is None:
            return None
        fields = {"course_id": course_id, "learner_id": learner, "email": "", "name": "", "order_id": ""}
        try:
            status = self._send(template, fields, {}).status_code
        except NoAnswer:
            return None
        return {200: True, 404: False}.get(status)

    def close(self) -> None:
        self._client.close()

    def _send(self, template: Template, fields: Mapping[str, str], headers: Mapping[str, str]) -> httpx.Response:
        path = _filled(template.path, {name: quote(value, safe="") for name, value in fields.items()})
        body, typed = None, dict(headers)
        if template.body is not None:
            body = json.dumps(_fill(template.body, fields), ensure_ascii=False).encode()
            typed["Content-Type"] = template.content_type
        try:
            return self._client.request(template.method, path, headers=typed, content=body)
        except httpx.HTTPError as error:
            raise NoAnswer(type(error).__name__) from None


class WorkListAdapter:
    """`manual`: people unlock, by a list; a change is done when they say so."""

    def __init__(self, work_list: WorkList) -> None:
        self._list = work_list
        self._one = threading.Lock()

    def deliver(self, change: Change) -> Answer:
        with self._one:
            try:
                self._list.add(change.key, change.action, change.fields(), clock.now())
            except OSError as error:
                return Answer(Kind.DOWN, None, f"the work list cannot be written ({error.strerror})")
        return Answer(Kind.LISTED, None, "in the work list")

    def has_access(self, learner: str, course_id: str) -> bool | None:  # noqa: ARG002  (nobody to ask)
        return None

    def close(self) -> None:
        pass


def templates(settings: FlockJay) -> dict[str, Template]:
    """The preset's templates with what the settings override."""
    made = dict(PRESETS[settings.preset])
    for action, override in (("grant", settings.grant), ("revoke", settings.revoke)):
        if override is not None:
            made[action] = _overridden(made[action], override)
            made.pop("ask", None)  # another contract: the preset's question need not fit it
    return made


def _overridden(template: Template, call: Call) -> Template:
    return Template(
        call.method or template.method,
        call.path or template.path,
        dict(call.body) if call.body is not None else template.body,
        template.content_type,
    )


def meaning(status: int, headers: Mapping[str, str]) -> Answer:
    """What a status means (contract §5)."""
    detail = f"HTTP {status}"
    if 200 <= status < 300:
        return Answer(Kind.DONE, status, detail)
    if status in (401, 403):
        return Answer(Kind.DENIED, status, detail)
    if status == 429:
        return Answer(Kind.BUSY, status, detail, _retry_after(headers) or 5.0)
    if status == 409:
        return Answer(Kind.BUSY, status, detail, _retry_after(headers))
    if status >= 500:
        return Answer(Kind.DOWN, status, detail, _retry_after(headers))
    return Answer(Kind.FINAL, status, detail)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After (RFC 9110 §10.2.3: a number, or a date)."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    else:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        aware: datetime = at if at.tzinfo else at.replace(tzinfo=UTC)
        seconds = (aware - clock.now()).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_PAUSE)


def _fill(value: object, fields: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return _filled(value, fields)
    if isinstance(value, dict):
        return {name: _fill(item, fields) for name, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, fields) for item in value]
    return value


def _filled(template: str, fields: Mapping[str, str]) -> str:
    # Not str.format: a learner's name with braces must stay what it is, and so must attributes.
    parts = template.split("{")
    filled = [parts[0]]
    for part in parts[1:]:
        name, brace, rest = part.partition("}")
        filled.append(fields[name] + rest if brace and name in fields else "{" + part)
    return "".join(filled)
