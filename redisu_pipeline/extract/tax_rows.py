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
from functools import lru_cache
from typing import Any

import msgspec

from redisu_pipeline.common.money import to_minor
from redisu_pipeline.common.settings.tax import REQUIRED_COLUMNS
from redisu_pipeline.extract.csv_file import Unreadable, number, records
from redisu_pipeline.tables.model import Kind
from redisu_pipeline.tables.tax import TAX_TRANSACTIONS

REMEMBERED = 8192
"""Printed figures of one kind whose reading is kept: few dates, rates and amounts stand in many rows."""

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
    values: dict[str, Any] = {name: text for name in _TEXTS if (text := cells.get(name))}
    values |= {name: values[name].lower() for name in ("currency", "filing_currency") if name in values}
    for name, currency, parse in _FIGURES:
        if text := cells.get(name):
            try:
                values[name] = parse(text, cells.get(currency, ""))
            except ValueError as error:
                raise Unreadable(f"{where}, column {name}: {error}") from None
    for name in ("id", "type", "transaction_date", "currency", "total", "tax_amount"):
        if not cells[name]:
            raise Unreadable(f"{where}, column {name}: is empty")
    created: int = values["transaction_date"]
    if not interval.start <= created < interval.end:
        raise Unreadable(f"{where}, column transaction_date: {cells['transaction_date']} was not asked for")
    grain = hashlib.sha256(msgspec.json.encode([cells.get(name, "") for name in _GRAIN])).digest()
    values |= {"id": _id(grain, ordinals[grain]), "source_id": cells["id"], "created": created}
    ordinals[grain] += 1
    return TaxRow(created, msgspec.json.encode(values), msgspec.json.encode(cells))


def _id(grain: bytes, ordinal: int) -> str:
    # A number only where one grain stands twice: then the rows are alike in all that tells rows apart.
    return f"taxrow_{grain.hex()[:40]}" + (f":{ordinal}" if ordinal else "")


@lru_cache(maxsize=REMEMBERED)
def _number(text: str, _currency: str) -> Decimal:
    return number(text)


@lru_cache(maxsize=REMEMBERED)
def _minor(text: str, currency: str) -> int:
    return to_minor(number(text), currency)


@lru_cache(maxsize=REMEMBERED)
def _instant(text: str, _currency: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date with a time like 2026-10-01 12:00:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


_PARSE: Mapping[Kind, Callable[[str, str], Any]] = {Kind.RATE: _number, Kind.MINOR: _minor, Kind.TIME: _instant}
_PRINTED = [c for c in TAX_TRANSACTIONS.table.columns if c.name not in ("id", "created", "source_id")]
_TEXTS = [column.name for column in _PRINTED if column.kind is Kind.TEXT]
_FIGURES = [
    (column.name, "filing_currency" if column.name.startswith("filing_") else "currency", _PARSE[column.kind])
    for column in _PRINTED
    if column.kind is not Kind.TEXT
]
