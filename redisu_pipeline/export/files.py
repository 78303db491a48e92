"""The five files of a closed month (contract §3, Exports): the same month gives the same bytes."""

import io

import pyarrow.parquet as pq

from redisu_pipeline.close.line_rows import lines_table
from redisu_pipeline.export.journals import DRAFT
from redisu_pipeline.export.month import ClosedMonth
from redisu_pipeline.export.netsuite_csv import netsuite_csv
from redisu_pipeline.export.report.render import close_report
from redisu_pipeline.export.rest_bodies import rest_bodies
from redisu_pipeline.export.workbook import workbook


def render(month: ClosedMonth) -> dict[str, bytes]:
    """Return name → content of the exports; each of them says DRAFT while the month is open."""
    return {
        "journal_entries.csv": netsuite_csv(month),
        "journal_entries.json": rest_bodies(month),
        "journal_lines.parquet": _parquet(month),
        "journal_entries.xlsx": workbook(month),
        "close_report.html": close_report(month),
    }


def _parquet(month: ClosedMonth) -> bytes:
    """Return the month's `journal_lines`; the status stands in the file's metadata, the columns are the lake's."""
    status = DRAFT if month.is_draft else month.status
    table = lines_table(month.lines).replace_schema_metadata({"redisu.status": status})
    written = io.BytesIO()
    pq.write_table(table, written, compression="zstd")
    return written.getvalue()
