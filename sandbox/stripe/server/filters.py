"""The filters of list endpoints: what each accepts, and which objects it leaves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.stripe.server import errors
from sandbox.stripe.server.call import Call
from sandbox.stripe.server.paging import Wanted
from sandbox.stripe.server.parameters import TEXT, Enum, Kind, ListOf, Shape, Text, boolean, moment
from sandbox.stripe.store import Object, dig, fits


@dataclass(frozen=True)
class Filter:
    """`wanted` makes the test of an object from the value; `among` first narrows to some ids by an index."""

    kind: Kind
    wanted: Callable[[Call, Any], Wanted] | None = None
    among: Callable[[Call, Any], list[str]] | None = None


def equals(path: str, kind: Kind = TEXT) -> Filter:
    """Objects whose field is the value."""
    return Filter(kind, wanted=lambda _call, value: lambda obj: bool(dig(obj, path) == value))


def refers(kind: str, path: str, target: str) -> Filter:
    """Objects of `kind` that name another object; Stripe refuses an id that it does not know."""

    def among(call: Call, id: str) -> list[str]:
        store = call.store
        if store.get(target, id) is None and store.deleted(target, id) is None:
            raise errors.missing_object(target, id, path.rpartition(".")[2], status=400)
        return [obj["id"] for obj in store.where(kind, path, id)]

    return Filter(TEXT, among=among)


def any_of(path: str, kind: Kind) -> Filter:
    """Objects whose field is one of the values."""
    return Filter(ListOf(kind), wanted=lambda _call, values: lambda obj: dig(obj, path) in values)


def within(path: str) -> Filter:
    """A time, exact or in a range."""

    def wanted(_call: Call, value: Any) -> Wanted:
        if isinstance(value, int):
            return lambda obj: bool(dig(obj, path) == value)

        def inside(obj: Object) -> bool:
            at = dig(obj, path)
            return at is not None and all(TESTS[name](at, bound) for name, bound in value.items())

        return inside

    return Filter(moment, wanted=wanted)


TESTS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda at, bound: at > bound,
    "gte": lambda at, bound: at >= bound,
    "lt": lambda at, bound: at < bound,
    "lte": lambda at, bound: at <= bound,
}


def nested(table: dict[str, Filter], required: tuple[str, ...] = ()) -> Filter:
    """A hash of filters, such as `payment[type]`."""

    def wanted(call: Call, value: Any) -> Wanted:
        tests = [make(call, value[name]) for name, one in table.items() if name in value and (make := one.wanted)]
        return lambda obj: all(test(obj) for test in tests)

    return Filter(Shape({name: one.kind for name, one in table.items()}, required), wanted=wanted)


def flag(path: str) -> Filter:
    return equals(path, boolean)


def matching(path: str) -> Filter:
    """An event type, or a pattern such as `charge.*`."""
    return Filter(Text(), wanted=lambda _call, value: lambda obj: fits(obj[path], value))


def payout_members(call: Call, id: str) -> list[str]:
    """Only automatic payouts can be taken apart (stripe.md §5.5)."""
    payout = call.store.get("payout", id)
    if payout is None:
        raise errors.missing_object("payout", id, "payout", status=400)
    if not payout["automatic"]:
        message = "Balance transaction history can only be filtered on automatic transfers, not manual."
        raise errors.invalid("payout", message)
    return [row["id"] for row in call.store.paid_by(id)]


def event_types(_call: Call, values: list[str]) -> Wanted:
    exact, patterns = set(values), [value for value in values if "*" in value]
    return lambda event: event["type"] in exact or any(fits(event["type"], pattern) for pattern in patterns)


def delivered(call: Call, value: Any) -> Wanted:
    return lambda event: call.sandbox.deliveries.succeeded(event["id"]) == value


def registered(_call: Call, value: str) -> Wanted:
    return lambda row: value == "all" or row["status"] == value


def recurring(_call: Call, value: Mapping[str, Any]) -> Wanted:
    def matches(price: Object) -> bool:
        recurring = price["recurring"] or {}
        return all(recurring.get(name) == wanted for name, wanted in value.items())

    return matches


RECURRING = Shape(
    {
        "interval": Enum(("day", "month", "week", "year")),
        "meter": TEXT,
        "usage_type": Enum(("licensed", "metered")),
    }
)
