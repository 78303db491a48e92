"""What changed since a table was last synced: the event feed names it, and some objects change without an event.

Pure functions over rows of the lake; what they name is read again from Stripe, because a snapshot inside an event
was rendered in the account's API version at that time.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from redisu_pipeline.extract.ranges import PAGE, Span
from redisu_pipeline.tables.model import Resource

RETENTION = timedelta(days=30)
"""How long Stripe keeps events."""

EVENT_COLUMNS = (
    "id",
    "created",
    "_seq",
    "type",
    "data_object_object",
    "data_object_id",
    "data_object_created",
    "data_object_charge",
    "data_object_invoice",
)

# Objects that an event about another object changes too, by the field of the event's object that names them.
ALSO: Mapping[str, tuple[tuple[str, str], ...]] = {
    "charges": (("refund", "data_object_charge"), ("dispute", "data_object_charge")),
    "invoices": (("credit_note", "data_object_invoice"), ("invoice_payment", "data_object_invoice")),
}


@dataclass(frozen=True)
class Touched:
    """An object to read again; ``created`` is known when the event was about the object itself."""

    id: str
    created: int | None


def touched(resource: Resource, events: Iterable[Mapping[str, Any]]) -> list[Touched]:
    """Return the objects of ``resource`` that ``events`` (rows of the lake) speak of, each once."""
    found: dict[str, int | None] = {}
    for event in events:
        if event["data_object_object"] == resource.object and event["data_object_id"]:
            created: datetime | None = event["data_object_created"]
            found[event["data_object_id"]] = int(created.timestamp()) if created else found.get(event["data_object_id"])
        for kind, column in ALSO.get(resource.name, ()):
            if event["data_object_object"] == kind and event[column]:
                found.setdefault(event[column], None)
    return [Touched(object_id, created) for object_id, created in found.items()]


@dataclass(frozen=True)
class Plan:
    """How to read objects again with the fewest requests: some by listing a stretch of time, the rest one by one."""

    spans: tuple[Span, ...]
    ids: tuple[str, ...]

    @property
    def minimum(self) -> int:
        return len(self.ids)


def plan(objects: Iterable[Touched], rows_between: Callable[[int, int], int]) -> Plan:
    """Choose between listing and retrieving. ``rows_between(lo, hi)`` counts the lake's objects made in ``[lo, hi)``.

    Neighbours in time are joined while a listing of the stretch costs no more than retrieving its objects.
    """
    objects = list(objects)
    dated = sorted((o for o in objects if o.created is not None), key=lambda o: o.created or 0)
    single = [o.id for o in objects if o.created is None]
    spans: list[Span] = []
    group: list[Touched] = []

    def close() -> None:
        if len(group) > 1 and cost(group) < len(group):
            spans.append(Span(group[0].created or 0, (group[-1].created or 0) + 1))
        else:
            single.extend(o.id for o in group)

    def cost(members: list[Touched]) -> int:
        lo, hi = members[0].created or 0, (members[-1].created or 0) + 1
        return max(1, -(-rows_between(lo, hi) // PAGE))

    for one in dated:
        if group and cost([group[0], one]) > len(group) + 1:
            close()
            group = []
        group.append(one)
    if group:
        close()
    return Plan(tuple(spans), tuple(single))


def is_due(resource: Resource, row: Mapping[str, Any], now: datetime) -> bool:
    """Tell whether a row of the lake will have changed by ``now`` without an event; see SilentChange."""
    silent = resource.silent
    if silent is None or row["_deleted_at"] is not None or row[silent.column] not in silent.values:
        return False
    if any(str(row[column]).lower() != wanted for column, wanted in silent.also):
        return False
    if silent.within_days is not None and row["created"] < now - timedelta(days=silent.within_days):
        return False
    due: datetime = row[silent.due]
    return due <= now


def silent_columns(resource: Resource) -> list[str]:
    """Return the columns that ``is_due`` looks at."""
    names = ["id", "created", "_deleted_at"]
    if resource.silent is None:
        return names
    names += [resource.silent.column, resource.silent.due]
    return list(dict.fromkeys([*names, *(column for column, _ in resource.silent.also)]))
