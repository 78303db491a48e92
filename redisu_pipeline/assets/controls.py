"""The controls as asset checks, one for each id: what the controller signs, with both sides of every equation.

They read what the close has written and decide nothing. They are no lock either: the code refuses an open month itself.
"""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from redisu_pipeline.assets.failures import as_failures
from redisu_pipeline.assets.journal_metadata import equations
from redisu_pipeline.assets.journals import CONTROLS_KEY, names_of
from redisu_pipeline.close.stored import Stored
from redisu_pipeline.common.periods import Month
from redisu_pipeline.controls.model import ControlRow, Status
from redisu_pipeline.controls.run import CONTROLS
from redisu_pipeline.lake.netsuite_tables import CONTROLS as TABLE
from redisu_pipeline.resources.pipeline import PipelineResource

IDS = tuple(dict.fromkeys(control.id for control in CONTROLS))
SHOWN = 200
"""Rows of a check over all months: those that fail come first, then the newest months."""


def control_checks() -> dg.AssetChecksDefinition:
    """Return a check for every control; of the run's month, or of every month that was ever closed."""

    @dg.multi_asset_check(
        name="control_checks",
        can_subset=True,
        specs=[dg.AssetCheckSpec(id_, asset=CONTROLS_KEY, description=_equations_of(id_)) for id_ in IDS],
    )
    def checks(context: dg.AssetCheckExecutionContext, pipeline: PipelineResource) -> Iterator[dg.AssetCheckResult]:
        with as_failures("controls"):
            rows = _rows(context, pipeline)
        for key in sorted(context.selected_asset_check_keys, key=lambda key: IDS.index(key.name)):
            yield result(key.name, [row for row in rows if row.control == key.name])

    return checks


def _equations_of(id_: str) -> str:
    """Return the equations of an id in words, and what a failure of each does."""
    said = [
        f"- {control.description}. A failure "
        + ("keeps the month open: nothing is exported." if control.blocking else "warns.")
        for control in CONTROLS
        if control.id == id_
    ]
    return "\n".join(said)


def _rows(context: dg.AssetCheckExecutionContext, pipeline: PipelineResource) -> list[ControlRow]:
    """Return the rows of the run's month; newest months first when the checks run on their own."""
    storage, found = pipeline.storage(), list[ControlRow]()
    for account, months in _wanted(context, pipeline).items():
        stored = Stored(storage, account)
        for month in sorted(months or stored.months(TABLE), reverse=True):
            found += stored.controls(month)
    return found


def _wanted(context: dg.AssetCheckExecutionContext, pipeline: PipelineResource) -> Mapping[str, Sequence[Month] | None]:
    if context.has_partition_key:
        account, month = names_of(context.partition_key)
        return {account: [Month.parse(month)]}
    return dict.fromkeys(pipeline.settings().accounts)


def result(id_: str, rows: Sequence[ControlRow]) -> dg.AssetCheckResult:
    """Return how a control ended: a failure that stops the month is an ERROR, one that does not is a WARN."""
    broken = [row for row in rows if row.status in (Status.FAIL, Status.WARN)]
    stops = any(row.stops for row in rows)
    ordered = sorted(rows, key=lambda row: (row not in broken, not row.stops))
    return dg.AssetCheckResult(
        asset_key=CONTROLS_KEY,
        check_name=id_,
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR if stops or not broken else dg.AssetCheckSeverity.WARN,
        description=_said(rows, broken),
        metadata={
            "equations": dg.MetadataValue.md(_months(ordered[:SHOWN])),
            "rows": ", ".join(f"{sum(row.status is status for row in rows)} {status}" for status in Status),
        },
    )


def _said(rows: Sequence[ControlRow], broken: Sequence[ControlRow]) -> str:
    if not rows:
        return "no month was closed yet"
    if not broken:
        listed = sum(row.status is Status.LIST for row in rows)
        return f"rows that hold: {len(rows) - listed}" + (f"; lists for people: {listed}" if listed else "")
    words = [_one(row) for row in broken[:3]]
    return " · ".join(words) + (f" · and {len(broken) - 3} more" if len(broken) > 3 else "")


def _one(row: ControlRow) -> str:
    words = f"{row.account} {row.period} {row.currency or ''} {row.scope}: {row.detail or row.description}"
    return " ".join(words.split()).replace(" :", ":")


def _months(rows: Sequence[ControlRow]) -> str:
    """Return the equations, a table for each account and month."""
    months: dict[str, list[ControlRow]] = {}
    for row in rows:
        months.setdefault(f"{row.account} {row.period}", []).append(row)
    return "\n\n".join(f"**{name}**\n\n{equations(of)}" for name, of in months.items()) or "no month was closed yet"
