"""What earlier closes left in the lake: journal lines, their sources, controls and the state of each month."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from redisu_pipeline.close.line_rows import lines_of
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.controls.model import ControlRow, Status, Unit
from redisu_pipeline.journals.model import JournalLine
from redisu_pipeline.lake import history
from redisu_pipeline.lake.catalog import CatalogTable
from redisu_pipeline.lake.foreign import sha256_of
from redisu_pipeline.lake.manifest import FileEntry, read_manifest
from redisu_pipeline.lake.netsuite_tables import CONTROLS, JOURNAL_LINES, JOURNAL_SOURCES, PERIODS
from redisu_pipeline.lake.storage import Storage

OPEN, FINAL, LOCKED = "open", "final", "locked"


@dataclass(frozen=True)
class PeriodState:
    """One month's row of `netsuite/periods`. ``content_hash`` is over the month's lines and sources."""

    period: Month
    status: str
    version: int
    content_hash: str
    final_at: datetime | None = None
    locked_at: datetime | None = None
    locked_by: str | None = None

    def row(self, account: str) -> pa.Table:
        """Return it as the table's row."""
        values = {**asdict(self), "account": account, "period": str(self.period)}
        return pa.Table.from_pylist([values], schema=PERIODS.schema)


class Stored:
    """The NetSuite tables of one account, file by file as their manifests list them.

    Every reading checks the file against the manifest's hash: what was edited by hand is refused (Failed).
    """

    def __init__(self, storage: Storage, account: str) -> None:
        self._storage, self._account = storage, account

    def months(self, table: CatalogTable) -> Mapping[Month, FileEntry]:
        """Return the months that the table has, with their files."""
        manifest, _ = read_manifest(self._storage, table.name, self._account, table.area)
        return {Month.parse(entry.month): entry for entry in manifest.files} if manifest else {}

    def states(self) -> dict[Month, PeriodState]:
        """Return every month that was ever closed."""
        found = {}
        for month, file in self._files(PERIODS, None):
            (row,) = pq.read_table(file, partitioning=None).to_pylist()
            times = {name: row[name] for name in ("final_at", "locked_at", "locked_by")}
            found[month] = PeriodState(month, row["status"], row["version"], row["content_hash"], **times)
        return dict(sorted(found.items()))

    def seen(self) -> Mapping[str, str]:
        """Return the fingerprints that the last closes left: of what each month was derived from."""
        manifest, _ = read_manifest(self._storage, PERIODS.name, self._account, PERIODS.area)
        return manifest.cursor.extra if manifest else {}

    def lines(self, before: Month | None = None) -> dict[Month, list[JournalLine]]:
        """Return the journal lines by the month whose books they are in, of all months or those ``before`` one."""
        chosen = [month for month in self.months(JOURNAL_LINES) if before is None or month < before]
        files = self._files(JOURNAL_LINES, chosen)
        return {month: lines_of(pq.read_table(file, partitioning=None)) for month, file in files}

    def sources(self, months: Iterable[Month]) -> pl.DataFrame:
        """Return the journal sources of some months; amounts in minor units."""
        files = [file for _, file in self._files(JOURNAL_SOURCES, months)]
        if not files:
            empty = pl.from_arrow(JOURNAL_SOURCES.schema.empty_table())
            assert isinstance(empty, pl.DataFrame)
            return empty
        return pl.read_parquet(files, hive_partitioning=False)

    def controls(self, month: Month) -> tuple[ControlRow, ...]:
        """Return the controls of a month; none when it was never closed."""
        return tuple(
            _control(row)
            for _, file in self._files(CONTROLS, [month])
            for row in pq.read_table(file, partitioning=None).to_pylist()
        )

    def _files(self, table: CatalogTable, months: Iterable[Month] | None) -> Iterator[tuple[Month, Path]]:
        entries = self.months(table)
        chosen = sorted(entries) if months is None else sorted(set(months) & set(entries))
        for month in chosen:
            place = self._storage.scratch() / table.name / str(month)
            place.mkdir(parents=True, exist_ok=True)
            fetched = self._storage.fetch(entries[month].path, place)
            if fetched is not None and sha256_of(fetched[0]) == entries[month].sha256:
                yield month, fetched[0]
                continue
            before = self._replaced(entries[month], place)
            if fetched is None or before is None:
                raise Failed(_foreign(self._storage.uri(entries[month].path), missing=fetched is None))
            yield month, before

    def _replaced(self, entry: FileEntry, place: Path) -> Path | None:
        """Return what the manifest knows where a close was killed after it replaced the file: it kept that before."""
        for path in history.kept(self._storage, entry.path, entry.sha256):
            fetched = self._storage.fetch(path, place)
            if fetched is not None and sha256_of(fetched[0]) == entry.sha256:
                return fetched[0]
        return None


def _foreign(uri: str, *, missing: bool) -> Problem:
    what = (
        "is in the manifest but not in the lake" if missing else "was edited by hand (its hash is not the manifest's)"
    )
    return Problem("foreign_file", uri, what, "restore it from _history/ or from a backup, then close again")


def _control(row: Mapping[str, object]) -> ControlRow:
    given = {name: row[name] for name in CONTROLS.schema.names if name not in ("difference", "unit", "status")}
    return ControlRow(**given, unit=Unit(str(row["unit"])), status=Status(str(row["status"])))  # type: ignore[arg-type]


def control_table(rows: Sequence[ControlRow]) -> pa.Table:
    """Return controls as rows of their table."""
    names = CONTROLS.schema.names
    values = [{name: getattr(row, name) for name in names} for row in rows]
    return pa.Table.from_pylist(values, schema=CONTROLS.schema)
