"""A month of many balance transactions, closed: ``python -m bench closing``.

The real command runs over a lake that is generated (see big_lake.py), on a disk of this machine.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.big_lake import MONTH, make_lake
from bench.measured import Measured, measured
from bench.model import Row


def run() -> Iterator[Row]:
    """Close a month of 1M balance transactions three times over, and one of 5M once."""
    with tempfile.TemporaryDirectory() as folder:
        one = [_closed(Path(folder, f"one{turn}"), 1_000_000) for turn in range(3)]
        five = _closed(Path(folder, "five"), 5_000_000)
    seconds, memory = median(each.seconds for each in one), max(each.mebibytes for each in one)
    yield Row("close of 1M balance transactions", f"{seconds:.1f} s", "< 10 s", seconds < 10)
    yield Row("close of 1M: peak memory", f"{memory:,.0f} MiB", "< 3 GB", memory < 3 * 1000**3 / 2**20)
    ratio = five.seconds / seconds
    yield Row("close of 5M against 1M", f"{ratio:.2f} × ({five.seconds:.1f} s)", "≤ 5.5 ×", ratio <= 5.5)
    yield Row("close of 5M: peak memory", f"{five.mebibytes:,.0f} MiB", "", None)


def _closed(folder: Path, rows: int) -> Measured:
    make_lake(folder, rows)
    command = [str(Path(sys.executable).with_name("redisu")), "close", "--account", "us", "--month", MONTH]
    command += ["--json", "--config", str(folder / "redisu.toml")]
    closed = measured(command, {"REDISU_NOW": "2026-11-04T08:00:00Z"})
    answer = json.loads(closed.output)
    if closed.status or answer["status"] != "final":
        raise RuntimeError(f"the month did not become final: {json.dumps(answer['problems'])[:2000]}")
    return closed
