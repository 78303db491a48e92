"""`redisu demo`, whole, as a person runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

COMMAND = (sys.executable, "-c", "from redisu_pipeline.cli import main; main()")


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 7])
def test_the_demo_sells_reads_notices_changes_and_leaves_a_lake(tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "demo"
    command = [*COMMAND, "demo", "--months", "2", "--seed", str(seed), "--dir", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
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


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    done = subprocess.run([*COMMAND, "demo", "--dir", str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert (tmp_path / "letters.txt").read_text() == "mine"
