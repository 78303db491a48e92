"""Whether FlockJay is there and knows our key: only GETs, for a learner that nobody is, so nothing is granted.

FlockJay's API is not public (contract §5), so the key is judged by comparison: the same GET with and without it.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

import httpx

from redisu_pipeline.common.settings import FlockJay, Preset, Settings
from redisu_pipeline.doctor.model import Finding, fail, ok, warn

TIMEOUT: Final = httpx.Timeout(10.0, connect=5.0)
LEARNER: Final = "redisu-doctor"
QUESTIONS: Final[Mapping[Preset, str]] = MappingProxyType(
    {
        Preset.ENROLLMENT: "/v1/courses/{course}/learners/{learner}",
        Preset.GROUP: "/v1/groups/{course}/members/{learner}",
        Preset.SCIM: "/scim/v2/Groups/{course}",
    }
)
_ADDRESS_MEND: Final = "check flockjay.api_base and the network"


class NoAnswer(Exception):
    """The connection failed; the text says how."""


def reachable(settings: Settings) -> Finding:
    """Whether anything answers, asked without the key."""
    try:
        return reached_finding(_status(settings, {}))
    except NoAnswer as error:
        return fail(f"{settings.flockjay.base()} does not answer ({error})", _ADDRESS_MEND)


def key(settings: Settings, environ: Mapping[str, str]) -> Finding:
    """Whether the key is accepted. Raises ConfigurationError when it is missing."""
    flockjay = settings.flockjay
    scheme = f"{flockjay.auth_scheme} " if flockjay.auth_scheme else ""
    headers = {flockjay.auth_header: f"{scheme}{flockjay.api_key(environ).reveal()}"}
    try:
        return key_finding(flockjay, _status(settings, headers), _status(settings, {}))
    except NoAnswer as error:
        return fail(f"no answer to the key ({error})", _ADDRESS_MEND)


def work_list(settings: Settings) -> Finding:
    """`manual`: whether the list for people can be written."""
    path = settings.flockjay.work_list
    there = path if path.exists() else next(parent for parent in path.parents if parent.exists())
    if path.is_dir() or (there is not path and not there.is_dir()) or not os.access(there, os.W_OK):
        return fail(f"{path} cannot be written", "set flockjay.work_list to a file in a folder that can be written")
    return ok(f"people unlock by {path}; it can be written")


def reached_finding(status: int) -> Finding:
    """Judge the status that a request without a key got."""
    if status >= 500:
        return fail(f"answers HTTP {status}", "wait for FlockJay, or ask its support; unlocks wait and are tried again")
    if 300 <= status < 400:
        return fail(f"answers HTTP {status}, a redirect, which no call follows", "set flockjay.api_base to its goal")
    return ok(f"answers (HTTP {status} to a request without a key)")


def key_finding(flockjay: FlockJay, status: int, bare: int) -> Finding:
    """Judge the key by what the same request got with it and without."""
    if status in (401, 403):
        mend = f"export the right key in {flockjay.api_key_env}; check flockjay.auth_header and flockjay.auth_scheme"
        return fail(f"the key is refused (HTTP {status})", mend)
    if status == 429 or status >= 500:
        return warn(f"cannot be told: HTTP {status}", "run redisu doctor again when FlockJay has time")
    if bare in (401, 403):
        return ok(f"the key is accepted (HTTP {status}, and {bare} without it)")
    evidence = f"cannot be told: HTTP {status} with the key and {bare} without"
    return warn(evidence, "unlock a course of your own once, then look at redisu unlocks list")


def question(settings: Settings) -> str:
    """The path of a GET that changes nothing; where calls are ours no more, the API's root."""
    flockjay = settings.flockjay
    template = QUESTIONS.get(flockjay.preset)
    if template is None or flockjay.grant is not None or flockjay.revoke is not None:
        return "/"
    course = next(iter(settings.courses.values())).flockjay_course_id
    return template.format(course=quote(course, safe=""), learner=LEARNER)


def _status(settings: Settings, headers: Mapping[str, str]) -> int:
    base, path = settings.flockjay.base(), question(settings)
    try:
        with httpx.Client(base_url=base, timeout=TIMEOUT, follow_redirects=False, trust_env=False) as client:
            return client.get(path, headers={**headers, "User-Agent": "redisu/1"}).status_code
    except httpx.HTTPError as error:
        raise NoAnswer(type(error).__name__) from None
