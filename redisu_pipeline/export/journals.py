"""Lines as whole journals, and the words that stand in a journal's head in every export."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from redisu_pipeline.export.month import ClosedMonth
from redisu_pipeline.journals.model import JournalLine

DRAFT = "DRAFT"


@dataclass(frozen=True)
class Journal:
    """Lines that stand together under one External ID; NetSuite reads the head from the first of them."""

    external_id: str
    lines: tuple[JournalLine, ...]

    @property
    def head(self) -> JournalLine:
        """The first line, which carries the journal's head like every other."""
        return self.lines[0]


def journals(lines: Iterable[JournalLine]) -> Iterator[Journal]:
    """Yield the journals in the order of their lines; lines torn apart come as two journals (lint says so)."""
    for external_id, rows in groupby(lines, key=lambda line: line.external_id):
        yield Journal(external_id, tuple(rows))


def header_memo(month: ClosedMonth, journal: Journal) -> str:
    """Return a journal's memo: whose books, which month and class; a delta names the month that it adjusts (§2.6)."""
    head = journal.head
    words = f"Stripe {head.account} {head.period} {head.class_} {head.currency}"
    if head.adjusts_period is not None:
        words += f", adjusts {head.adjusts_period} ({_original(journal.external_id)})"
    return f"{DRAFT} {words}" if month.is_draft else words


def account_reference(line: JournalLine) -> str:
    """Return the GL account as NetSuite shows it where account numbers are on: ``1150 Stripe Clearing`` (§1.3).

    Both parts on purpose: a number typed wrong in the configuration would post elsewhere in silence, while number
    and name that do not belong together are refused.
    """
    return f"{line.gl_account} {line.gl_account_name}"


def _original(external_id: str) -> str:
    """Return the first version's id without its part: ``STR-US-USD-202610-SALES-V1``."""
    return f"{external_id.rpartition('-V')[0]}-V1"
