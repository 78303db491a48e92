"""Whether everything is here, and nothing that does not belong: C21, C24."""

from collections.abc import Iterator
from datetime import datetime

import narwhals as nw

from redisu_pipeline.common.settings import TaxMode
from redisu_pipeline.controls.evidence import Evidence
from redisu_pipeline.controls.figures import standing_of
from redisu_pipeline.controls.outcome import Outcome, count, nothing, work_list
from redisu_pipeline.controls.rows import ids_of
from redisu_pipeline.extract.figures_model import Figure

_TAX_REPORT = "tax_transactions"
_SNAPSHOTS = ("balances",)  # a snapshot is of a moment, it has no interval to be complete in (C4 says if one lacks)
_MARKED = ("transactions", "charges", "invoices", "refunds", "disputes", "payouts", "checkout_sessions")
"""Frames whose rows tell whether they are live."""


def tables(evidence: Evidence) -> Iterator[Outcome]:
    """C21: every table is complete up to the month's end."""
    until = evidence.inputs.period.bounds(evidence.inputs.account.timezone)[1] + evidence.inputs.lag
    known = evidence.inputs.complete_until
    wanted = [table for table in sorted(known) if table not in (_TAX_REPORT, *_SNAPSHOTS)]
    late = [f"{table} ({_when(known[table])})" for table in wanted if not _reaches(known[table], until)]
    detail = f"up to {_when(until)}" if not late else f"needed up to {_when(until)}; sync, then close again:"
    yield count(len(wanted) - len(late), len(wanted), scope="tables", detail=detail, wrong=late)


def _reaches(known: datetime | None, until: datetime) -> bool:
    return known is not None and known >= until


def _when(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment is not None else "never synced"


def tax_report(evidence: Evidence) -> Iterator[Outcome]:
    """C21: the tax report reaches the month's end, where Stripe computes the tax and the key may run it."""
    inputs = evidence.inputs
    scope = "tax report"
    if inputs.account.tax is not TaxMode.AUTOMATIC:
        yield nothing("the account's tax rates are its own", scope=scope)
        return
    if inputs.tax_report_note:
        yield work_list(f"report unavailable: {inputs.tax_report_note}", scope=scope)
        return
    until = inputs.period.bounds(inputs.account.timezone)[1]
    reached = inputs.complete_until.get(_TAX_REPORT)
    late = [] if _reaches(reached, until) else [f"it reaches to {_when(reached)}; needed up to {_when(until)}"]
    unfinished = sorted({f"{tax.country} {tax.state}".strip() for tax in inputs.taxes if not tax.complete})
    detail = f"up to {_when(reached)}"
    yield count(1 - len(late), 1, scope=scope, detail=detail, wrong=[*late, *(f"{one} open" for one in unfinished)])


def balance_reports(evidence: Evidence) -> Iterator[Outcome]:
    """C21: Stripe's balance reports reach the month's end."""
    for figure in (Figure.BALANCE, Figure.ACTIVITY):
        found = standing_of(evidence, figure, scope=figure.value)
        if isinstance(found, Outcome):
            yield found
            continue
        until = evidence.inputs.period.bounds(evidence.inputs.account.timezone)[1]
        reached = found.data_available_end
        late = [] if _reaches(reached, until) else [f"needed up to {_when(until)}"]
        detail = f"available up to {_when(reached)}"
        yield count(1 - len(late), 1, scope=figure.value, detail=detail, wrong=late)


def livemode(evidence: Evidence) -> Iterator[Outcome]:
    """C24: every row is of the mode of the account's key; without a key, of one mode."""
    found: dict[bool, list[str]] = {True: [], False: []}
    rows = {True: 0, False: 0}
    for name in _MARKED:
        frame = evidence.books[name]
        for mode, number in frame.group_by("livemode").agg(nw.len().alias("n")).collect().rows():
            rows[bool(mode)] += int(number)
    expected = evidence.inputs.key_livemode
    if expected is None:
        expected = rows[True] >= rows[False]
    if rows[not expected]:
        for name in _MARKED:
            strange = evidence.books[name].filter(nw.col("livemode") != expected)
            found[not expected] += [f"{name} {id}" for id in ids_of(strange)]
    word = "live" if expected else "sandbox"
    total = rows[True] + rows[False]
    yield count(total, rows[expected], scope="mode", detail=f"{word} rows;", wrong=found[not expected])


def clocks(evidence: Evidence) -> Iterator[Outcome]:
    """C24: nothing was made under a test clock."""
    strange = ids_of(evidence.books["invoices"].filter(~nw.col("test_clock").is_null()))
    yield count(len(strange), 0, scope="test clocks", wrong=strange)


def one_subsidiary(evidence: Evidence) -> Iterator[Outcome]:
    """C24: an account posts to its own subsidiary only."""
    others = {line.subsidiary for line in evidence.inputs.lines} - {evidence.inputs.account.subsidiary}
    yield count(len(others), 0, scope="subsidiary", wrong=sorted(others))
