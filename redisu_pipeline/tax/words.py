"""Findings in words: one line for each check, with examples; the asset checks have every id."""

from collections.abc import Iterable

from redisu_pipeline.tax.model import Finding

SHOWN = 3


def notes_of(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return one line for each check that found something, in the order of the checks."""
    by_check: dict[str, list[Finding]] = {}
    for finding in findings:
        by_check.setdefault(finding.check, []).append(finding)
    return tuple(_line(check, found) for check, found in by_check.items())


def _line(check: str, found: list[Finding]) -> str:
    months = sorted({finding.month for finding in found if finding.month})
    when = f" in {', '.join(months)}" if months else ""
    ids = [finding.ids[0] for finding in found if finding.ids]
    more = f" … and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    named = f" ({', '.join(ids[:SHOWN])}{more})" if ids else ""
    count = f"{len(found)} × " if len(found) > 1 else ""
    first = "for example " if len(found) > 1 else ""
    return f"{check}: {count}{first}{found[0].message}{when}{named}"
