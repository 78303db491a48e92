"""What every shape shares: filling a blank object, and the nested list envelope."""

from typing import Any, TypeAlias

Object: TypeAlias = dict[
    str, Any
]  # a Stripe object as JSON; its field names are Stripe's, a test compares them with the SDK


def filled(blank: Object, given: Object) -> Object:
    """Return `blank` with the given fields set. Raises TypeError for a field that Stripe's object does not have."""
    unknown = given.keys() - blank.keys()
    if unknown:
        raise TypeError(f"{blank['object']} has no field {', '.join(sorted(unknown))}")
    blank.update(given)
    return blank


def nested(data: list[Object], url: str) -> Object:
    """A list object holding all its rows; the server shows the first ten of it."""
    return {"object": "list", "data": data, "has_more": False, "url": url}


def address(
    country: str | None = None,
    state: str | None = None,
    city: str | None = None,
    line1: str | None = None,
    postal_code: str | None = None,
) -> Object:
    return {
        "city": city,
        "country": country,
        "line1": line1,
        "line2": None,
        "postal_code": postal_code,
        "state": state,
    }
