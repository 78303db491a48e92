"""How a command ended, and what a refusal must look like."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

REDISU = [sys.executable, "-c", "from redisu_pipeline.cli import main; main()"]


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @classmethod
    def of(cls, process: subprocess.Popen[str], timeout: float = 300) -> Answer:
        stdout, stderr = process.communicate(timeout=timeout)
        return cls(process.returncode, stdout, stderr)

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def codes(self) -> list[str]:
        return [problem["code"] for problem in self.json["problems"]]

    @property
    def lines(self) -> list[str]:
        return self.stderr.splitlines()


def is_one_line(answer: Answer, code: int, problem: str) -> Any:
    """Check exit code and shape; return the one problem."""
    assert (answer.code, answer.codes) == (code, [problem]), answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr
    assert len(answer.lines) == 1, answer.stderr
    said = answer.json["problems"][0]
    assert said["where"]
    assert said["mend"]
    for secret in ("rk_live_sandbox_us", "rk_live_wrong"):
        assert secret not in answer.stdout + answer.stderr
    assert answer.json["ok"] is False
    return said
