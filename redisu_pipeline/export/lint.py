"""The import lint: what NetSuite would refuse or silently change is refused here, before a file exists (C1, §1.2–1.6).

Nothing is raised and nothing stops early: the reader is an accountant who wants every finding at once.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator

from redisu_pipeline.common.problems import Problem
from redisu_pipeline.export.journals import Journal, header_memo, journals
from redisu_pipeline.export.lint_lines import line_findings
from redisu_pipeline.export.month import ClosedMonth
from redisu_pipeline.export.netsuite_limits import EXTERNAL_ID, HEADER_MEMO, LEAST_LINES, MOST_LINES, MOST_ROWS
from redisu_pipeline.journals.model import JournalLine


def lint(
    month: ClosedMonth, existing_ids: Container[str] = (), closed_periods: Container[str] = ()
) -> tuple[Problem, ...]:
    """Return everything that NetSuite would not take as it is, in the order of the lines; nothing when all is well.

    ``existing_ids`` went out before with other content: the same id again would double or change a posted journal.
    ``closed_periods`` (YYYY-MM) take nothing any more; a month's own frozen files are not linted again.
    """
    whole = list(journals(month.lines))
    return (
        *_file_findings(month, whole, existing_ids, closed_periods),
        *(problem for journal in whole for problem in _journal_findings(month, journal)),
    )


def _file_findings(
    month: ClosedMonth, whole: list[Journal], existing_ids: Container[str], closed_periods: Container[str]
) -> Iterator[Problem]:
    """Yield what concerns the file: closed periods, ids that come twice or went out before, the number of rows."""
    for period in dict.fromkeys(line.period for line in month.lines):
        if period in closed_periods:
            mend = "post it as a delta journal in the first open period"
            yield Problem("closed_period", period, "is a closed period: NetSuite refuses the journals", mend)
    for external_id, blocks in Counter(journal.external_id for journal in whole).items():
        if blocks > 1:
            mend = "keep the rows of a journal together and give every journal an id of its own"
            yield Problem("torn_journal", external_id, f"stands in {blocks} places of the file", mend)
        if external_id in existing_ids:
            mend = "post the difference under the next version instead"
            message = "went out before with other content: importing it again doubles or changes a posted journal"
            yield Problem("duplicate_id", external_id, message, mend)
    if len(month.lines) > MOST_ROWS:
        message = f"has {len(month.lines):,} rows; NetSuite takes {MOST_ROWS:,} in one import"
        yield Problem("too_many_rows", str(month.period), message, "import the classes as separate jobs")


def _journal_findings(month: ClosedMonth, journal: Journal) -> Iterator[Problem]:
    for rule in _JOURNAL_RULES:
        yield from rule(journal)
    if len(header_memo(month, journal)) > HEADER_MEMO:
        message = f"the journal's memo is longer than {HEADER_MEMO} signs"
        yield Problem("header_memo", journal.external_id, message, "shorten the account's name")
    for line in journal.lines:
        yield from line_findings(month, line)


def _external_id(journal: Journal) -> Iterable[Problem]:
    if not EXTERNAL_ID.fullmatch(journal.external_id):
        message = "is no External ID that CSV and REST take: 1 to 45 signs of A-Z, 0-9 and -"
        yield Problem("external_id", journal.external_id, message, "shorten the account's key in redisu.toml")


def _line_count(journal: Journal) -> Iterable[Problem]:
    count = len(journal.lines)
    if count < LEAST_LINES:
        yield Problem("too_few_lines", journal.external_id, "has one line: nothing balances it", "derive it again")
    if count > MOST_LINES:
        message = f"has {count} lines; NetSuite takes {MOST_LINES} in a journal"
        yield Problem("too_many_lines", journal.external_id, message, "split it into -P1, -P2, … that each balance")


def _numbering(journal: Journal) -> Iterable[Problem]:
    numbers = [line.line for line in journal.lines]
    if numbers != list(range(1, len(numbers) + 1)):
        message = f"its lines are not numbered 1 to {len(numbers)} in order"
        yield Problem("line_numbers", journal.external_id, message, "derive it again: sources hang on these numbers")


def _balance(journal: Journal) -> Iterable[Problem]:
    left = sum(line.amount for line in journal.lines)
    if left:
        message = f"debits and credits differ by {left:f} {journal.head.currency}"
        yield Problem("unbalanced", journal.external_id, message, "do not export it; see control C1")


def _one_head(journal: Journal) -> Iterable[Problem]:
    """Refuse a head that is not the same on every row: NetSuite takes the first row's and drops the others."""
    for code, what, of in _HEAD:
        values = list(dict.fromkeys(of(line) for line in journal.lines))
        if len(values) > 1:
            message = f"has more than one {what}: {', '.join(map(str, values))}"
            yield Problem(code, journal.external_id, message, f"make a journal of its own for each {what}")


_HEAD: tuple[tuple[str, str, Callable[[JournalLine], object]], ...] = (
    ("two_currencies", "currency", lambda line: line.currency),
    ("two_subsidiaries", "subsidiary", lambda line: line.subsidiary),
    ("two_classes", "class", lambda line: line.class_),
    ("two_dates", "date", lambda line: line.tran_date),
    ("two_periods", "posting period", lambda line: line.posting_period),
    ("two_rates", "exchange rate", lambda line: line.exchange_rate),
    ("two_adjustments", "adjusted period", lambda line: line.adjusts_period),
)
_JOURNAL_RULES: tuple[Callable[[Journal], Iterable[Problem]], ...] = (
    _external_id,
    _line_count,
    _numbering,
    _balance,
    _one_head,
)
