"""`redisu compare`: the old report's file, and the journals and sources of the lake, brought before `compare`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from redisu_pipeline.close import gates
from redisu_pipeline.close.amounts import plain
from redisu_pipeline.close.compare import Difference, Source, compare, known_accounts
from redisu_pipeline.close.old_report import read_old_report
from redisu_pipeline.close.reading import never_closed
from redisu_pipeline.close.stored import Stored
from redisu_pipeline.common import clock
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import ConfigurationError, Failed, Problem
from redisu_pipeline.common.settings import Account, Settings
from redisu_pipeline.lake.netsuite_tables import JOURNAL_LINES
from redisu_pipeline.lake.storage import open_storage

SOURCE = ("external_id", "line", "source_object", "source_id", "amount_minor", "currency")


@dataclass(frozen=True)
class Comparison:
    """Where the old report and the journals of a month differ; nowhere when there are no ``differences``."""

    account: str
    month: str
    differences: tuple[Difference, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return the one line that says that there are differences."""
        if not self.differences:
            return ()
        number = len(self.differences)
        where = f"{self.account} {self.month}"
        said = f"the old report and the journals differ on {number} account{'s' if number > 1 else ''}"
        return (Problem("differences", where, said, "look up the Stripe ids beside each"),)

    def fields(self) -> dict[str, object]:
        """Return what ``--json`` adds: amounts as decimal text in major units, debit positive."""
        differences = [_fields(one) for one in self.differences]
        return {"account": self.account, "month": self.month, "differences": differences}


def comparison(settings: Settings, account: str, month: str, file: Path) -> Comparison:
    """Compare the report in ``file`` with the journals of ``month`` (YYYY-MM) of ``account``.

    Raises ConfigurationError (unknown account, no such month, a file that cannot be read) or Failed (the month was
    never closed).
    """
    chosen = settings.account(account)
    period = gates.month_of(month, chosen, clock.now())
    content = _content(file)
    stored = Stored(open_storage(settings.lake.uri), chosen.name)
    if period not in stored.months(JOURNAL_LINES):
        raise Failed(never_closed(chosen.name, period))
    lines = stored.lines(before=period.next()).get(period, [])
    currencies = sorted({line.currency for line in lines})
    rows = read_old_report(content, file.name, known_accounts(lines, _chart(settings, chosen)), currencies)
    return Comparison(chosen.name, str(period), compare(lines, _sources(stored, period), rows))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        problem = Problem("no_file", "--file", f"{file}: {error.strerror or 'cannot be read'}", "name the report's CSV")
        raise ConfigurationError(problem) from None


def _chart(settings: Settings, account: Account) -> Iterator[tuple[str, str]]:
    for choices in settings.chart(account.name).values():
        yield from ((one.number, one.name) for one in choices)


def _sources(stored: Stored, period: Month) -> Iterator[Source]:
    return stored.sources([period]).select(SOURCE).iter_rows()


def _fields(one: Difference) -> dict[str, object]:
    return {
        "account": one.account,
        "name": one.name,
        "currency": one.currency,
        "old": plain(one.old, one.currency),
        "ours": plain(one.ours, one.currency),
        "difference": plain(one.difference, one.currency),
        "fit": str(one.fit),
        "sources": [
            {
                "source_object": part.source_object,
                "source_id": part.source_id,
                "amount": plain(part.amount, one.currency),
            }
            for part in one.evidence
        ],
        "ids": one.ids,
    }
