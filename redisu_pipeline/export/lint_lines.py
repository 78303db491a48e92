"""The import lint of a single line: its amount, its rate, its date and period, its account and memo."""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from redisu_pipeline.common.problems import Problem
from redisu_pipeline.export.month import ClosedMonth
from redisu_pipeline.export.netsuite_limits import (
    DECIMALS,
    DIGITS_BEFORE_POINT,
    LINE_MEMO,
    RATE_DECIMALS,
    WITHOUT_DECIMALS,
)
from redisu_pipeline.journals.model import JournalLine

Finding = tuple[str, str, str]  # code, message, mend


def line_findings(month: ClosedMonth, line: JournalLine) -> Iterator[Problem]:
    """Yield what NetSuite would not take of one line, each with the journal and the line's number."""
    where = f"{line.external_id} line {line.line}"
    for of_line in _OF_THE_LINE:
        for code, message, mend in of_line(line):
            yield Problem(code, where, message, mend)
    for in_month in _IN_ITS_MONTH:
        for code, message, mend in in_month(month, line):
            yield Problem(code, where, message, mend)


def _sides(line: JournalLine) -> Iterable[Finding]:
    if (line.debit is None) == (line.credit is None):
        both = "both debit and credit" if line.debit is not None else "neither debit nor credit"
        yield "one_side", f"has {both}", "a line has exactly one of the two, the other stays empty"
    for side, value in (("debit", line.debit), ("credit", line.credit)):
        if value is not None and value <= 0:
            yield "not_positive", f"{side} is {value:f}", "swap the side of a negative amount, drop a zero line"


def _precision(line: JournalLine) -> Iterable[Finding]:
    places = 0 if line.currency in WITHOUT_DECIMALS else DECIMALS
    for value in (line.debit, line.credit):
        if value is None:
            continue
        if abs(value) >= 10**DIGITS_BEFORE_POINT:
            message = f"{value:f} has more than {DIGITS_BEFORE_POINT} digits before the point"
            yield "too_large", message, "split the journal"
        if value != round(value, places):
            message = f"{value:f} {line.currency}: NetSuite keeps {places} decimals of this currency"
            yield "precision", message, "book the fraction on a rounding line; finance decides"


def _rate(month: ClosedMonth, line: JournalLine) -> Iterable[Finding]:
    rate: Decimal | None = line.exchange_rate
    base, mend = month.account.base_currency, "give it in netsuite.exchange_rates"
    if rate is None or not rate.is_finite() or rate <= 0:
        message = f"has no exchange rate {line.currency} to {base}: NetSuite would take 1.00"
        yield "exchange_rate", message, mend
        return
    if rate != round(rate, RATE_DECIMALS):
        yield "rate_precision", f"exchange rate {rate:f} has more than {RATE_DECIMALS} decimals", "round it to 8"
    if line.currency == base and rate != 1:
        message = f"exchange rate {rate:f} though {base} is the subsidiary's own currency"
        yield "rate_of_base", message, "it must be 1; check accounts.*.base_currency"


def _period(month: ClosedMonth, line: JournalLine) -> Iterable[Finding]:
    mend = "date and post a journal in the month whose file it stands in"
    if line.period != str(month.period):
        yield "period", f"belongs to {line.period}, the file to {month.period}", mend
    if not month.period.first_day <= line.tran_date <= month.period.last_day:
        message = f"date {line.tran_date.isoformat()} lies outside {month.period}: NetSuite may post it elsewhere"
        yield "date_outside_period", message, mend
    named = month.period.last_day.strftime(month.netsuite.period_format)
    if not line.posting_period:
        yield "no_posting_period", "has no posting period: NetSuite would pick one", "check netsuite.period_format"
    elif line.posting_period != named:
        message = f"posting period {line.posting_period!r} is not that of {month.period}, {named!r}"
        yield "posting_period", message, mend


def _names(line: JournalLine) -> Iterable[Finding]:
    for code, what, value, setting in (
        ("no_account_number", "account number", line.gl_account, f"chart_of_accounts.{line.gl_role}"),
        ("no_account_name", "account name", line.gl_account_name, f"chart_of_accounts.{line.gl_role}"),
        ("no_subsidiary", "subsidiary", line.subsidiary, f"accounts.{line.account}.subsidiary"),
        ("no_currency", "currency", line.currency, f"accounts.{line.account}.currency"),
    ):
        if not value.strip():
            yield code, f"has no {what}", f"give it in {setting}"
        elif value != value.strip():
            message = f"{what} {value!r} begins or ends with a space: NetSuite compares exactly"
            yield code, message, f"mend it in {setting}"


def _memo(line: JournalLine) -> Iterable[Finding]:
    if len(line.memo) > LINE_MEMO:
        message = f"memo has {len(line.memo):,} signs; NetSuite takes {LINE_MEMO:,}"
        yield "line_memo", message, "shorten what it repeats (a course's name)"


_OF_THE_LINE: tuple[Callable[[JournalLine], Iterable[Finding]], ...] = (_sides, _precision, _names, _memo)
_IN_ITS_MONTH: tuple[Callable[[ClosedMonth, JournalLine], Iterable[Finding]], ...] = (_rate, _period)
