"""The CSV of an itemised tax report as rows: exact, complete, or refused in one line that names file, line and column.

Pure: text in, rows out. Amounts are printed as decimals in major units and become minor units by Stripe's exponent
table; times are printed in the run's timezone, which is always UTC here. Source: stripe.md §6.4, §6.5.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from redisu_pipeline.common.money import to_minor
from redisu_pipeline.common.settings.tax import REQUIRED_COLUMNS
from redisu_pipeline.extract.csv_file import Unreadable, number, records
from redisu_pipeline.tables.model import Kind
from redisu_pipeline.tables.tax import TAX_TRANSACTIONS

_GRAIN = (
    "id",
    "type",
    "line_item_id",
    "country_code",
    "state_code",
    "jurisdiction_level",
    "jurisdiction_name",
    "tax_name",
    "tax_rate",
    "transaction_date",
)
"""What makes a row one row. The moment is part of it: a refund that fails later prints its rows with another sign."""


@dataclass(frozen=True)
class TaxRow:
    """One row: ``values`` as the table's JSON (minor units, unix seconds), ``raw`` its cells as they were printed."""

    created: int
    values: bytes
    raw: bytes


@dataclass(frozen=True)
class Interval:
    """What a run covers: [start, end) in unix seconds."""

    start: int
    end: int


def rows_of(lines: Iterable[str], interval: Interval) -> Iterator[TaxRow]:
    """Yield the rows of a report over ``interval``; raises Unreadable at the first thing that cannot be right.

    ``lines`` are the file's lines with their ends (``open(…, newline="")``).
    """
    ordinals: Counter[bytes] = Counter()
    for where, cells in records(lines, REQUIRED_COLUMNS):
        yield _row(cells, interval, where, ordinals)


def _row(cells: Mapping[str, str], interval: Interval, where: str, ordinals: Counter[bytes]) -> TaxRow:
    values: dict[str, Any] = {"source_id": cells["id"]}
    for name, kind in _KINDS.items():
        if text := cells.get(name, ""):
            try:
                values[name] = _PARSE[kind](text, cells, name)
            except ValueError as error:
                raise Unreadable(f"{where}, column {name}: {error}") from None
    for name in ("id", "type", "transaction_date", "currency", "total", "tax_amount"):
        if not cells[name]:
            raise Unreadable(f"{where}, column {name}: is empty")
    created: int = values["transaction_date"]
    if not interval.start <= created < interval.end:
        raise Unreadable(f"{where}, column transaction_date: {cells['transaction_date']} was not asked for")
    grain = hashlib.sha256(msgspec.json.encode([cells.get(name, "") for name in _GRAIN])).digest()
    values |= {"id": _id(grain, ordinals[grain]), "created": created}
    ordinals[grain] += 1
    return TaxRow(created, msgspec.json.encode(values), msgspec.json.encode(cells))


def _id(grain: bytes, ordinal: int) -> str:
    # A number only where one grain stands twice: then the rows are alike in all that tells rows apart.
    return f"taxrow_{grain.hex()[:40]}" + (f":{ordinal}" if ordinal else "")


def _text(text: str, _cells: Mapping[str, str], name: str) -> str:
    return text.lower() if name.endswith("currency") else text


def _number(text: str, _cells: Mapping[str, str], _name: str) -> Decimal:
    return number(text)


def _minor(text: str, cells: Mapping[str, str], name: str) -> int:
    currency = cells.get("filing_currency" if name.startswith("filing_") else "currency", "")
    return to_minor(number(text), currency)


def _instant(text: str, _cells: Mapping[str, str], _name: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date with a time like 2026-10-01 12:00:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


_PARSE: Mapping[Kind, Callable[[str, Mapping[str, str], str], Any]] = {
    Kind.TEXT: _text,
    Kind.RATE: _number,
    Kind.MINOR: _minor,
    Kind.TIME: _instant,
}
_KINDS: Mapping[str, Kind] = {
    column.name: column.kind
    for column in TAX_TRANSACTIONS.table.columns
    if column.name not in ("id", "created", "source_id")
}
