"""Stripe's own figures as a side of a control: compared where they could be read, said in words where not.

A report that this key may not run is a work list item and not a failure; one that is late stops the month, because it
will come (contract §3).
"""

from decimal import Decimal

from redisu_pipeline.controls.evidence import Evidence
from redisu_pipeline.controls.model import Status, Unit
from redisu_pipeline.controls.outcome import ZERO, Outcome
from redisu_pipeline.extract.figures_model import NOBODY_ASKED, Figure, Figures, State

ONE = Decimal(1)


def standing_of(evidence: Evidence, figure: Figure, *, scope: str) -> Figures | Outcome:
    """Return Stripe's figures where ``figure`` can be compared, else the row that says why it cannot."""
    figures = evidence.inputs.figures
    standing = figures.standing(figure) if figures is not None else NOBODY_ASKED
    if figures is not None and standing.state is State.AVAILABLE:
        return figures
    late = standing.state is State.LATE
    words = "report late" if late else "report unavailable"
    detail = f"{words}: {standing.reason}" if standing.reason else words
    status = Status.FAIL if late else Status.LIST
    # None of one report that must come: a control that fails shows a difference.
    due = ONE if late else ZERO
    return Outcome(left=ZERO, right=due, unit=Unit.COUNT, scope=scope, detail=detail, status=status)
