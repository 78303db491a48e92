"""How one setting is declared: its meaning, its default and its check stand together, once."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_KEY = "setting"


class Fault(ValueError):
    """A value that cannot be: what is wrong with it, and how to mend it."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend


Clean = Callable[[Any], Any]  # value of the declared type -> value to keep; raises Fault


@dataclass(frozen=True)
class Setting:
    """What the reader and the generated page need to know of a field.

    ``clean`` checks and normalises one value (each element of a list), ``clean_key`` a key of a table with free keys,
    ``whole`` a list as a whole.
    ``key`` is the name in TOML where Python cannot have it; ``derived`` makes the default from the table's own key,
    and ``derived_doc`` shows it. A field that ``is_key`` receives the table's key and stands in no file.
    """

    doc: str
    clean: Clean | None = None
    clean_key: Clean | None = None
    whole: Clean | None = None
    key: str | None = None
    derived: Callable[[str], object] | None = None
    derived_doc: str = ""
    is_key: bool = False


def setting(
    doc: str,
    *,
    default: object = dataclasses.MISSING,
    clean: Clean | None = None,
    clean_key: Clean | None = None,
    key: str | None = None,
) -> Any:
    """Declare a setting; without a default it must be given."""
    return dataclasses.field(default=default, metadata={_KEY: Setting(doc, clean, clean_key, key=key)})


def section(doc: str, kind: type[Any]) -> Any:
    """Declare a table whose settings all have defaults, so that it may be left out."""
    return dataclasses.field(default_factory=kind, metadata={_KEY: Setting(doc)})


def table(doc: str, *, clean_key: Clean | None = None, whole: Clean | None = None) -> Any:
    """Declare a table with free keys that may be left out."""
    return dataclasses.field(default_factory=dict, metadata={_KEY: Setting(doc, clean_key=clean_key, whole=whole)})


def derived(doc: str, make: Callable[[str], object], shown: str, *, clean: Clean | None = None) -> Any:
    """Declare a setting whose default is made from the key of the table that it stands in."""
    return dataclasses.field(metadata={_KEY: Setting(doc, clean, derived=make, derived_doc=shown)})


def own_key() -> Any:
    """Declare the field that receives the table's own key."""
    return dataclasses.field(metadata={_KEY: Setting("", is_key=True)})


def setting_of(field: "dataclasses.Field[Any]") -> Setting:
    """Return what was declared for ``field``."""
    declared = field.metadata[_KEY]
    assert isinstance(declared, Setting)
    return declared
