"""The five files of a month: complete, and the same bytes for the same month, in another process too."""

import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
from closed_months import closed_month, draft_month, with_line

from redisu_pipeline.close.line_rows import lines_of
from redisu_pipeline.export.files import render
from redisu_pipeline.lake.netsuite_tables import JOURNAL_LINES

HERE = Path(__file__).parent
NAMES = {
    "journal_entries.csv",
    "journal_entries.json",
    "journal_lines.parquet",
    "journal_entries.xlsx",
    "close_report.html",
}


def test_the_five_exports_of_the_contract_are_rendered() -> None:
    assert set(render(closed_month())) == NAMES


def test_the_same_month_gives_the_same_bytes_in_a_process_with_other_hashes_and_another_zone() -> None:
    code = (
        "import hashlib, json, sys; sys.path.insert(0, sys.argv[1])\n"
        "from closed_months import closed_month\n"
        "from redisu_pipeline.export.files import render\n"
        "print(json.dumps({n: hashlib.sha256(b).hexdigest() for n, b in render(closed_month()).items()}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(HERE)],
        env={"PYTHONHASHSEED": "7", "TZ": "Asia/Jerusalem", "PYTHONPATH": str(HERE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    here = {name: hashlib.sha256(content).hexdigest() for name, content in render(closed_month()).items()}
    assert json.loads(done.stdout) == here


def test_a_changed_line_changes_every_file_of_journals() -> None:
    before, after = render(closed_month()), render(with_line(closed_month(), 0, memo="another"))
    changed = {name for name in NAMES if before[name] != after[name]}
    assert changed == NAMES - {"close_report.html"}, "the report shows no memo of an ordinary line"


def test_the_parquet_holds_the_lines_and_says_whether_they_are_a_draft() -> None:
    for month, status in ((closed_month(), b"final"), (draft_month(), b"DRAFT")):
        table = pq.read_table(io.BytesIO(render(month)["journal_lines.parquet"]))
        assert table.schema.equals(JOURNAL_LINES.schema)
        assert table.schema.metadata[b"redisu.status"] == status
        assert lines_of(table) == list(month.lines)


def test_every_file_of_an_open_month_says_draft_and_none_of_a_final_one() -> None:
    def says(content: bytes) -> bool:
        return b"DRAFT" in content

    draft, final = render(draft_month()), render(closed_month())
    plain = NAMES - {"journal_entries.xlsx"}  # packed; test_export_workbook opens it
    assert {name for name in plain if says(draft[name])} == plain
    assert {name for name in plain if says(final[name])} == set()
