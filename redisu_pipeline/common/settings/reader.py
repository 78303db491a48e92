"""Reads a parsed TOML table into the declared structures, gathering every fault instead of stopping at the first."""

import dataclasses
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

from redisu_pipeline.common.problems import Problem
from redisu_pipeline.common.settings.checks import nearest, shown
from redisu_pipeline.common.settings.fields import Fault, Setting, setting_of


class _Bad:
    """Stands for a value that was refused; never leaves this module."""


BAD: Final = _Bad()


def _number(raw: object) -> object:
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else BAD


def _decimal(raw: object) -> object:
    return Decimal(raw) if isinstance(raw, int | Decimal) and not isinstance(raw, bool) else BAD


def _day(raw: object) -> object:
    if isinstance(raw, str):
        try:
            return date.fromisoformat(raw)
        except ValueError:
            return BAD
    return raw if isinstance(raw, date) and not isinstance(raw, datetime) else BAD


# kind: (what to write, value in TOML -> value of that kind, or BAD)
_PLAIN: dict[type, tuple[str, Callable[[object], object]]] = {
    str: ("text in quotes", lambda raw: raw if isinstance(raw, str) else BAD),
    Path: ("a path in quotes", lambda raw: Path(raw) if isinstance(raw, str) and raw else BAD),
    bool: ("true or false", lambda raw: raw if isinstance(raw, bool) else BAD),
    int: ("a whole number", _number),
    Decimal: ("a number", _decimal),
    date: ("a date like 2025-11-01", _day),
}


@dataclass
class Faults:
    """The faults found so far, each with its TOML path."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, code: str, where: str, message: str, mend: str) -> _Bad:
        """Note one fault; the result is what stands for the refused value."""
        self.problems.append(Problem(code, where, message, mend))
        return BAD


def read(kind: Any, raw: object, where: str, declared: Setting, faults: Faults) -> Any:
    """Return ``raw`` as ``kind``, checked as ``declared``; BAD when it was refused (the fault is noted)."""
    origin = get_origin(kind)
    if origin is types.UnionType:
        (kind,) = [argument for argument in get_args(kind) if argument is not types.NoneType]
        return read(kind, raw, where, declared, faults)
    if origin is tuple:
        return _read_list(get_args(kind)[0], raw, where, declared, faults)
    if origin is Mapping:
        return _read_mapping(get_args(kind)[1], raw, where, declared, faults)
    if dataclasses.is_dataclass(kind):
        return read_table(kind, raw, where, faults)
    return _read_value(kind, raw, where, declared, faults)


def read_table(kind: Any, raw: object, where: str, faults: Faults, own_key: str = "") -> Any:
    """Return the TOML table ``raw`` as the dataclass ``kind``; its ``faults()`` adds what no single value shows."""
    if not isinstance(raw, dict):
        return faults.add("wrong_type", where, f"is {_called(raw)}", f"write it as [{where}]")
    hints = get_type_hints(kind)
    fields = {setting_of(f).key or f.name: f for f in dataclasses.fields(kind) if not setting_of(f).is_key}
    for name in raw:
        if name not in fields:
            faults.add("unknown_key", _join(where, name), "is not a setting", nearest(name, fields))
    values: dict[str, Any] = {f.name: own_key for f in dataclasses.fields(kind) if setting_of(f).is_key}
    for name, f in fields.items():
        path, declared = _join(where, name), setting_of(f)
        if name in raw:
            values[f.name] = read(hints[f.name], raw[name], path, declared, faults)
        elif declared.derived is not None:
            values[f.name] = declared.derived(own_key)
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            values[f.name] = faults.add("missing", path, "must be given", f"add it: {declared.doc}")
    if any(value is BAD for value in values.values()):
        return BAD
    made = kind(**values)
    found: Iterable[tuple[str, str, str]] = made.faults() if hasattr(made, "faults") else ()
    refused = [
        faults.add("contradiction", f"{where}.{part}" if part else where, message, mend)
        for part, message, mend in found
    ]
    return BAD if refused else made


def _read_list(kind: Any, raw: object, where: str, declared: Setting, faults: Faults) -> Any:
    if isinstance(raw, dict) and dataclasses.is_dataclass(kind):
        raw = [raw]  # one table may stand for a list of one
    if not isinstance(raw, list):
        return faults.add("wrong_type", where, f"is {_called(raw)}", "write it as [ … ]")
    items = [read(kind, item, f"{where}[{place}]", declared, faults) for place, item in enumerate(raw)]
    if any(item is BAD for item in items):
        return BAD
    return _clean(declared.whole, tuple(items), where, faults)


def _read_mapping(kind: Any, raw: object, where: str, declared: Setting, faults: Faults) -> Any:
    if not isinstance(raw, dict):
        return faults.add("wrong_type", where, f"is {_called(raw)}", f"write it as [{where}]")
    read_here: dict[str, Any] = {}
    for key, value in raw.items():
        path = _join(where, key)
        cleaned = _clean(declared.clean_key, key, path, faults)
        if cleaned is not BAD and cleaned in read_here:
            cleaned = faults.add("twice", path, "is given twice", "keep one of them")
        result = (
            read_table(kind, value, path, faults, key)
            if dataclasses.is_dataclass(kind)
            else read(kind, value, path, declared, faults)
        )
        read_here[key if cleaned is BAD else cleaned] = BAD if cleaned is BAD else result
    return BAD if any(value is BAD for value in read_here.values()) else read_here


def _read_value(kind: Any, raw: object, where: str, declared: Setting, faults: Faults) -> Any:
    if issubclass(kind, StrEnum):
        if raw in list(kind):
            return kind(raw)
        message = f"{shown(raw)} is not known here"
        return faults.add("unknown_value", where, message, f"choose one of {', '.join(kind)}")
    wanted, convert = _PLAIN[kind]
    value = convert(raw)
    if value is BAD:
        return faults.add("wrong_type", where, f"is {_called(raw)}", f"write {wanted}")
    return _clean(declared.clean, value, where, faults)


def _clean(clean: Any, value: object, where: str, faults: Faults) -> Any:
    if clean is None:
        return value
    try:
        return clean(value)
    except Fault as fault:
        return faults.add("bad_value", where, fault.message, fault.mend)


def _join(where: str, name: str) -> str:
    plain = name.replace("-", "").replace("_", "").isalnum() and name.isascii()
    part = name if plain else f'"{shown(name)[1:-1]}"'
    return f"{where}.{part}" if where else part


def _called(raw: object) -> str:
    if isinstance(raw, bool):
        return "true or false"
    names: tuple[tuple[type, str], ...] = (
        (str, "text"),
        (int, "a whole number"),
        (Decimal, "a decimal number"),
        (datetime, "a date with a time"),
        (date, "a date"),
        (list, "a list"),
        (dict, "a table"),
    )
    return next((name for kind, name in names if isinstance(raw, kind)), "something else")
