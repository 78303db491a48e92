"""List and retrieve: every resource, the lists inside objects, and the objects that are alone of their kind."""

from collections.abc import Callable, Sequence

import msgspec

from sandbox.stripe.server import errors, expand, paging
from sandbox.stripe.server.call import Call, Handler, rendered, shown
from sandbox.stripe.server.parameters import Values
from sandbox.stripe.server.resources import EVENTS_KEPT, Resource
from sandbox.stripe.store import Object


def lister(resource: Resource) -> Handler:
    """The list endpoint of a resource."""
    table = paging.CURSORS | resource.table

    def handle(call: Call) -> bytes:
        values = call.checked(table)
        for names in resource.exclusive:
            if all(name in values for name in names):
                raise errors.exclusive(*names)
        tree = list_tree(resource.kind, values)
        filtered = {**resource.defaults, **values}
        given = [(resource.filters[name], value) for name, value in filtered.items() if name in resource.filters]
        tests = [one.wanted(call, value) for one, value in given if one.wanted]
        narrow = [one.among(call, value) for one, value in given if one.among]
        ids, has_more = paging.page(
            call.store.collection(resource.kind),
            resource.noun,
            values,
            wanted=(lambda obj: all(test(obj) for test in tests)) if tests else None,
            among=set(narrow[0]).intersection(*narrow[1:]) if narrow else None,
            oldest=_oldest(call, resource),
            cap=call.sandbox.faults.page_cap or None,
        )
        return paging.body(resource.url, rendered(call.store, resource.kind, ids, tree), has_more=has_more)

    return handle


def _oldest(call: Call, resource: Resource) -> int | None:
    return call.store.now - EVENTS_KEPT if resource.kind == "event" else None


def list_tree(kind: str, values: Values) -> expand.Tree:
    """What to expand on each item of a list: the paths begin with `data`."""
    tree = expand.tree_of(values.get("expand", []))
    for name in tree:
        if name != "data":
            hint = f" You may want to try expanding 'data.{name}' instead."
            raise errors.ApiError(400, f"This property cannot be expanded ({name}).{hint}")
    below: expand.Tree = tree.get("data", {})
    expand.check(kind, below, "data.")
    return below


def retriever(resource: Resource) -> Handler:
    """The retrieve endpoint of a resource."""

    def handle(call: Call) -> bytes:
        paths = call.bare().get("expand", [])
        (id,) = call.ids
        obj = call.store.get(resource.kind, id)
        if obj is None or obj.get("created", 0) < (_oldest(call, resource) or 0):
            gone = call.store.deleted(resource.kind, id)
            if gone is None:
                raise errors.missing_object(resource.noun, id)
            return msgspec.json.encode(gone)
        return shown(call.store, obj, paths)

    return handle


def existing(call: Call, kind: str, noun: str | None = None) -> Object:
    """The object that the address names, or 404."""
    obj = call.store.get(kind, call.ids[0])
    if obj is None:
        raise errors.missing_object(noun or kind, call.ids[0])
    return obj


def nested(kind: str, noun: str, of: Callable[[Call], Sequence[Object]]) -> Handler:
    """A list inside an object, such as an invoice's lines."""

    def handle(call: Call) -> bytes:
        values = call.checked(paging.CURSORS)
        tree = list_tree(kind, values)
        items, has_more = paging.page_of(of(call), noun, values, call.sandbox.faults.page_cap or None)
        encoded = [msgspec.json.encode(expand.expanded(call.store, item, tree)) for item in items]
        return paging.body(call.path, encoded, has_more=has_more)

    return handle


def _lines(kind: str) -> Callable[[Call], Sequence[Object]]:
    return lambda call: list(existing(call, kind)["lines"]["data"])


def _session_items(call: Call) -> Sequence[Object]:
    return call.store.line_items.get(existing(call, "checkout.session")["id"], [])


def _charge_refunds(call: Call) -> Sequence[Object]:
    return call.store.where("refund", "charge", existing(call, "charge")["id"])[::-1]


def _tax_ids(call: Call) -> Sequence[Object]:
    return call.store.where("tax_id", "customer", existing(call, "customer")["id"])


NESTED: dict[str, tuple[Handler, str]] = {
    "/v1/invoices/{}/lines": (nested("line_item", "line_item", _lines("invoice")), "rak_invoice_read"),
    "/v1/credit_notes/{}/lines": (
        nested("credit_note_line_item", "credit_note_line_item", _lines("credit_note")),
        "rak_credit_note_read",
    ),
    "/v1/checkout/sessions/{}/line_items": (nested("item", "item", _session_items), "rak_checkout_session_read"),
    "/v1/charges/{}/refunds": (nested("refund", "refund", _charge_refunds), "rak_charge_read"),
    "/v1/customers/{}/tax_ids": (nested("tax_id", "tax_id", _tax_ids), "rak_customer_read"),
}


def balance(call: Call) -> bytes:
    """`GET /v1/balance`: as of now; there is no history."""
    call.bare()
    return msgspec.json.encode(call.store.balance())


def account(call: Call) -> bytes:
    """`GET /v1/account`: the account of the key."""
    call.bare()
    store = call.store
    return msgspec.json.encode(store.get("account", store.account_id) or minimal_account(call))


def minimal_account(call: Call) -> Object:
    """What the store itself knows of its account."""
    store = call.store
    return {
        "id": store.account_id,
        "object": "account",
        "business_profile": {"name": store.name, "support_email": None, "url": None},
        "charges_enabled": True,
        "country": store.country,
        "default_currency": store.default_currency,
        "details_submitted": True,
        "email": f"finance-{store.name}@example.com",
        "payouts_enabled": True,
        "settings": {"dashboard": {"display_name": store.name, "timezone": "Etc/UTC"}},
        "type": "standard",
    }


def tax_settings(call: Call) -> bytes:
    """`GET /v1/tax/settings`: pending until a head office and defaults are set (stripe.md §2.7)."""
    call.bare()
    store = call.store
    found = store.get("tax.settings", "tax.settings")
    return msgspec.json.encode(found or minimal_tax_settings(call))


def minimal_tax_settings(call: Call) -> Object:
    """An account that never set Stripe Tax up."""
    return {
        "object": "tax.settings",
        "defaults": {"provider": "stripe", "tax_behavior": None, "tax_code": None},
        "head_office": None,
        "livemode": call.store.livemode,
        "status": "pending",
        "status_details": {"pending": {"missing_fields": ["head_office", "defaults.tax_behavior"]}},
    }
