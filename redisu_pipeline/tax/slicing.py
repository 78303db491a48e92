"""The books in slices of whole sales: all that belongs to a sale is in one slice, so that each stands for itself.

Every row is read once and put aside in parts by its sale. A report row may print the checkout session instead, and
only the session tells the sale: the two are brought together first, in parts by the session.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from redisu_pipeline.common.settings import Account
from redisu_pipeline.lake.parts import Parts, Sieve, put_aside
from redisu_pipeline.tax.model import Books, Coverage, Registration
from redisu_pipeline.tax.returns import Returns, read_returns
from redisu_pipeline.tax.rows import INVOICE, RATE, REPORT, invoices_of, report_of, tax_columns, tax_lines_of, tuples
from redisu_pipeline.tax.scanning import Scan
from redisu_pipeline.tax.tax_types import TaxTypes

SESSION = ["id", "invoice"]
REGISTRATION = ["id", "country", "country_options_us_state", "active_from", "expires_at", "_deleted_at"]


@dataclass(frozen=True)
class _Aside:
    """The rows of one table each, in parts by their sale."""

    invoices: Parts
    taxes: Parts
    sessions: Parts
    report: Parts


class Slicing:
    """Makes ``number`` slices of an account's books from ``since`` on; what it puts aside lies in ``folder``."""

    def __init__(self, scan: Scan, account: Account, since: datetime, number: int, folder: Path) -> None:
        self._scan, self._account, self._number, self._folder = scan, account, number, folder
        self._since = since

    def slices(self, coverage: Coverage, expected: int) -> Iterator[Books]:
        """Yield the slices; of invoices from ``since`` on there are about ``expected``."""
        returns = read_returns(self._scan)
        aside = self._aside(returns.sales, expected)
        divided = returns.divided(self._number)
        del returns
        types = TaxTypes(row for rows in self._scan("tax_rates", RATE) for row in rows.to_pylist())
        registrations = tuple(self._registrations())
        for part in range(self._number):
            yield self._books(coverage, registrations, aside, part, divided.pop(0), types)

    def _aside(self, sales: Mapping[str, str], expected: int) -> _Aside:
        sieve = Sieve(expected + len(sales))
        invoices = self._put_aside("invoices", INVOICE, "id", self._invoices({*sales.values()}, sieve))
        lines, sessions = (
            self._put_aside(table, columns, "invoice", self._passing(table, columns, sieve))
            for table, columns in (("invoice_taxes", tax_columns("invoice")), ("checkout_sessions", SESSION))
        )
        return _Aside(invoices, lines, sessions, self._report(sessions, sales))

    def _put_aside(self, table: str, columns: list[str], key: str, rows: Iterable[pa.Table], name: str = "") -> Parts:
        keyed = ((some, some[key]) for some in rows)
        return put_aside(self._folder / (name or table), self._scan.schema(table, columns), self._number, keyed)

    def _invoices(self, named: Set[str], sieve: Sieve) -> Iterator[pa.Table]:
        """Yield the invoices that count from ``since`` on, and those named, and let the sieve know them."""
        wanted = pa.array(sorted(named), pa.string())
        for rows in self._scan("invoices", [*INVOICE, "_deleted_at"]):
            recent = pc.fill_null(pc.greater_equal(rows["effective_at"], self._since), False)
            chosen = pc.or_(recent, pc.is_in(rows["id"], wanted))
            kept = rows.filter(pc.and_(chosen, pc.is_null(rows["_deleted_at"]))).select(INVOICE)
            sieve.add(kept["id"])
            yield kept

    def _passing(self, table: str, columns: list[str], sieve: Sieve) -> Iterator[pa.Table]:
        """Yield the rows of the invoices that the sieve knows, and a few others."""
        for rows in self._scan(table, columns):
            yield rows.filter(sieve.passing(rows["invoice"]))

    def _report(self, sessions: Parts, sales: Mapping[str, str]) -> Parts:
        """Put the report's rows aside by the sale behind them; one whose sale is unknown, by what it prints."""
        recent = (
            rows.filter(pc.greater_equal(rows["transaction_date"], self._since))
            for rows in self._scan("tax_transactions", REPORT)
        )
        printed = self._put_aside("tax_transactions", REPORT, "source_id", recent, "printed")
        if not printed:
            return printed
        parts = range(self._number)
        by_id = self._put_aside("checkout_sessions", SESSION, "id", map(sessions.part, parts), "sessions_by_id")
        known = pa.table([pa.array(sales), pa.array(sales.values(), pa.string())], by_id.schema)
        keyed = (
            (rows := printed.part(part), _sales(rows, pa.concat_tables([by_id.part(part), known]))) for part in parts
        )
        return put_aside(self._folder / "tax_transactions", printed.schema, self._number, keyed)

    def _registrations(self) -> Iterator[Registration]:
        for rows in self._scan("tax_registrations", REGISTRATION):
            for object_id, country, state, since, until, deleted in tuples(rows):
                if deleted is None and since is not None:
                    yield Registration(object_id, country or "", state or "", since, until)

    def _books(
        self,
        coverage: Coverage,
        registrations: tuple[Registration, ...],
        aside: _Aside,
        part: int,
        returns: Returns,
        types: TaxTypes,
    ) -> Books:
        invoices = {one.id: one for one in invoices_of(aside.invoices.part(part))}
        sales = returns.sales
        for session, invoice in tuples(aside.sessions.part(part)):
            if invoice in invoices:
                sales[session] = invoices[invoice].id
        return Books(
            account=self._account.name,
            timezone=self._account.timezone,
            coverage=coverage,
            since=self._since,
            invoices=invoices,
            invoice_taxes=tuple(tax_lines_of(aside.taxes.part(part), invoices)),
            refunds=returns.refunds,
            credit_notes=returns.notes,
            credit_note_taxes=returns.note_taxes,
            report=tuple(report_of(aside.report.part(part), types)),
            registrations=registrations,
            sales=sales,
        )


def _sales(rows: pa.Table, known: pa.Table) -> pa.ChunkedArray:
    """Return the invoice behind each row's ``source_id``, by the ids and invoices that are known; else that id."""
    places = pc.index_in(rows["source_id"], value_set=known["id"].combine_chunks())
    return pc.coalesce(pc.take(known["invoice"], places), rows["source_id"])
