"""Finance's old manual report as rows: a CSV of account and debit/credit or net, as people's spreadsheets write it.

Read tolerantly where there is only one reading (a BOM, semicolons or tabs, title lines above the headings, total
lines, 1,234.50, (12.00)), and refused in a line each where there are two: 1,234 may be a thousand or a fraction.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from redisu_pipeline.common.money import KNOWN_CURRENCIES
from redisu_pipeline.common.problems import ConfigurationError, Problem

_HEADINGS: Mapping[str, frozenset[str]] = {
    "account": frozenset(
        (
            "account",
            "account number",
            "account no",
            "account name",
            "gl account name",
            "acct",
            "acct no",
            "gl account",
            "gl account number",
            "gl",
            "gl code",
        )
    ),
    "debit": frozenset(("debit", "debits", "debit amount", "dr")),
    "credit": frozenset(("credit", "credits", "credit amount", "cr")),
    "net": frozenset(("net", "net amount", "amount", "balance", "net movement", "movement")),
    "currency": frozenset(("currency", "ccy", "cur", "currency code")),
}
_DEEPEST_HEADING = 20  # lines of titles that may stand above the headings
_PLAIN = re.compile(r"\d+(\.\d+)?|\.\d+")
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+\.\d+|\d{1,3}(,\d{3}){2,}")
_TOTALS = ("total", "totals", "grand total", "sum")


@dataclass(frozen=True)
class OldRow:
    """One line of the old report: net movement of an account, debit positive, major units."""

    account: str  # number; of an account that is not ours what the report calls it
    currency: str
    net: Decimal
    line: int  # of the file


def read_old_report(content: bytes, name: str, accounts: Mapping[str, str], currencies: Sequence[str]) -> list[OldRow]:
    """Return the rows of a report; ConfigurationError with every fault, each with its line.

    ``name`` is the file as errors call it; ``accounts`` number → name of ours; ``currencies`` those of
    the journals: without a currency column there must be one.
    """
    table = list(_table(content, name))
    places, top = _headings(table, name)
    if "currency" not in places and len(currencies) > 1:
        message = f"has no currency column, and the journals are in {', '.join(currencies)}"
        raise _refused("currency", name, message, "add a column Currency")
    known = _Names(accounts)
    rows: list[OldRow] = []
    problems: list[Problem] = []
    for number, cells in table[top:]:
        got = {field: cells[place].strip() if place < len(cells) else "" for field, place in places.items()}
        if not any(cells) or (known.number(got["account"]) is None and _is_total(cells)):
            continue
        where = f"{name} line {number}"
        try:
            currency = _currency(got, currencies, where)
            rows.append(OldRow(_account(got["account"], known, where), currency, _net(got, where), number))
        except ConfigurationError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigurationError(problems)
    return rows


def _table(content: bytes, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells); the separator is the one of ``,`` ``;`` tab that a heading line has most of."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _refused("encoding", name, "is not UTF-8", 'save it as "CSV UTF-8"') from None
    if "\0" in text or content.startswith(b"PK"):
        raise _refused("encoding", name, "is no CSV", "save the sheet as CSV UTF-8")
    headings = [line for line in text.splitlines()[:_DEEPEST_HEADING] if _looks_like_headings(line)]
    separator = max(",;\t", key=(headings[0] if headings else "").count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=separator, strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise _refused("csv", f"{name} line {reader.line_num}", f"is no CSV: {error}", "save it again as CSV") from None


def _looks_like_headings(line: str) -> bool:
    return "account" in _fields(re.split(r"[,;\t]", line))


def _fields(cells: Sequence[str]) -> dict[str, int]:
    """Return field → place for the headings among ``cells``; the first of a kind counts."""
    found: dict[str, int] = {}
    for place, cell in enumerate(cells):
        word = " ".join(re.sub(r"[^a-z]+", " ", cell.lower()).split())
        for field, words in _HEADINGS.items():
            if word in words:
                found.setdefault(field, place)
    return found


def _headings(table: Sequence[tuple[int, list[str]]], name: str) -> tuple[dict[str, int], int]:
    """Return where each field stands and the first row below; a pair of debit and credit goes before a net."""
    for row, (_, cells) in enumerate(table[:_DEEPEST_HEADING], 1):
        found = _fields(cells)
        if "account" not in found:
            continue
        if {"debit", "credit"} <= found.keys():
            found.pop("net", None)
            return found, row
        if "net" in found:
            return {field: place for field, place in found.items() if field not in ("debit", "credit")}, row
    message = "has no heading line with an account and its amounts"
    raise _refused("headings", name, message, "name columns Account and Debit, Credit (or Net), maybe Currency")


class _Names:
    """Finds an account by its number, by its name, or by both as NetSuite shows it."""

    def __init__(self, accounts: Mapping[str, str]) -> None:
        self._numbers: dict[str, str] = {}
        self._alone = {number.casefold(): number for number in accounts}
        for number, name in accounts.items():
            for form in (name, f"{number} {name}", f"{number} - {name}", number):
                self._numbers[form.casefold()] = number

    def number(self, text: str) -> str | None:
        words = text.casefold().split()
        # Behind a number of ours stands any name; a name counts only whole: "Rounding" is not "Rounding of old".
        return self._numbers.get(" ".join(words)) or (self._alone.get(words[0]) if words else None)


def _account(text: str, known: _Names, where: str) -> str:
    """Return an account's number. One that only the old report knows keeps its own name: it is a difference."""
    if not text:
        raise _refused("account", where, "names no account", "write its number or name")
    return known.number(text) or " ".join(text.split())


def _currency(got: Mapping[str, str], currencies: Sequence[str], where: str) -> str:
    if "currency" not in got:
        return currencies[0] if currencies else ""
    code = got["currency"].upper()
    if code not in KNOWN_CURRENCIES:
        raise _refused("currency", where, f"{code[:20]!r} is no currency", "write its ISO code, like USD")
    return code


def _net(got: Mapping[str, str], where: str) -> Decimal:
    if "net" in got:
        return _amount(got["net"], where)
    return _amount(got["debit"], where) - _amount(got["credit"], where)


def _amount(text: str, where: str) -> Decimal:
    """Return an amount that has one reading; an empty cell or a dash is zero."""
    bare = text.replace("\u00a0", " ").replace("−", "-").strip()
    if bare in ("", "-"):
        return Decimal(0)
    negative = bare.startswith("-") or (bare.startswith("(") and bare.endswith(")"))
    digits = bare.strip("()").removeprefix("-").strip()
    if _THOUSANDS.fullmatch(digits):
        digits = digits.replace(",", "")
    if not _PLAIN.fullmatch(digits):
        mend = "write it like 1234.50: a point before the cents, no other marks"
        raise _refused("amount", where, f"{text[:40]!r} is no amount with one reading", mend)
    return -Decimal(digits) if negative else Decimal(digits)


def _is_total(cells: Sequence[str]) -> bool:
    """Whether a line only sums up: a total by its first word, or nothing but amounts."""
    words = [cell.strip().casefold().rstrip(":") for cell in cells if cell.strip()]
    return not words or words[0] in _TOTALS


def _refused(code: str, where: str, message: str, mend: str) -> ConfigurationError:
    return ConfigurationError(Problem(code, where, message, mend))
