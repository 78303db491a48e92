"""Stripe's error bodies, word for word where its words are known (https://docs.stripe.com/error-codes)."""

from typing import Any

import msgspec

DOCS = "https://docs.stripe.com/error-codes/"
LOGS = "https://dashboard.stripe.com/logs/"


class ApiError(Exception):
    """An answer other than 200. `code` and `param` appear in the body only when there is one, as at Stripe."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        type: str = "invalid_request_error",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.type = status, message, code, param, type
        self.headers = headers or {}

    def body(self, request_id: str) -> bytes:
        error: dict[str, Any] = {}
        if self.code is not None:
            error = {"code": self.code, "doc_url": DOCS + self.code.replace("_", "-")}
        error["message"] = self.message
        if self.param is not None:
            error["param"] = self.param
        if self.status != 401:  # an unknown key has no log to point to
            error["request_log_url"] = f"{LOGS}{request_id}?t=0"
        error["type"] = self.type
        return msgspec.json.encode({"error": error})


def unknown_parameters(names: list[str]) -> ApiError:
    plural = "s" if len(names) > 1 else ""
    message = f"Received unknown parameter{plural}: {', '.join(names)}"
    return ApiError(400, message, code="parameter_unknown", param=names[0])


def missing_parameter(name: str) -> ApiError:
    return ApiError(400, f"Missing required param: {name}.", code="parameter_missing", param=name)


def empty_parameter(name: str) -> ApiError:
    message = (
        f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter; however "
        f"'{name}' cannot be unset. You should remove '{name}' from your request or supply a non-empty value."
    )
    return ApiError(400, message, code="parameter_invalid_empty", param=name)


def invalid_integer(name: str, value: object) -> ApiError:
    return ApiError(400, f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)


def invalid(name: str, message: str) -> ApiError:
    """A value that Stripe refuses without a code of its own."""
    return ApiError(400, message, param=name)


def exclusive(*names: str) -> ApiError:
    message = f"You may only specify one of these parameters: {', '.join(names)}."
    return ApiError(400, message, code="parameters_exclusive", param=names[0])


def missing_object(noun: str, id: str, param: str = "id", status: int = 404) -> ApiError:
    """404 for the object of the address, 400 for one that a parameter names."""
    return ApiError(status, f"No such {noun}: '{id}'", code="resource_missing", param=param)


def unknown_url(method: str, path: str) -> ApiError:
    return ApiError(
        404,
        f"Unrecognized request URL ({method}: {path}). If you are trying to list objects, remove the trailing slash. "
        "If you are trying to retrieve an object, make sure you passed a valid (non-empty) identifier in your code. "
        "Please see https://stripe.com/docs or we can help at https://support.stripe.com/.",
    )


def unauthorized(key: str | None) -> ApiError:
    challenge = {"WWW-Authenticate": 'Bearer realm="Stripe"'}
    if key is None:
        message = (
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
            "https://stripe.com/docs/api#authentication for details, or we can help at https://support.stripe.com/."
        )
        return ApiError(401, message, headers=challenge)
    return ApiError(401, f"Invalid API Key provided: {masked(key)}", headers=challenge)


def forbidden(key: str, permission: str) -> ApiError:
    message = (
        f"The provided key '{masked(key)}' does not have the required permissions for this endpoint on account. "
        f"Having the '{permission}' permission would allow this request to continue."
    )
    return ApiError(403, message, code="more_permissions_required")


def masked(key: str) -> str:
    """The key as Stripe repeats it in messages: its prefix and its last four characters."""
    if len(key) <= 12:
        return "*" * len(key)
    return key[:8] + "*" * (len(key) - 12) + key[-4:]
