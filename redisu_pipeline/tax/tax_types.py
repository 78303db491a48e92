"""The tax type of a report row: itemised reports before 2026 print a tax's name and jurisdiction, but not its type."""

from collections.abc import Iterable, Mapping
from typing import Any

from redisu_pipeline.tax.model import UNKNOWN

_BY_NAME: Mapping[str, str] = {
    "vat": "vat",
    "gst": "gst",
    "hst": "hst",
    "pst": "pst",
    "qst": "qst",
    "rst": "rst",
    "jct": "jct",
    "sales tax": "sales_tax",
}


class TaxTypes:
    """Looks a row's tax up among the account's tax rates: by jurisdiction and name, then by jurisdiction alone."""

    def __init__(self, rates: Iterable[Mapping[str, Any]]) -> None:
        self._named: dict[tuple[str, ...], str] = {}
        self._placed: dict[tuple[str, ...], set[str]] = {}
        for rate in rates:
            if not rate["tax_type"]:
                continue
            place = _key(rate["country"], rate["state"], rate["jurisdiction_level"], rate["jurisdiction"])
            self._named[*place, rate["display_name"] or ""] = rate["tax_type"]
            self._placed.setdefault(place, set()).add(rate["tax_type"])

    def of(
        self,
        country: str | None,
        state: str | None,
        level: str | None,
        jurisdiction: str | None,
        name: str | None,
        tax_type: str | None,
    ) -> str:
        """Return the type of a row of `tax_transactions` by what it prints; UNKNOWN when nothing tells it."""
        if tax_type:
            return tax_type
        place = _key(country, state, level, jurisdiction)
        name = name or ""
        placed = self._placed.get(place, set())
        return self._named.get((*place, name)) or (next(iter(placed)) if len(placed) == 1 else "") or _by_name(name)


def _key(*parts: str | None) -> tuple[str, ...]:
    return tuple((part or "").casefold() for part in parts)


def _by_name(name: str) -> str:
    text = name.casefold()
    return next((kind for word, kind in _BY_NAME.items() if text == word or text.endswith(f" {word}")), UNKNOWN)
