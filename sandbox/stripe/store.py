"""All objects of one Stripe account, in memory, with their JSON cached.

The store knows keys, order and bytes; it knows nothing of money (but for the running balance) and nothing of HTTP.
The world writes through it, the server reads from it, both in one thread.
"""

import hashlib
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import msgspec

Object: TypeAlias = dict[str, Any]  # any Stripe object: field names are Stripe's (tests compare them with the SDK)
Listener: TypeAlias = Callable[["Store", Object], None]

Place: TypeAlias = tuple[int, int, str]  # (created, insertion, id)

API_VERSION = "2026-10-28.endive"
NESTED_SHOWN = 10  # a parent shows the first ten of a nested list (stripe.md §5.6)
NESTED_LISTS = {"invoice": "lines", "credit_note": "lines"}
SOFT_DELETED = frozenset({"customer", "product"})  # a retrieve still answers {"deleted": true}
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_encode = msgspec.json.Encoder().encode


class Store:
    """One account: its credentials, its objects, its clock.

    `now` is the world's unix time; events and new objects take their `created` from it.
    """

    def __init__(
        self,
        *,
        name: str,
        account_id: str,
        key: str,
        webhook_secret: str,
        country: str,
        default_currency: str,
        livemode: bool = True,
        now: int = 0,
    ) -> None:
        self.name = name
        self.account_id = account_id
        self.key = key
        self.webhook_secret = webhook_secret
        self.country = country
        self.default_currency = default_currency
        self.livemode = livemode
        self.now = now
        self.request: Object = {"id": None, "idempotency_key": None}  # of the API call being served, for events
        self.listeners: list[Listener] = []
        # Facts that no field of Stripe's objects shows; the world writes them, the server answers from them:
        self.payout_of: dict[str, str] = {}  # balance transaction -> automatic payout (see assign_payout)
        self.checkout_base = "https://checkout.stripe.com"  # host of hosted payment pages; the server puts its own here
        self.line_items: dict[str, list[Object]] = {}  # checkout session -> its items ("object": "item"), with `taxes`
        self._kinds: dict[str, Collection] = {}
        self._members: dict[str, list[str]] = {}
        self._balance: dict[tuple[str, str], int] = {}  # (currency, status) -> net
        self._ids = 0

    def put(self, obj: Object) -> Object:
        """Insert or replace `obj`; `obj["object"]` names the collection, `obj["id"]` the key (singletons: the kind)."""
        kind = obj["object"]
        self._count_balance(kind, self.get(kind, key_of(obj)), -1)
        self.collection(kind).put(obj)
        self._count_balance(kind, obj, +1)
        return obj

    def get(self, kind: str, id: str) -> Object | None:
        return self.collection(kind).objects.get(id)

    def all(self, kind: str) -> list[Object]:
        """Every object of the kind, oldest first by (created, insertion)."""
        collection = self.collection(kind)
        return [collection.objects[id] for _, _, id in collection.order]

    def change(self, kind: str, id: str, **fields: Any) -> Object:
        """Set top-level fields; answers `previous_attributes`: the old value of each field that differs."""
        collection = self.collection(kind)
        obj = collection.objects[id]
        previous = {name: obj.get(name) for name, value in fields.items() if obj.get(name) != value}
        self._count_balance(kind, obj, -1)
        collection.change(obj, fields)
        self._count_balance(kind, obj, +1)
        return previous

    def remove(self, kind: str, id: str) -> None:
        """Delete: lists forget it; customers and products leave a tombstone that a retrieve still shows."""
        self._count_balance(kind, self.get(kind, id), -1)
        self.collection(kind).remove(id)

    def deleted(self, kind: str, id: str) -> Object | None:
        """The tombstone `{"id", "object", "deleted": true}` of a removed customer or product."""
        if kind in SOFT_DELETED and id in self.collection(kind).removed:
            return {"id": id, "object": kind, "deleted": True}
        return None

    def where(self, kind: str, path: str, value: object) -> list[Object]:
        """Objects whose field at the dotted `path` equals `value`; by an index built on first use."""
        collection = self.collection(kind)
        return [collection.objects[id] for id in collection.index(path).get(value, ())]

    def emit(self, type: str, obj: Object, previous: Object | None = None) -> Object:
        """Append the Event with a deep snapshot of `obj` and hand it to the listeners (webhook delivery)."""
        data: Object = {"object": msgspec.json.decode(render(obj))}
        if previous is not None:
            data["previous_attributes"] = msgspec.json.decode(_encode(previous))
        event: Object = {
            "id": self.new_id("evt", 24),
            "object": "event",
            "api_version": API_VERSION,
            "context": None,
            "created": self.now,
            "data": data,
            "livemode": self.livemode,
            "pending_webhooks": sum(1 for hook in self.all("webhook_endpoint") if _wants(hook, type)),
            "request": dict(self.request),
            "type": type,
        }
        self.put(event)
        for listener in self.listeners:
            listener(self, event)
        return event

    def new_id(self, prefix: str, length: int = 24) -> str:
        """The next id of this account: `prefix_` and `length` characters, the same in every run of the same calls."""
        self._ids += 1
        number = int.from_bytes(hashlib.blake2b(f"{self.account_id}:{self._ids}".encode(), digest_size=24).digest())
        digits = []
        for _ in range(length):
            number, digit = divmod(number, 62)
            digits.append(BASE62[digit])
        return f"{prefix}_{''.join(digits)}"

    def assign_payout(self, transactions: Iterable[str], payout: str) -> None:
        """Say which balance transactions (the payout's own row too) an automatic payout pays out."""
        for id in transactions:
            self.payout_of[id] = payout
            self._members.setdefault(payout, []).append(id)

    def paid_by(self, payout: str) -> list[Object]:
        """The balance transactions of an automatic payout, oldest first."""
        return self.collection("balance_transaction").ordered(self._members.get(payout, ()))

    def balance(self) -> Object:
        """The `/v1/balance` object: net by currency and status of all balance transactions."""
        currencies = sorted({currency for currency, _ in self._balance} | {self.default_currency})

        def side(status: str) -> list[Object]:
            amounts = ((currency, self._balance.get((currency, status), 0)) for currency in currencies)
            return [{"amount": n, "currency": currency, "source_types": {"card": n}} for currency, n in amounts]

        return {
            "object": "balance",
            "available": side("available"),
            "livemode": self.livemode,
            "pending": side("pending"),
            "refund_and_dispute_prefunding": {"available": side("none"), "pending": side("none")},
        }

    def collection(self, kind: str) -> "Collection":
        """The ordered collection of one kind (the server pages on it)."""
        found = self._kinds.get(kind)
        if found is None:
            found = self._kinds[kind] = Collection()
        return found

    def kinds(self) -> list[str]:
        return sorted(self._kinds)

    def _count_balance(self, kind: str, obj: Object | None, sign: int) -> None:
        if kind == "balance_transaction" and obj is not None:
            place = (obj["currency"], obj["status"])
            self._balance[place] = self._balance.get(place, 0) + sign * obj["net"]


