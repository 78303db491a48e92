"""From declared columns to msgspec structs: the strict shape that a table's JSON must have.

Only declared paths are decoded; everything else stays in ``_raw``. A value of another type than declared, or a
required field that is absent, is refused by msgspec and reported by ``decode`` with the object's id. What JSON holds
has no cycles, so the structs are none of the garbage collector's business (``gc=False``).
"""

from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from redisu_pipeline.tables.model import Children, Column, Kind, Origin, Table

JSON_TYPE: dict[Kind, Any] = {
    Kind.TEXT: str,
    Kind.INTEGER: int,
    Kind.MINOR: int,
    Kind.TIME: int,
    Kind.FLAG: bool,
    Kind.RATE: Decimal,
    Kind.TEXTS: str,
    Kind.MINORS: int,
    Kind.TOTAL: int,
}


class ListObject(msgspec.Struct, gc=False):
    """One of Stripe's lists: a page of an endpoint, or the first page of a list nested in an object."""

    data: list[msgspec.Raw]
    has_more: bool
    url: str | None = None


class Identity(msgspec.Struct, gc=False):
    """What every object tells about itself, to name it in an error."""

    id: str | None = None
    deleted: bool = False
    created: int | None = None


@cache
def struct_of(table: Table) -> type[msgspec.Struct]:
    """Return the struct that decodes one object of ``table``; nested child rows stay raw."""
    tree: dict[str, Any] = {}
    nested = {children.path for children in table.children}
    for column in table.columns:
        if column.origin is Origin.OBJECT and column.path[0].removesuffix("[]") not in nested:
            _plant(tree, column)
    fields = [_field(table.name, name, node) for name, node in tree.items()]
    fields += [(children.path, _children_type(children), None) for children in table.children]
    return _struct(f"{table.name}_object", fields)


def _struct(name: str, fields: list[tuple[Any, ...]]) -> type[msgspec.Struct]:
    """Make a struct with its fields in the alphabet, as Stripe sends them: a tenth less to search while decoding."""
    return msgspec.defstruct(name, sorted(fields, key=lambda field: field[0]), gc=False, kw_only=True)


def _children_type(children: Children) -> Any:
    return ListObject | None if children.is_list_object else list[msgspec.Raw] | None


def _plant(tree: dict[str, Any], column: Column) -> None:
    *branches, leaf = column.path
    for branch in branches:
        tree = tree.setdefault(branch, {})
    tree[leaf] = column


def _field(owner: str, name: str, node: Any) -> tuple[Any, ...]:
    if isinstance(node, Column):
        if node.foreign:
            return (name, Any, None)
        wanted = JSON_TYPE[node.kind]
        return (name, wanted) if node.required else (name, wanted | None, None)
    fields = [_field(f"{owner}_{name}", child, grandchild) for child, grandchild in node.items()]
    struct = _struct(f"{owner}_{name.removesuffix('[]')}", fields)
    if name.endswith("[]"):
        return (name.removesuffix("[]"), list[struct] | None, None)  # type: ignore[valid-type]
    if _all_foreign(node):
        return (name, struct | str | int | float | bool | list[Any] | None, None)
    return (name, struct | None, None)


def _all_foreign(node: Any) -> bool:
    if isinstance(node, Column):
        return node.foreign
    return all(_all_foreign(child) for child in node.values())
