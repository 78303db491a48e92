"""`expand[]`: ids replaced by their objects, and the fields that appear only when asked for (stripe.md §5.1)."""

from typing import Any

from sandbox.stripe.server import computed, errors
from sandbox.stripe.server.expandable import EXPANDABLE, HIDDEN, INLINE
from sandbox.stripe.store import Object, Store, shown

MAX_DEPTH = 4
Tree = dict[str, Any]  # {"customer": {}, "lines": {"data": {…}}}


def tree_of(paths: list[str]) -> Tree:
    """The asked-for paths as a tree. Raises ApiError when one is too deep."""
    tree: Tree = {}
    for position, path in enumerate(paths):
        names = path.split(".")
        if len(names) > MAX_DEPTH:
            raise errors.ApiError(
                400,
                f"You cannot expand more than {MAX_DEPTH} levels of a property. Property: {path}",
                code="property_expansion_max_depth",
                param=f"expand[{position}]",
            )
        node = tree
        for name in names:
            node = node.setdefault(name, {})
    return tree


def check(kind: str, tree: Tree, before: str = "") -> None:
    """Refuse what Stripe cannot expand on an object of `kind`, whatever the object holds."""
    known = EXPANDABLE.get(kind, {})
    inline = INLINE.get(kind, {})

    def walk(node: Tree, prefix: str) -> None:
        for name, below in node.items():
            path = prefix + name
            if path in known:
                _check_below(known[path].split(), below, f"{before}{path}.", is_list=path in computed.LISTS)
            elif path in inline:
                _check_below([inline[path]], below, f"{before}{path}.", is_list=True)
            elif below and any(one.startswith(path + ".") for one in known):
                walk(below, path + ".")
            else:
                raise errors.ApiError(400, f"This property cannot be expanded ({before}{path}).")

    walk(tree, "")


def _check_below(kinds: list[str], tree: Tree, before: str, *, is_list: bool) -> None:
    if not tree:
        return
    if is_list:
        for name, below in tree.items():
            if name != "data":
                raise errors.ApiError(400, f"This property cannot be expanded ({before}{name}).")
            _check_below(kinds, below, f"{before}data.", is_list=False)
        return
    faults = []
    for kind in kinds or [""]:
        try:
            check(kind, tree, before)
            return
        except errors.ApiError as fault:
            faults.append(fault)
    raise faults[0]


def expanded(store: Store, obj: Object, tree: Tree) -> Object:
    """A copy of a shown object with the tree's fields expanded (`check` has passed); what it shares stays untouched."""
    kind = obj.get("object", "")
    known = EXPANDABLE.get(kind, {})

    def walk(value: Any, node: Tree, prefix: str) -> Any:
        if isinstance(value, list):
            return [walk(item, node, prefix) for item in value]
        if not isinstance(value, dict):
            return value
        copy = dict(value)
        for name, below in node.items():
            path = prefix + name
            if path in known:
                copy[name] = _fetch(store, obj, path, copy.get(name), known[path].split(), below)
            elif name in copy:
                inner = copy[name]
                nested = isinstance(inner, dict) and inner.get("object") == "list"
                copy[name] = _list(store, inner, below) if nested else walk(inner, below, path + ".")
        return copy

    hidden = HIDDEN.get(kind, frozenset()) - tree.keys()
    result = walk({name: value for name, value in obj.items() if name not in hidden}, tree, "")
    assert isinstance(result, dict)
    return result


def _fetch(store: Store, parent: Object, path: str, value: Any, kinds: list[str], below: Tree) -> Any:
    """The object(s) behind an id, or a field that Stripe computes only on demand."""
    compute = computed.FIELDS.get((parent["object"], path))
    if compute is not None:
        made = compute(store, parent)
        return _list(store, made, below) if isinstance(made, dict) and made.get("object") == "list" else made
    if isinstance(value, list):
        return [_fetch(store, parent, path, item, kinds, below) for item in value]
    if not isinstance(value, str):
        return value
    found = find(store, value, kinds)
    return value if found is None else expanded(store, found, below)


def find(store: Store, id: str, kinds: list[str]) -> Object | None:
    """The object of one of the kinds as a retrieve shows it."""
    for kind in kinds:
        found = store.get(kind, id)
        if found is not None:
            return shown(found)
        gone = store.deleted(kind, id)
        if gone is not None:
            return gone
    return None


def _list(store: Store, value: Object, below: Tree) -> Object:
    data = below.get("data", {})
    return value | {"data": [expanded(store, item, data) for item in value["data"]]}
