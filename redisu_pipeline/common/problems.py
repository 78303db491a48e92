"""What went wrong, in words a person can act on, and the two ways a command may refuse.

Every layer reports with these; only the command line turns them into exit codes and lines on a terminal.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One fault: a stable ``code`` for machines, ``where`` it is, what it is, and how to mend it.

    ``where`` is a TOML path, a table, a file or an id; no part may hold a secret or personal data.
    """

    code: str
    where: str
    message: str
    mend: str

    def __str__(self) -> str:
        """Return the one line a person reads: what, where, how to mend."""
        line = f"{self.where}: {self.message}" if self.where else self.message
        if self.mend:
            line = f"{line}; {self.mend}"
        # A message may quote another program's text; one problem stays one line.
        return " ".join(line.split())


class Refusal(Exception):
    """Work that was refused or failed for known reasons; never shown with a traceback."""

    exit_code = 1

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        """Keep ``problems`` (one or several, never none)."""
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        if not self.problems:
            raise ValueError("a refusal needs at least one problem")
        super().__init__(self.problems)  # as args, so that it survives pickling between processes

    def __str__(self) -> str:
        """Return every problem, one a line."""
        return "\n".join(str(problem) for problem in self.problems)


class ConfigurationError(Refusal):
    """Usage or configuration is wrong: nothing was started (exit 2)."""

    exit_code = 2


class Failed(Refusal):
    """Something failed or a control broke while working (exit 1)."""
