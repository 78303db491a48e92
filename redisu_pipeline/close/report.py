"""What a close reports: to the terminal, to ``--json`` and to Dagster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redisu_pipeline.close.amounts import plain, side
from redisu_pipeline.common.problems import Problem
from redisu_pipeline.controls.model import ControlRow
from redisu_pipeline.export.month import ClosedMonth, TrialBalanceRow


@dataclass(frozen=True)
class CloseReport:
    """One month after a close; ``problems`` say why it is not final, or could not be locked.

    ``exports`` are the uris of the files by name. ``changed`` tells whether anything in the lake became another.
    ``notes`` are what a person should know: late changes that were posted, months that were derived again.
    """

    account: str
    month: str
    status: str
    version: int
    controls: Sequence[ControlRow]
    trial_balance: Sequence[TrialBalanceRow]
    exports: Mapping[str, str]
    changed: bool
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    page: ClosedMonth | None = None
    """What the exports show; None for a locked month, whose files are not made again."""

    def fields(self) -> dict[str, object]:
        """Return what ``--json`` adds: amounts as decimal text in major units."""
        return {
            "account": self.account,
            "month": self.month,
            "status": self.status,
            "version": self.version,
            "controls": [_control(row) for row in self.controls],
            "trial_balance": [_balance(row) for row in self.trial_balance],
            "exports": dict(self.exports),
            "changed": self.changed,
            **({"notes": list(self.notes)} if self.notes else {}),
        }


def _control(row: ControlRow) -> dict[str, object]:
    return {
        "control": row.control,
        "currency": row.currency,
        "scope": row.scope,
        "description": row.description,
        "unit": str(row.unit),
        "left_amount": side(row, row.left_amount),
        "right_amount": side(row, row.right_amount),
        "difference": side(row, row.difference),
        "tolerance": side(row, row.tolerance),
        "blocking": row.blocking,
        "status": str(row.status),
        "detail": row.detail,
    }


def _balance(row: TrialBalanceRow) -> dict[str, object]:
    return {
        "currency": row.currency,
        "gl_role": row.gl_role,
        "gl_account": row.gl_account,
        "gl_account_name": row.gl_account_name,
        "opening": plain(row.opening, row.currency),
        "debit": plain(row.debit, row.currency),
        "credit": plain(row.credit, row.currency),
        "closing": plain(row.closing, row.currency),
    }
