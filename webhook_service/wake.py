"""Bells: whoever makes work due rings, and idle workers need not ask the database all the time."""

import threading
from dataclasses import dataclass, field


@dataclass
class Bell:
    """Rings are counted, so that one between a worker's last look and its wait is not missed."""

    _rung: threading.Condition = field(default_factory=threading.Condition, repr=False)
    _count: int = 0

    def ring(self) -> None:
        """Wake one waiting worker: one piece of work is due."""
        with self._rung:
            self._count += 1
            self._rung.notify()

    def ring_all(self) -> None:
        """Wake every waiting worker."""
        with self._rung:
            self._count += 1
            self._rung.notify_all()

    def count(self) -> int:
        """The number of rings so far: read it before looking for work."""
        return self._count

    def wait(self, seen: int, seconds: float) -> None:
        """Wait until it rings once more than ``seen``, at most ``seconds``."""
        with self._rung:
            if self._count == seen:
                self._rung.wait(seconds)


@dataclass
class Wake:
    """The bells of the two kinds of workers."""

    refresh: Bell = field(default_factory=Bell)
    unlock: Bell = field(default_factory=Bell)
