"""Problems of the pipeline as Dagster's failures: what asking again may mend is retried, the rest is not."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import dagster as dg

from redisu_pipeline.common.problems import Problem, Refusal

# Codes that time may mend. Whatever is not named here would fail again in the same way.
TRANSIENT = frozenset(
    {
        "account_busy",
        "database_locked",
        "lake_unreachable",
        "lease_lost",
        "lost_race",
        "stripe_unreachable",
    }
)
# The rows have landed as Stripe sent them, and the check `known_values` fails until someone decides what they mean.
LANDED = frozenset({"unknown_value", "unknown_currency"})

RETRIES = dg.RetryPolicy(max_retries=3, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)


def failing(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems for which a table is not complete."""
    return tuple(problem for problem in problems if problem.code not in LANDED)


def failure(problems: Sequence[Problem]) -> dg.Failure:
    """Return the failure that says each problem in one line; retried only when every one may pass by itself."""
    return dg.Failure(
        description="\n".join(str(problem) for problem in problems),
        metadata={"problems": dg.MetadataValue.md("\n".join(f"- {problem}" for problem in problems))},
        allow_retries=all(problem.code in TRANSIENT for problem in problems),
    )


@contextmanager
def as_failures(where: str) -> Iterator[None]:
    """Turn what the block raises into a failure of the step; a fault of ours is not tried again."""
    try:
        yield
    except dg.Failure:
        raise
    except Refusal as refusal:
        raise failure(refusal.problems) from None
    except Exception as error:
        message = f"a fault of this program: {type(error).__name__}"
        raise failure([Problem("internal_error", where, message, "report it with the run's log")]) from error