class Collection:
    """Objects of one kind in the order (created, insertion), with lazily rendered JSON and field indexes."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.removed: set[str] = set()
        self.order: list[Place] = []
        self._place: dict[str, Place] = {}
        self._json: dict[str, bytes] = {}
        self._indexes: dict[str, dict[object, list[str]]] = {}
        self._inserted = 0

    def put(self, obj: Object) -> None:
        id, created = key_of(obj), obj.get("created") or 0
        place = self._place.get(id)
        if place is None or place[0] != created:
            if place is not None:
                del self.order[bisect_left(self.order, place)]
            self._inserted += 1
            place = self._place[id] = (created, self._inserted, id)
            if self.order and self.order[-1] > place:
                insort(self.order, place)
            else:
                self.order.append(place)
        replaced = self.objects.get(id)
        self.objects[id] = obj
        self.removed.discard(id)
        self._json.pop(id, None)
        for path in list(self._indexes):
            if replaced is not None:
                del self._indexes[path]
            else:
                self._indexes[path].setdefault(_hashable(dig(obj, path)), []).append(id)

    def change(self, obj: Object, fields: Object) -> None:
        obj.update(fields)
        self._json.pop(key_of(obj), None)
        for path in [path for path in self._indexes if path.partition(".")[0] in fields]:
            del self._indexes[path]
        if "created" in fields:
            self.put(obj)

    def remove(self, id: str) -> None:
        del self.objects[id]
        del self.order[bisect_left(self.order, self._place.pop(id))]
        self._json.pop(id, None)
        self._indexes.clear()
        self.removed.add(id)

    def json(self, id: str) -> bytes:
        """The object as a list or retrieve shows it, nested lists cut; rendered once until it changes."""
        found = self._json.get(id)
        if found is None:
            found = self._json[id] = render(self.objects[id])
        return found

    def place(self, id: str) -> Place:
        """Where the object stands among its kind. Raises KeyError for an id that the lists do not show."""
        return self._place[id]

    def places(self, ids: Iterable[str]) -> list[Place]:
        return sorted(self._place[id] for id in ids)

    def ordered(self, ids: Iterable[str]) -> list[Object]:
        return [self.objects[id] for _, _, id in self.places(ids)]

    def index(self, path: str) -> dict[object, list[str]]:
        found = self._indexes.get(path)
        if found is None:
            found = self._indexes[path] = {}
            for _, _, id in self.order:
                found.setdefault(_hashable(dig(self.objects[id], path)), []).append(id)
        return found


def key_of(obj: Object) -> str:
    """The key inside a collection; `tax.settings` and its like have no id and are alone of their kind."""
    return str(obj.get("id") or obj["object"])


def shown(obj: Object) -> Object:
    """The object as Stripe shows it: the first ten of a nested list, with `has_more`. Shares what it does not cut."""
    nested = NESTED_LISTS.get(obj["object"])
    if nested and len(obj[nested]["data"]) > NESTED_SHOWN:
        return obj | {nested: obj[nested] | {"data": obj[nested]["data"][:NESTED_SHOWN], "has_more": True}}
    return obj


def render(obj: Object) -> bytes:
    """The JSON of what is shown."""
    return _encode(shown(obj))


def dig(obj: Object, path: str) -> Any:
    """The value at a dotted path, None where the way ends."""
    value: Any = obj
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _hashable(value: object) -> object:
    return None if isinstance(value, dict | list) else value


def fits(type: str, pattern: str) -> bool:
    """An event type, `*`, or a pattern such as `charge.*`."""
    return pattern in (type, "*") or (pattern.endswith(".*") and type.startswith(pattern[:-1]))


def _wants(hook: Object, type: str) -> bool:
    return hook["status"] == "enabled" and any(fits(type, pattern) for pattern in hook["enabled_events"])
