"""One line for one cause: tables are synced side by side, and what is wrong with the lake is met by all of them."""

from collections.abc import Iterable
from dataclasses import replace

from redisu_pipeline.common.problems import Problem

OF_THE_LAKE = frozenset(
    "disk_full file_too_large lake_access_refused lake_bucket_missing lake_not_writable lake_unreachable lake_unusable "
    "lease_lost".split()
)
OF_AN_ACCOUNT = frozenset({"stripe_key", "stripe_unreachable", "stripe_address"})


def condensed(problems: Iterable[Problem]) -> list[Problem]:
    """Return ``problems`` without repetitions; of those with one cause the first, saying how many more there were."""
    groups: dict[object, list[Problem]] = {}
    for problem in dict.fromkeys(problems):
        groups.setdefault(_cause(problem), []).append(problem)
    return [
        replace(group[0], where=f"{group[0].where} and {len(group) - 1} more") if len(group) > 1 else group[0]
        for group in groups.values()
    ]


def _cause(problem: Problem) -> object:
    if problem.code in OF_THE_LAKE:
        return problem.code, problem.message
    if problem.code in OF_AN_ACCOUNT:
        return problem.code, problem.where.partition("/")[0]
    return problem
