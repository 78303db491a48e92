"""Findings in words: one line for each check, with examples; the asset checks have every id."""

from collections.abc import Iterable, Mapping

from redisu_pipeline.tax.merging import Summary
from redisu_pipeline.tax.model import Finding

SHOWN = 3


def notes_of(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return one line for each check that found something, in the order of the checks."""
    by_check: dict[str, list[Finding]] = {}
    for finding in findings:
        by_check.setdefault(finding.check, []).append(finding)
    return lines_of({check: Summary.of(found) for check, found in by_check.items()})


def lines_of(found: Mapping[str, Summary]) -> tuple[str, ...]:
    """Return one line for each check (by name) that found something."""
    return tuple(_line(check, summary) for check, summary in found.items() if summary.count)


def _line(check: str, found: Summary) -> str:
    when = f" in {', '.join(found.months)}" if found.months else ""
    ids = [finding.ids[0] for finding in found.first[:SHOWN] if finding.ids]
    more = f" … and {found.count - SHOWN} more" if found.count > SHOWN else ""
    named = f" ({', '.join(ids)}{more})" if ids else ""
    count = f"{found.count} × " if found.count > 1 else ""
    first = "for example " if found.count > 1 else ""
    return f"{check}: {count}{first}{found.first[0].message}{when}{named}"
