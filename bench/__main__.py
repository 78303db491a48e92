"""``python -m bench``: every benchmark, as a table and as ``bench/results.json``."""

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import extraction
from bench.model import Row, document

SECTIONS = {"extraction": extraction.run}
RESULTS = Path(__file__).with_name("results.json")


def main(wanted: list[str]) -> int:
    """Run the named sections (all when none is named); exit 1 when a target was missed."""
    console = Console()
    rows: list[Row] = []
    for name in wanted or SECTIONS:
        for row in SECTIONS[name]():
            rows.append(row)
            console.print(f"{name}: {row.name}: {row.measured}", soft_wrap=True, highlight=False)
    results = document(rows)
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    grid = Table(title=f"{results['machine']}, {results['date']}", title_justify="left", header_style="bold")
    for column in ("benchmark", "measured", "target", ""):
        grid.add_column(column)
    for row in rows:
        grid.add_row(row.name, row.measured, row.target, {True: "ok", False: "missed", None: ""}[row.ok])
    console.print(grid)
    return 1 if any(row.ok is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
