"""`redisu demo`, whole, as a person runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

COMMAND = (sys.executable, "-c", "from redisu_pipeline.cli import main; main()")


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 7])
def test_the_demo_sells_reads_notices_changes_and_closes_the_months(tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "demo"
    command = [*COMMAND, "demo", "--months", "2", "--seed", str(seed), "--dir", str(folder), "--json"]
    now = {"REDISU_NOW": "2026-11-17T09:00:00Z"}  # on the first days of a month its last one still waits for reports
    environ = {**os.environ, **now}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] is True
    assert {sale["account"] for sale in told["sales"]} == {"us", "il"}
    first, second = told["syncs"]
    assert first["accounts"]["us"]["tables"]["charges"]["new"] > 0
    assert second["accounts"]["us"]["tables"]["charges"]["changed"] > 0
    assert second["accounts"]["us"]["tables"]["balance_transactions"]["new"] > 0
    sold = pd.read_parquet(folder / "lake" / "stripe" / "checkout_sessions")
    # what was sold through our own pages is in the lake, paid
    ours = sold[sold["metadata_learner"].isin([sale["learner"] for sale in told["sales"]])]
    assert set(ours["payment_status"]) == {"paid"}
    assert len(ours) == len(told["sales"])
    for account in ("us", "il"):
        months = [close for close in told["closes"] if close["account"] == account]
        assert [close["status"] for close in months] == ["locked", "final"]
        for close in months:
            assert [row for row in close["controls"] if row["status"] == "fail"] == []
            assert all(Path(uri).is_relative_to(folder / "lake" / "exports") for uri in close["exports"].values())
            assert all(Path(uri).stat().st_size > 0 for uri in close["exports"].values())
            assert close["trial_balance"]


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    done = subprocess.run([*COMMAND, "demo", "--dir", str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert (tmp_path / "letters.txt").read_text() == "mine"
