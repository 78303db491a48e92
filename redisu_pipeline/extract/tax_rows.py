"""The CSV of an itemised tax report as rows: exact, complete, or refused in one line that names file, line and column.

Pure: text in, rows out. Amounts are printed as decimals in major units and become minor units by Stripe's exponent
table; times are printed in the run's timezone, which is always UTC here. Source: stripe.md §6.4, §6.5.
"""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from redisu_pipeline.common.money import to_minor
from redisu_pipeline.common.settings.tax import REQUIRED_COLUMNS
from redisu_pipeline.tables.model import Kind
from redisu_pipeline.tables.tax import TAX_TRANSACTIONS

_DECIMAL = re.compile(r"-?\d+(\.\d+)?")
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

BOM = "\ufeff"


class Unreadable(Exception):
    """The file is not what was asked for; the text names line and column, never a value of a person."""


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
    reader = csv.reader(_whole_lines(lines), strict=True)
    try:
        header = _header(next(reader, None))
        ordinals: Counter[bytes] = Counter()
        for cells in reader:
            where = f"line {reader.line_num}"
            if len(cells) != len(header):
                raise Unreadable(f"{where}: has {len(cells)} cells where the header has {len(header)}: it is cut off")
            yield _row(dict(zip(header, cells, strict=True)), interval, where, ordinals)
    except csv.Error as error:
        raise Unreadable(f"line {reader.line_num}: is no CSV ({error}): it is cut off or damaged") from None


def _whole_lines(lines: Iterable[str]) -> Iterator[str]:
    """Pass the lines on without a byte order mark; refuse a last line that was cut off."""
    last = "\n"
    for number, line in enumerate(lines):
        last = line.removeprefix(BOM) if number == 0 else line
        yield last
    if not last.endswith("\n"):
        raise Unreadable("its last line has no end: it is cut off")


def _header(cells: Sequence[str] | None) -> list[str]:
    if cells is None:
        raise Unreadable("line 1: is empty, not even a header stands in it")
    names = [cell.strip() for cell in cells]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise Unreadable(f"line 1: column {', '.join(twice)} stands there twice")
    missing = [name for name in REQUIRED_COLUMNS if name not in names]
    if missing:
        raise Unreadable(f"line 1: column {', '.join(missing)} is missing")
    return names


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
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{text!r} is not a decimal number with a point")
    return Decimal(text)


def _minor(text: str, cells: Mapping[str, str], name: str) -> int:
    currency = cells.get("filing_currency" if name.startswith("filing_") else "currency", "")
    return to_minor(_number(text, cells, name), currency)


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
