"""What a benchmark returns, and the machine it ran on."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Row:
    """One measurement against its target; ``ok`` is None where there is only a figure."""

    name: str
    measured: str
    target: str
    ok: bool | None


def machine() -> str:
    """Return processor count, memory and versions: without them a figure says nothing."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {system}"


def document(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the measurements as ``bench/results.json`` holds them."""
    # The wall clock, not the project's: a result is dated by when it was measured.
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    return {"machine": machine(), "date": measured_at, "results": [asdict(row) for row in rows]}
