"""A command run as a user runs it: what it printed, its wall seconds, and the most memory that it held."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_BETWEEN = """
import json, os, subprocess, sys, time
os.sync()
begun = time.monotonic()
child = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(child.pid, 0)
seconds = time.monotonic() - begun
with open(sys.argv[1], "w") as file:
    json.dump([seconds, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)], file)
"""
"""Linux hands the peak of a process on to the program that its child becomes: between a large bench and what it
measures stands a small one. What the bench has written itself reaches the disk before the clock starts."""

POLARS_OWN = "_RJEM_MALLOC_CONF"
"""Polars sets it where it is imported, as it is here: who runs the command has no such thing."""


@dataclass(frozen=True)
class Measured:
    """One run: its standard output, exit code, wall-clock seconds and peak memory in MiB."""

    output: bytes
    status: int
    seconds: float
    mebibytes: float


def measured(command: Sequence[str], environ: Mapping[str, str]) -> Measured:
    """Run ``command`` with ``environ`` added to this process's environment."""
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder, "figures.json")
        between = [sys.executable, "-c", _BETWEEN, str(figures), *command]
        own = {name: value for name, value in os.environ.items() if name != POLARS_OWN}
        run = subprocess.run(between, env={**own, **environ}, stdout=subprocess.PIPE, check=True)
        seconds, mebibytes, status = json.loads(figures.read_text())
    return Measured(run.stdout, status, seconds, mebibytes)
