"""Sections about the business: sales, tax, fees, refunds, disputes, payouts, large Israeli invoices."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from redisu_pipeline.export.month import ClosedMonth
from redisu_pipeline.export.report import plots
from redisu_pipeline.export.report.tables import Row, Section, Table, base_first, cut, money, total
from redisu_pipeline.journals.model import JournalClass, JournalLine

_T = TypeVar("_T")
_K = TypeVar("_K")
_SALES_ROLES = ("revenue", "deferred", "refunds")
_TAX_ROLES = ("sales_tax", "vat_il", "vat")
_FEE_ROLES = ("fee_processing", "fee_product", "fee_dispute", "fee_fx", "fee_tax", "input_vat")


def sales(month: ClosedMonth) -> Section:
    """Return revenue, deferrals and refunds by course, with bars of days and of courses."""
    sums: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(lambda: dict.fromkeys(_SALES_ROLES, Decimal(0)))
    for line in month.lines:
        if line.gl_role in _SALES_ROLES:
            sums[line.currency, line.course or ""][line.gl_role] -= line.amount  # credits are income
    tables, drawn = [], []
    for currency in base_first(month, (currency for currency, _ in sums)):
        mine = [(course, by_role) for (c, course), by_role in sorted(sums.items()) if c == currency]
        rows = [Row((_course(month, course), *_sales_cells(by_role, currency))) for course, by_role in mine]
        whole = {role: total(by_role[role] for _, by_role in mine) for role in _SALES_ROLES}
        ends = [Row(("Total", *_sales_cells(whole, currency)), "total")]
        heads = ("Course", "#Revenue", "#Change in deferred", "#Refunds", "#Revenue less refunds")
        tables.append(cut(f"Sales by course {currency}, without tax", heads, rows, ends))
        drawn.append(plots.courses(currency, [(month.courses.get(c) or c, by_role["revenue"]) for c, by_role in mine]))
    by_day = _groups(month.sales_by_day, lambda row: row.currency)
    drawn += [plots.daily(month.period, currency, by_day[currency]) for currency in base_first(month, by_day)]
    intro = "Settlement currency, without tax; late changes of earlier months are part of it."
    return Section("sales", "Sales", intro, tables=tuple(tables), plots=tuple(filter(None, drawn)))


def tax(month: ClosedMonth) -> Section:
    """Return tax by jurisdiction as Stripe states it and as the ledger posted it: control C12 compares them."""
    stated = [
        Row(
            (
                row.country,
                row.state,
                row.tax_type,
                row.currency,
                *(money(v, row.currency) for v in (row.taxable, row.collected, row.refunded)),
                money(row.collected - row.refunded, row.currency),
                row.source if row.complete else f"{row.source} (not complete yet)",
            )
        )
        for row in month.taxes
    ]
    heads = ("Country", "State", "Tax", "Cur.", "#Taxable", "#Collected", "#Refunded", "#Net", "Source")
    see = "the table tax_by_jurisdiction"
    tables = [cut("Tax by jurisdiction, buyers' currency", heads, stated, see=see)] if stated else []
    posted = _movements(
        (line for line in month.lines if line.gl_role in _TAX_ROLES),
        lambda line: (line.tax_country or "", line.tax_state or "", f"{line.gl_account} {line.gl_account_name}"),
    )
    if posted:
        columns = ("Country", "State", "Account", "Cur.", "#Debit", "#Credit", "#Payable added")
        rows = [Row((*names, cur, *_gross(cur, debit, credit, credit - debit))) for names, cur, debit, credit in posted]
        tables.append(cut("Tax posted to the ledger, settlement currency", columns, rows))
    return Section("tax", "Tax by jurisdiction", tables=tuple(tables))


def fees(month: ClosedMonth) -> Section:
    """Return what Stripe charged, by kind."""
    return Section("fees", "Fees", tables=_by_account(month, "Stripe's fees by kind", _is_fee, "#Cost"))


def refunds(month: ClosedMonth) -> Section:
    """Return where the refunds went: contra revenue, tax, FX and the money that left."""
    tables = _by_account(month, "Postings of refunds and credit notes", _of(JournalClass.REFUNDS), "#Net")
    return Section("refunds", "Refunds", tables=tables)


def disputes(month: ClosedMonth) -> Section:
    """Return the disputes that are open or moved, and what was posted for disputes."""
    rows = [
        Row(
            (
                row.id,
                row.charge,
                _day(month, row.created),
                row.reason,
                row.status,
                row.currency,
                money(row.amount, row.currency),
            )
        )
        for row in month.disputes
    ]
    heads = ("Dispute", "Charge", "Opened", "Reason", "Status", "Cur.", "#Amount")
    listed = (cut("Disputes that are open or moved", heads, rows, see="the table disputes"),) if rows else ()
    posted = _by_account(month, "Postings of disputes", _of(JournalClass.DISPUTES), "#Net")
    return Section("disputes", "Disputes", tables=(*listed, *posted))


def payouts(month: ClosedMonth) -> Section:
    """Return the payouts created or returned in the month."""
    rows = [
        Row(
            (
                row.id,
                _day(month, row.created),
                row.arrival.date().isoformat() if row.arrival else "",  # midnight UTC by Stripe's definition
                row.status,
                row.currency,
                money(row.amount, row.currency),
                row.note,
            ),
            "warn" if row.status in ("failed", "canceled") else "",
        )
        for row in month.payouts
    ]
    heads = ("Payout", "Created", "Arrives", "Status", "Cur.", "#Amount", "Note")
    sums = [
        Row(("Total", "", "", "", currency, money(total(row.amount for row in mine), currency), ""), "total")
        for currency, mine in sorted(_groups(month.payouts, lambda row: row.currency).items())
    ]
    table = cut("Payouts created or returned in the month", heads, rows, sums, see="the table payouts")
    return Section("payouts", "Payouts", tables=(table,) if rows else ())


def large_invoices(month: ClosedMonth) -> Section:
    """Return the Israeli B2B invoices that need an allocation number, which Stripe cannot obtain (§4.1)."""
    rows = [
        Row(
            (
                row.number,
                row.id,
                row.day.isoformat(),
                row.currency,
                money(row.net, row.currency),
                money(row.threshold, row.currency),
            )
        )
        for row in month.large_invoices
    ]
    heads = ("Number", "Invoice", "Date", "Cur.", "#Before VAT", "#Threshold")
    intro = (
        "Each needs an allocation number of the Israel Tax Authority, or the buyer cannot deduct the VAT. Neither "
        "Stripe nor a NetSuite journal obtains one: somebody must."
    )
    table = cut("Israeli B2B invoices at or over the allocation threshold", heads, rows, see="the table invoices")
    title = "Israeli B2B invoices over the threshold"
    return Section("israel", title, intro if rows else "", tables=(table,) if rows else ())


def _by_account(month: ClosedMonth, caption: str, wanted: Callable[[JournalLine], bool], net: str) -> tuple[Table, ...]:
    """Return one table of the accounts that the wanted lines post to, with sums by currency; none without lines."""
    moved = _movements(filter(wanted, month.lines), lambda line: (line.gl_account, line.gl_account_name))
    rows = [Row((*names, cur, *_gross(cur, debit, credit, debit - credit))) for names, cur, debit, credit in moved]
    sums = []
    for currency in base_first(month, (currency for _, currency, _, _ in moved)):
        debit = total(row[2] for row in moved if row[1] == currency)
        credit = total(row[3] for row in moved if row[1] == currency)
        sums.append(Row(("", "Total", currency, *_gross(currency, debit, credit, debit - credit)), "total"))
    heads = ("Account", "Name", "Cur.", "#Debit", "#Credit", net)
    return (cut(caption, heads, rows, sums),) if rows else ()


def _movements(
    lines: Iterable[JournalLine], named: Callable[[JournalLine], tuple[str, ...]]
) -> list[tuple[tuple[str, ...], str, Decimal, Decimal]]:
    """Return (names, currency, debit, credit) of the lines, currencies apart, in order."""
    groups = _groups(lines, lambda line: (line.currency, named(line)))
    return [
        (
            names,
            currency,
            total(line.debit or Decimal(0) for line in mine),
            total(line.credit or Decimal(0) for line in mine),
        )
        for (currency, names), mine in sorted(groups.items())
    ]


def _groups(rows: Iterable[_T], key: Callable[[_T], _K]) -> dict[_K, list[_T]]:
    groups: dict[_K, list[_T]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _gross(currency: str, *values: Decimal) -> tuple[str, ...]:
    return tuple(money(value, currency) for value in values)


def _sales_cells(by_role: dict[str, Decimal], currency: str) -> tuple[str, ...]:
    revenue, deferred, returned = (by_role[role] for role in _SALES_ROLES)
    return _gross(currency, revenue, deferred, returned, revenue + returned)


def _course(month: ClosedMonth, slug: str) -> str:
    """Return a course as finance knows it: its name with its slug."""
    if not slug:
        return "without a course"
    return f"{month.courses[slug]} ({slug})" if slug in month.courses else slug


def _day(month: ClosedMonth, instant: datetime) -> str:
    """Return the day in the books' zone: the one that cuts the month."""
    return instant.astimezone(month.account.tzinfo).date().isoformat()


def _is_fee(line: JournalLine) -> bool:
    return line.gl_role in _FEE_ROLES


def _of(klass: JournalClass) -> Callable[[JournalLine], bool]:
    return lambda line: line.class_ is klass
