"""What a check is, and how it is asked: pure data. Evidence and mends hold no secret and no personal data."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile

from redisu_pipeline.common.problems import Problem, Refusal
from redisu_pipeline.common.secrets import scrub


class State(StrEnum):
    """How a check ended; only `fail` makes the command fail."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True)
class Finding:
    """What was seen (``evidence``) and, unless all is well, how to mend it."""

    state: State
    evidence: str
    mend: str = ""


@dataclass(frozen=True)
class Check:
    """A finding with its stable id, such as `stripe.us.read.invoices`."""

    id: str
    finding: Finding

    @property
    def state(self) -> State:
        return self.finding.state

    def fields(self) -> dict[str, str]:
        """Return the public form of ``--json``."""
        return {"id": self.id, "state": self.state.value, "evidence": self.finding.evidence, "mend": self.finding.mend}

    def problem(self) -> Problem:
        """Return the same as a problem."""
        return Problem("check_failed", self.id, self.finding.evidence, self.finding.mend)


@dataclass(frozen=True)
class Question:
    """A check that is still to be made. ``ask`` may raise a Refusal: it becomes a failure."""

    id: str
    ask: Callable[[], Finding]

    def answer(self) -> Check:
        """Make the check; whatever goes wrong in it is this check's failure and no other's."""
        try:
            return Check(self.id, self.ask())
        except Refusal as refusal:
            return Check(self.id, refused(refusal))
        except Exception as error:  # noqa: BLE001  (nothing stops the other checks, not even a fault of ours)
            evidence = f"this check itself failed ({type(error).__name__})"
            return Check(self.id, fail(evidence, "report it with the output of redisu doctor --json"))


def ok(evidence: str) -> Finding:
    return Finding(State.OK, evidence)


def warn(evidence: str, mend: str) -> Finding:
    return Finding(State.WARN, evidence, mend)


def fail(evidence: str, mend: str) -> Finding:
    return Finding(State.FAIL, evidence, mend)


def skip(evidence: str) -> Finding:
    return Finding(State.SKIP, evidence)


def refused(refusal: Refusal) -> Finding:
    """Return the failure that a refusal is."""
    seen = "; ".join(f"{one.where}: {one.message}" if one.where else one.message for one in refusal.problems)
    mends = dict.fromkeys(one.mend for one in refusal.problems if one.mend)
    return fail(scrub(" ".join(seen.split())), "; ".join(mends))


@dataclass(frozen=True)
class Row:
    """A line of the terminal's table: one check, or several of one kind that found the same."""

    label: str
    finding: Finding


def folded(checks: Iterable[Check]) -> list[Row]:
    """Return the checks as rows; those of one kind (ids alike but for the last word) that found the same are one.

    A row stands where its first check stood. What was skipped for one reason is one row for each account.
    """
    groups: dict[tuple[str, Finding], list[Check]] = {}
    for check in checks:
        words = check.id.split(".")
        kind = words[:2] if check.state is State.SKIP else words[:-1]
        groups.setdefault((".".join(kind), check.finding), []).append(check)
    return [Row(_label([check.id for check in group]), finding) for (_, finding), group in groups.items()]


def _label(ids: Sequence[str]) -> str:
    if len(ids) == 1:
        return ids[0]
    shared = takewhile(lambda words: len(set(words)) == 1, zip(*(id.split(".") for id in ids), strict=False))
    return f"{'.'.join(words[0] for words in shared)}.* ({len(ids)})"
