"""What schedules and sensors have in common: each account has a run to ask for, or a reason why there is none."""

from collections.abc import Iterable, Iterator
from logging import Logger

import dagster as dg


def requests_or_reasons(log: Logger, found: Iterable[dg.RunRequest | str]) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Yield the requests among ``found``, and the reasons in the one place that Dagster has for them.

    That is the tick where nothing runs, and else the log.
    """
    reasons, asked = list[str](), False
    for one in found:
        if isinstance(one, str):
            reasons.append(one)
        else:
            asked = True
            yield one
    if not asked:
        yield dg.SkipReason("; ".join(reasons))
    elif reasons:
        log.info("; ".join(reasons))
