"""The CSV files of Stripe's reports, read strictly: exact, complete, or refused with the line and the column.

Pure: text in, cells out. Amounts are printed as decimals in major units (stripe.md §6.4).
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

_DECIMAL = re.compile(r"-?\d+(\.\d+)?")
BOM = "\ufeff"


class Unreadable(Exception):
    """The file is not what was asked for; the text names line and column, never a value of a person."""


def records(lines: Iterable[str], required: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield "line 2" and the cells by column, for each row; raises Unreadable at the first thing that is wrong.

    ``lines`` are the file's lines with their ends (``open(…, newline="")``); ``required`` columns must be there.
    """
    reader = csv.reader(_whole_lines(lines), strict=True)
    try:
        header = _header(next(reader, None), required)
        for cells in reader:
            where = f"line {reader.line_num}"
            if len(cells) != len(header):
                raise Unreadable(f"{where}: has {len(cells)} cells where the header has {len(header)}: it is cut off")
            yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise Unreadable(f"line {reader.line_num}: is no CSV ({error}): it is cut off or damaged") from None


def number(text: str) -> Decimal:
    """Return a printed number exactly; ValueError when it has a thousands separator, an exponent or the like."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{text!r} is not a decimal number with a point")
    return Decimal(text)


def _whole_lines(lines: Iterable[str]) -> Iterator[str]:
    """Pass the lines on without a byte order mark; refuse a last line that was cut off."""
    last = "\n"
    for position, line in enumerate(lines):
        last = line.removeprefix(BOM) if position == 0 else line
        yield last
    if not last.endswith("\n"):
        raise Unreadable("its last line has no end: it is cut off")


def _header(cells: Sequence[str] | None, required: Sequence[str]) -> list[str]:
    if cells is None:
        raise Unreadable("line 1: is empty, not even a header stands in it")
    names = [cell.strip() for cell in cells]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise Unreadable(f"line 1: column {', '.join(twice)} stands there twice")
    missing = [name for name in required if name not in names]
    if missing:
        raise Unreadable(f"line 1: column {', '.join(missing)} is missing")
    return names
