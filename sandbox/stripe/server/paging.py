"""Pages of a list: newest first, cursors exclusive, `has_more` in the direction of travel (stripe.md §5.1)."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sandbox.stripe.server import errors
from sandbox.stripe.server.parameters import EXPAND, TEXT, Integer, Kind, Values
from sandbox.stripe.store import Collection, Object, Place

LIMIT = 10
CURSORS: dict[str, Kind] = {
    "limit": Integer(1, 100),
    "starting_after": TEXT,
    "ending_before": TEXT,
    "expand": EXPAND,
}
Wanted = Callable[[Object], bool]


def page(
    collection: Collection,
    noun: str,
    values: Values,
    *,
    wanted: Wanted | None = None,
    among: Iterable[str] | None = None,
    oldest: int | None = None,
    cap: int | None = None,
) -> tuple[list[str], bool]:
    """The ids of one page, newest first, and whether there is more.

    `values` holds limit, cursors and `created`; `wanted` filters, `among` narrows to some ids beforehand, `oldest`
    hides what was created earlier, `cap` makes pages shorter than was asked for. Raises ApiError for a bad cursor.
    """
    before, after = values.get("ending_before"), values.get("starting_after")
    if before and after:
        raise errors.exclusive("ending_before", "starting_after")
    order: Sequence[Place] = collection.order if among is None else collection.places(among)
    low, high = _window(order, values.get("created"), oldest)
    if after:
        high = min(high, bisect_left(order, _cursor(collection, noun, after, "starting_after")))
    if before:
        low = max(low, bisect_right(order, _cursor(collection, noun, before, "ending_before")))
    limit = min(values.get("limit", LIMIT), cap or 100)
    positions = range(low, high) if before else range(high - 1, low - 1, -1)
    found: list[str] = []
    for position in positions:
        id = order[position][2]
        if wanted is None or wanted(collection.objects[id]):
            found.append(id)
            if len(found) > limit:
                break
    ids = found[:limit]
    return (ids[::-1] if before else ids), len(found) > limit


def _window(order: Sequence[Place], created: Any, oldest: int | None) -> tuple[int, int]:
    """Positions [low, high) that a `created` filter leaves."""
    if isinstance(created, int):
        created = {"gte": created, "lte": created}
    given = created or {}
    from_ = [given[name] + shift for name, shift in (("gt", 1), ("gte", 0)) if name in given]
    until = [given[name] + shift for name, shift in (("lt", 0), ("lte", 1)) if name in given]
    least = max([*from_, *([] if oldest is None else [oldest])], default=None)
    bound = min(until, default=None)
    low = 0 if least is None else bisect_left(order, (least,))
    high = len(order) if bound is None else bisect_left(order, (bound,))
    return low, max(low, high)


def _cursor(collection: Collection, noun: str, id: str, param: str) -> Place:
    try:
        return collection.place(id)
    except KeyError:
        raise errors.missing_object(noun, id, param, status=400) from None


def page_of(items: Sequence[Object], noun: str, values: Values, cap: int | None = None) -> tuple[list[Object], bool]:
    """A page of a nested list, which has an order of its own."""
    before, after = values.get("ending_before"), values.get("starting_after")
    if before and after:
        raise errors.exclusive("ending_before", "starting_after")
    limit = min(values.get("limit", LIMIT), cap or 100)
    places = {item["id"]: position for position, item in enumerate(items)}
    for param, id in (("ending_before", before), ("starting_after", after)):
        if id and id not in places:
            raise errors.missing_object(noun, id, param, status=400)
    if before:
        end = places[before]
        return list(items[max(0, end - limit) : end]), end > limit
    start = places[after] + 1 if after else 0
    return list(items[start : start + limit]), len(items) > start + limit


def body(url: str, rendered: Iterable[bytes], *, has_more: bool) -> bytes:
    """The list object; its data are rendered already."""
    more = b"true" if has_more else b"false"
    return b'{"object":"list","data":[%b],"has_more":%b,"url":"%b"}' % (b",".join(rendered), more, url.encode())
