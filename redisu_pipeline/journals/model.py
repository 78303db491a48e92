"""The words of the journals: classes, postings, lines, and what blocks a month. Debit is positive everywhere."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from redisu_pipeline.common.periods import Month


class JournalClass(StrEnum):
    """One journal holds one class, so that each stays readable and finance can hold one back (§2.7)."""

    SALES = "SALES"
    FEES = "FEES"
    REFUNDS = "REFUNDS"
    DISPUTES = "DISPUTES"
    PAYOUTS = "PAYOUTS"
    RESERVES = "RESERVES"
    DEFERRAL = "DEFERRAL"
    ADJ = "ADJ"


@dataclass(frozen=True)
class Blocked:
    """Something without a rule: it stops the month until finance decides (C17). ``ids`` are all that are concerned."""

    kind: str  # category, product, jurisdiction, account, currency, reference
    what: str  # in words: what is missing
    mend: str
    ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class JournalLine:
    """One line of a journal as `netsuite/journal_lines` has it; amounts in major units, one of the two is None."""

    account: str
    subsidiary: str
    period: str
    external_id: str
    class_: JournalClass
    version: int
    tran_date: date
    posting_period: str
    currency: str
    exchange_rate: Decimal
    line: int
    gl_role: str
    gl_account: str
    gl_account_name: str
    debit: Decimal | None
    credit: Decimal | None
    memo: str
    department: str | None
    location: str | None
    course: str | None
    tax_country: str | None
    tax_state: str | None
    adjusts_period: str | None

    @property
    def amount(self) -> Decimal:
        """Debit positive, credit negative, in major units."""
        return self.debit if self.debit is not None else -(self.credit or Decimal(0))


def external_id(account: str, currency: str, period: Month, klass: JournalClass, version: int, part: int | None) -> str:
    """Return a journal's External ID; ``part`` only where a class is split. ≤ 45 signs of [A-Z0-9-] (§2.7)."""
    name = f"STR-{account.upper()}-{currency.upper()}-{period.year:04d}{period.month:02d}-{klass}-V{version}"
    return name if part is None else f"{name}-P{part}"
