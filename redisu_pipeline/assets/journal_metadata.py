"""What is recorded of a closed month: status, trial balance, controls, files. Never a name: Dagster keeps it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import groupby

import dagster as dg

from redisu_pipeline.assets.catalogue import type_name
from redisu_pipeline.close.amounts import grouped, grouped_side
from redisu_pipeline.close.report import CloseReport
from redisu_pipeline.controls.model import ControlRow, Status
from redisu_pipeline.export.month import TrialBalanceRow
from redisu_pipeline.lake.catalog import CatalogTable
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.storage import Storage

CONTENT = "content"
"""The metadata by which `make ui` knows a state that it has recorded before."""


def column_schema(table: CatalogTable) -> dg.TableSchema:
    """Return a table's columns with their types and meaning, as the UI shows them."""
    return dg.TableSchema(
        [
            dg.TableColumn(
                field.name,
                type_name(field.type),
                table.docs[field.name],
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in table.schema
        ]
    )


def of_table(storage: Storage, table: CatalogTable, report: CloseReport) -> dict[str, dg.MetadataValue]:
    """Describe one month of one table from its manifest; sums are in minor units."""
    manifest, _ = read_manifest(storage, table.name, report.account, table.area)
    entry = next((one for one in manifest.files if one.month == report.month), None) if manifest else None
    sums = {name: dict(of) for name, of in entry.sums.items()} if entry else {}
    rows = [(name, currency, str(amount)) for name, of in sums.items() for currency, amount in of.items()]
    return {
        **_status(report),
        "dagster/row_count": dg.MetadataValue.int(manifest.rows if manifest else 0),
        "dagster/partition_row_count": dg.MetadataValue.int(entry.rows if entry else 0),
        "dagster/uri": dg.MetadataValue.text(storage.uri(entry.path if entry else table.folder)),
        "dagster/column_schema": dg.MetadataValue.table_schema(column_schema(table)),
        CONTENT: dg.MetadataValue.text(f"{entry.sha256[:16] if entry else 'nothing'} {report.status}"),
        **({"sums_minor_units": dg.MetadataValue.md(_table(("column", "currency", "sum"), rows, 1))} if rows else {}),
    }


def of_controls(report: CloseReport) -> dict[str, dg.MetadataValue]:
    """Count the controls by how they ended, and show both sides of each."""
    counts = {str(status): sum(row.status is status for row in report.controls) for status in Status}
    counted = {name: dg.MetadataValue.int(count) for name, count in counts.items()}
    return {**counted, "equations": dg.MetadataValue.md(equations(report.controls))}


def of_exports(report: CloseReport) -> dict[str, dg.MetadataValue]:
    """Say where each file is."""
    folder = next(iter(report.exports.values()), "").rpartition("/")[0]
    files = {name.replace(".", "_"): dg.MetadataValue.text(uri) for name, uri in report.exports.items()}
    return {**_status(report), "dagster/uri": dg.MetadataValue.text(folder), **files}


def of_close_report(report: CloseReport) -> dict[str, dg.MetadataValue]:
    """Show what the controller signs: the trial balance, the controls, what is to be known, and the report itself."""
    notes = [*report.notes, *(str(problem) for problem in report.problems)]
    return {
        **of_exports(report),
        "dagster/uri": dg.MetadataValue.text(report.exports.get("close_report.html", "")),
        "trial_balance": dg.MetadataValue.md(trial_balance(report.trial_balance)),
        "controls": dg.MetadataValue.md(equations(report.controls)),
        **({"notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in notes))} if notes else {}),
    }


def trial_balance(rows: Sequence[TrialBalanceRow]) -> str:
    """Return the trial balance as a Markdown table with the sums of each currency, in major units."""
    head = ("currency", "account", "name", "opening", "debit", "credit", "closing")
    cells = []
    for currency, group in groupby(sorted(rows, key=_place), key=lambda row: row.currency):
        of_currency = list(group)
        for row in of_currency:
            amounts = (grouped(amount, currency) for amount in _sums(row))
            cells.append((currency, row.gl_account, row.gl_account_name, *amounts))
        totals = (sum(column, Decimal(0)) for column in zip(*map(_sums, of_currency), strict=True))
        cells.append((currency, "", "**total**", *(f"**{grouped(total, currency)}**" for total in totals)))
    return _table(head, cells, 4) if cells else "nothing was posted"


def _place(row: TrialBalanceRow) -> tuple[str, str]:
    return row.currency, row.gl_account


def _sums(row: TrialBalanceRow) -> tuple[Decimal, ...]:
    return (row.opening, row.debit, row.credit, row.closing)


def equations(rows: Sequence[ControlRow]) -> str:
    """Return controls as a Markdown table with both sides of each equation; what does not hold comes first."""
    head = ("control", "status", "currency", "equation", "scope", "left", "right", "difference", "tolerance", "detail")
    cells = [
        (
            row.control,
            str(row.status),
            row.currency or "",
            row.description,
            row.scope,
            *_sides(row),
            row.detail,
        )
        for row in sorted(rows, key=lambda row: (row.status is not Status.FAIL, row.status is not Status.WARN))
    ]
    # The detail stands last and is text: numbers are aligned before it.
    return _table(head, cells, 4, texts_after=1) if cells else "no controls"


def _sides(row: ControlRow) -> list[str]:
    sides = (row.left_amount, row.right_amount, row.difference, row.tolerance)
    return [grouped_side(row, side) for side in sides]


def _status(report: CloseReport) -> Mapping[str, dg.MetadataValue]:
    return {"status": dg.MetadataValue.text(report.status), "version": dg.MetadataValue.int(report.version)}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: int, texts_after: int = 0) -> str:
    """Return a Markdown table; its last ``numbers`` columns before ``texts_after`` more are aligned as numbers."""
    texts = len(head) - numbers - texts_after
    rule = ["---"] * texts + ["---:"] * numbers + ["---"] * texts_after
    lines = (head, rule, *rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', '¦') for cell in cells)} |" for cells in lines)
