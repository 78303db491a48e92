"""Reading parameters as Stripe does: nested brackets in query and form, then a strict check against a table.

A table maps parameter names to kinds (INT, ID, ...). Unknown names, wrong types and empty strings are refused with
Stripe's words; what passes comes back typed (integers as int, booleans as bool, decimals as Decimal).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from sandbox.stripe.server import errors

Values: TypeAlias = dict[str, Any]
Kind: TypeAlias = Callable[[str, Any], Any]  # (full name, raw value) -> typed value; raises ApiError

PART = re.compile(r"\[([^\[\]]*)\]")
HASH = "Invalid hash"
ARRAY = "Invalid array"


def parse(text: str) -> Values:
    """`a=1&b[c]=2&d[0]=3&e[]=4&f[0][g]=5` as nested dicts and lists."""
    root: Values = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, bracket, _ = name.partition("[")
        parts = [head, *PART.findall(name[len(head) :])] if bracket else [head]
        _place(root, parts, value)
    return {name: _lists(value) for name, value in root.items()}


def _place(node: Values, parts: list[str], value: str) -> None:
    for depth, part in enumerate(parts[:-1]):
        key = part or str(len(node))
        child = node.get(key)
        if not isinstance(child, dict):
            if child is not None:
                raise errors.invalid(parts[0], HASH)
            child = node[key] = {}
        node = child
        if depth > 20:
            raise errors.invalid(parts[0], HASH)
    node[parts[-1] or str(len(node))] = value


def _lists(value: Any) -> Any:
    """A dict whose keys are 0, 1, 2 … is a list."""
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(child) for name, child in value.items()}
    if inner and all(name.isdigit() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner


def check(values: Mapping[str, Any], table: Mapping[str, Kind], required: tuple[str, ...] = ()) -> Values:
    """Typed values of a whole request. Raises ApiError(400) for the first thing that Stripe would refuse."""
    typed = Shape(table, required)("", dict(values))
    assert isinstance(typed, dict)
    return typed


@dataclass(frozen=True)
class Shape:
    """A hash with its own table of names."""

    table: Mapping[str, Kind]
    required: tuple[str, ...] = ()
    empty: bool = False  # may be unset by an empty string

    def __call__(self, name: str, value: Any) -> Any:
        if value == "" and self.empty:
            return ""
        if not isinstance(value, dict):
            raise errors.invalid(name, HASH)
        unknown = [_join(name, key) for key in value if key not in self.table]
        if unknown:
            raise errors.unknown_parameters(unknown)
        for key in self.required:
            if key not in value:
                raise errors.missing_parameter(_join(name, key))
        return {key: self.table[key](_join(name, key), item) for key, item in value.items()}


@dataclass(frozen=True)
class ListOf:
    """An array; `most` is Stripe's limit on its length."""

    kind: Kind
    most: int | None = None
    empty: bool = False

    def __call__(self, name: str, value: Any) -> Any:
        if value == "" and self.empty:
            return []
        if not isinstance(value, list):
            raise errors.invalid(name, ARRAY)
        if self.most is not None and len(value) > self.most:
            message = f"Array {name} exceeded maximum {self.most} allowed elements."
            raise errors.invalid(name, message)
        return [self.kind(f"{name}[{position}]", item) for position, item in enumerate(value)]


@dataclass(frozen=True)
class Enum:
    """One of Stripe's closed sets of words."""

    values: tuple[str, ...]
    empty: bool = False

    def __call__(self, name: str, value: Any) -> str:
        if value == "" and self.empty:
            return ""
        if _text(name, value) not in self.values:
            listed = ", ".join(self.values[:-1]) + f", or {self.values[-1]}" if len(self.values) > 1 else self.values[0]
            raise errors.invalid(name, f"Invalid {name}: must be one of {listed}")
        return str(value)


@dataclass(frozen=True)
class Text:
    """A string of at most `most` characters; `empty` when an empty one unsets the field."""

    most: int = 5000
    empty: bool = False

    def __call__(self, name: str, value: Any) -> str:
        if value == "" and self.empty:
            return ""
        text = _text(name, value)
        if len(text) > self.most:
            message = f"Invalid string: {text[:10]}…; must be at most {self.most} characters"
            raise errors.ApiError(400, message, code="parameter_invalid_string", param=name)
        return text


@dataclass(frozen=True)
class Integer:
    """A whole number, with Stripe's bounds where it has some."""

    least: int | None = None
    most: int | None = None

    def __call__(self, name: str, value: Any) -> int:
        if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,18}", value):
            raise errors.invalid_integer(name, value)
        number = int(value)
        if self.least is not None and number < self.least:
            message = f"This value must be greater than or equal to {self.least}."
            raise errors.ApiError(400, message, code="parameter_invalid_integer", param=name)
        if self.most is not None and number > self.most:
            message = f"This value must be less than or equal to {self.most}."
            raise errors.ApiError(400, message, code="parameter_invalid_integer", param=name)
        return number


@dataclass(frozen=True)
class Metadata:
    """≤ 50 keys of ≤ 40 characters, values ≤ 500 (stripe.md §2.2); an empty value unsets a key."""

    empty: bool = field(default=True)

    def __call__(self, name: str, value: Any) -> dict[str, str]:
        if value == "" and self.empty:
            return {}
        if isinstance(value, list):  # metadata[0]=… reads as an array
            value = {str(position): item for position, item in enumerate(value)}
        if not isinstance(value, dict):
            raise errors.invalid(name, HASH)
        if len(value) > 50:
            raise errors.invalid(name, "Metadata hashes may have at most 50 keys.")
        for key, item in value.items():
            if not isinstance(item, str):
                raise errors.invalid(f"{name}[{key}]", "Metadata values must be strings.")
            if len(key) > 40:
                raise errors.invalid(name, f"Metadata keys must be at most 40 characters, got '{key}'.")
            if len(item) > 500:
                raise errors.invalid(f"{name}[{key}]", "Metadata values can have up to 500 characters.")
        return dict(value)


def boolean(name: str, value: Any) -> bool:
    if value not in ("true", "false"):
        raise errors.invalid(name, f"Invalid boolean: {value}")
    return bool(value == "true")


def decimal(name: str, value: Any) -> Decimal:
    try:
        number = Decimal(_text(name, value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise errors.ApiError(400, f"Invalid decimal: {value}", code="parameter_invalid_decimal", param=name)
    return number


def anything(_name: str, value: Any) -> Any:
    """A parameter that the stand-in takes and does not act on."""
    return value


def moment(name: str, value: Any) -> Any:
    """`created=1` or `created[gte]=1`: an exact time or a range, in unix seconds."""
    if isinstance(value, dict):
        return RANGE(name, value)
    return Integer()(name, value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise errors.invalid(name, f"Invalid string: {value}")
    if value == "":
        raise errors.empty_parameter(name)
    return value


def _join(parent: str, name: str) -> str:
    return f"{parent}[{name}]" if parent else name


INT = Integer()
TEXT = Text()
METADATA = Metadata()
RANGE = Shape({"gt": INT, "gte": INT, "lt": INT, "lte": INT})
EXPAND = ListOf(Text())
