"""What commands report: plain numbers that the pipeline fills and the terminal, Dagster and ``--json`` show."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from redisu_pipeline.common.problems import Problem


class Progress(Protocol):
    """Hears how a sync goes on; calls come from several threads and must return at once."""

    def table_started(self, account: str, table: str, estimate: int | None) -> None:
        """A table's extraction begins; ``estimate`` rows are expected, None when nobody knows."""

    def advanced(self, account: str, table: str, rows: int, requests: int) -> None:
        """``rows`` more rows arrived by ``requests`` more requests (both since the last call)."""

    def table_finished(self, account: str, table: str) -> None:
        """The table is landed."""


class Silence:
    """A Progress that says nothing: for ``--json``, Dagster and tests."""

    def table_started(self, account: str, table: str, estimate: int | None) -> None:
        """Say nothing."""

    def advanced(self, account: str, table: str, rows: int, requests: int) -> None:
        """Say nothing."""

    def table_finished(self, account: str, table: str) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class TableReport:
    """One table after a sync. ``minimum`` is the least number of requests that this work could have taken.

    ``note`` says in words what a person must know of it, such as why it is empty.
    """

    new: int
    changed: int
    unchanged: int
    rows: int
    requests: int
    minimum: int
    seconds: float
    complete_until: datetime | None
    note: str = ""

    def fields(self) -> dict[str, object]:
        """Return the public form of ``--json``: instants as ISO-8601 UTC, seconds to the millisecond."""
        until = self.complete_until
        return {
            "new": self.new,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "rows": self.rows,
            "requests": self.requests,
            "minimum": self.minimum,
            "seconds": round(self.seconds, 3),
            "complete_until": until.astimezone(UTC).isoformat().replace("+00:00", "Z") if until else None,
            **({"note": self.note} if self.note else {}),
        }


@dataclass(frozen=True)
class AccountReport:
    """One account after a sync, by table.

    ``notes`` are what the checks of its tax have to say, in words; ``tax_months`` the months (YYYY-MM) whose tax by
    jurisdiction changed.
    """

    tables: Mapping[str, TableReport] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    tax_months: tuple[str, ...] = ()


@dataclass(frozen=True)
class SyncReport:
    """A whole sync; ``problems`` says what did not succeed, and is empty when all did."""

    accounts: Mapping[str, AccountReport] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything asked for is complete."""
        return not self.problems

    def fields(self) -> dict[str, object]:
        """Return what ``--json`` adds for this command."""
        return {
            "accounts": {
                account: {
                    "tables": {table: numbers.fields() for table, numbers in report.tables.items()},
                    **({"notes": list(report.notes)} if report.notes else {}),
                }
                for account, report in self.accounts.items()
            }
        }


def _show_nothing() -> None:
    """Show nothing: the command has said all on its way."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended: problems (none when it is done), what ``--json`` adds, and how a terminal shows it.

    ``tells_problems`` says that ``show`` tells every problem with its mend, so that no line needs to repeat it.
    """

    problems: tuple[Problem, ...] = ()
    fields: Mapping[str, object] = field(default_factory=dict)
    show: Callable[[], None] = _show_nothing
    tells_problems: bool = False
