"""What the configuration says of lines: GL accounts by the chart, exchange rates by finance's file."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import ConfigurationError, Problem
from redisu_pipeline.common.settings import Account, GLAccount, Settings, gl_account
from redisu_pipeline.journals.lines import Heading, Posted
from redisu_pipeline.journals.taxes import UNKNOWN

UNMAPPED = GLAccount(number=UNKNOWN, name="unmapped")
"""Stands on lines that block the month; the import lint refuses it too."""
ONE, NONE = Decimal(1), Decimal(0)
COLUMNS = ("currency", "base_currency", "period", "rate")


def heading_of(
    settings: Settings,
    account: Account,
    period: Month,
    *,
    version: int = 1,
    adjusts: Month | None = None,
    posted: Mapping[Posted, GLAccount] | None = None,
) -> Heading:
    """Return what the lines of one derivation share. Raises ConfigurationError for a rates file that cannot be read."""
    chart = settings.chart(account.name)

    def account_of(
        role: str, course: str | None, state: str | None, country: str | None, currency: str, on: date
    ) -> GLAccount:
        if role == UNKNOWN:
            return UNMAPPED
        return gl_account(chart, role, course=course, state=state, country=country, currency=currency, on=on)

    return Heading(
        account=account.name,
        subsidiary=account.subsidiary,
        period=period,
        posting_period=period.first_day.strftime(settings.netsuite.period_format),
        version=version,
        adjusts=adjusts,
        rate_of=rates_of(settings, account, period).rate,
        account_of=account_of,
        posted=posted or {},
    )


@dataclass(frozen=True)
class Rates:
    """Exchange rates of one month: base units of the subsidiary per unit of a currency (netsuite-journals.md §1.6)."""

    base: str
    rates: Mapping[str, Decimal]

    def rate(self, currency: str) -> Decimal:
        """Return the rate; 0 where finance's file has none, which blocks the month (C18)."""
        return ONE if currency == self.base else self.rates.get(currency, NONE)


def rates_of(settings: Settings, account: Account, period: Month) -> Rates:
    """Return the month's rates from `netsuite.exchange_rates`. Raises ConfigurationError naming the line at fault."""
    path = settings.netsuite.exchange_rates
    base = account.base_currency.upper()
    if path is None:
        return Rates(base, {})
    whole = path if path.is_absolute() else settings.folder / path
    return Rates(base, {c: rate for c, b, p, rate in _read(whole) if (b, p) == (base, str(period))})


def _read(path: Path) -> list[tuple[str, str, str, Decimal]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            if not reader.fieldnames or not set(COLUMNS) <= set(reader.fieldnames):
                raise _fault(path, 1, f"has no columns {', '.join(COLUMNS)}", "give it these headings")
            return [_row(path, reader.line_num, row) for row in reader]
    except OSError as error:
        raise _fault(path, 0, error.strerror or "cannot be read", "put the file there, or correct the path") from None


def _row(path: Path, number: int, row: Mapping[str, str]) -> tuple[str, str, str, Decimal]:
    try:
        rate = Decimal(row["rate"].strip())
        period = Month.parse(row["period"].strip())
    except (InvalidOperation, ValueError, AttributeError):
        mend = "write a month like 2026-10 and a rate like 1.0825"
        raise _fault(path, number, "has no month or no rate that can be read", mend) from None
    if not rate.is_finite() or rate <= 0 or -int(rate.as_tuple().exponent) > 8:
        raise _fault(path, number, f"{rate} is no rate", "give a positive number with at most 8 decimals")
    return row["currency"].strip().upper(), row["base_currency"].strip().upper(), str(period), rate


def _fault(path: Path, number: int, what: str, mend: str) -> ConfigurationError:
    where = f"netsuite.exchange_rates ({path.name}{f', line {number}' if number else ''})"
    return ConfigurationError(Problem("exchange_rates", where, what, mend))
