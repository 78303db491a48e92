"""A small lake written by hand, row by row, with manifests: for tests of what reads a lake."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from redisu_pipeline.lake.manifest import Cursor, FileEntry, Manifest, RunProof, manifest_path, write_manifest
from redisu_pipeline.lake.schemas import schema_of
from redisu_pipeline.lake.storage import ANY, Storage, open_storage
from redisu_pipeline.tables.registry import TABLES

Row = Mapping[str, object]
START = datetime(2024, 1, 1, tzinfo=UTC)
CREATED = datetime(2026, 10, 5, tzinfo=UTC)
COMPLETE = datetime(2026, 10, 20, tzinfo=UTC)
READ = datetime(2026, 10, 10, tzinfo=UTC)

CONFIGURATION = """
[lake]
uri = "lake"
[database]
url = "sqlite:///redisu.db"
[flockjay]
api_base = "http://127.0.0.1:9"
[accounts.us]
stripe_api_base = "{stripe}"
stripe_files_base = "{stripe}"
start = {start}
[accounts.il]
stripe_api_base = "{stripe}"
stripe_files_base = "{stripe}"
start = {start}
currency = "ils"
[routing]
default = "us"
[courses.redis-101]
name = "Redis for developers"
flockjay_course_id = "fj-1"
tax_code = "txcd_20060058"
prices = {{ usd = 19900, ils = 69900 }}
"""


def configuration(folder: Path, stripe: str = "http://127.0.0.1:9", start: str = "2025-01-01", more: str = "") -> str:
    """Write a redisu.toml with two accounts, us and il, and return its path; the lake is beside it."""
    file = folder / "redisu.toml"
    file.write_text(CONFIGURATION.format(stripe=stripe, start=start) + more)
    return str(file)


class SmallLake:
    """Tables of one account (`us` unless told otherwise), replaced whole at every ``put``."""

    def __init__(self, folder: Path) -> None:
        self.storage: Storage = open_storage(str(folder / "lake"))

    def put(
        self,
        table: str,
        *rows: Row,
        account: str = "us",
        start: datetime = START,
        complete: datetime = COMPLETE,
        schema: pa.Schema | None = None,
    ) -> None:
        """Write ``rows`` by the month of their `created`, and the manifest. What a row does not say is null."""
        files = [
            self._file(table, account, month, [row for row in rows if _month(row) == month], schema)
            for month in sorted({_month(row) for row in rows})
        ]
        cursor = Cursor(
            newest_created=int(max((_created(row) for row in rows), default=start).timestamp()),
            complete_until=complete.isoformat(),
            listed_from=int(start.timestamp()),
        )
        proof = RunProof(id="run-1", started=complete.isoformat(), finished=complete.isoformat(), requests=2, minimum=1)
        manifest = Manifest(
            table=table,
            account=account,
            columns={},
            files=files,
            rows=len(rows),
            sums={"amount": {"usd": 1000}} if rows else {},
            cursor=cursor,
            run=proof,
        )
        write_manifest(self.storage, manifest, ANY)

    def forget(self, table: str, account: str = "us") -> None:
        """Remove the table's manifest: it was never synced."""
        self.storage.delete(manifest_path(table, account))

    def _file(self, table: str, account: str, month: str, rows: Sequence[Row], schema: pa.Schema | None) -> FileEntry:
        path = f"stripe/{table}/account={account}/month={month}/data.parquet"
        target = Path(self.storage.uri(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        declared = schema or schema_of(TABLES[table])
        filled = [
            {"account": account, "livemode": False, "created": CREATED, "_synced_at": READ, **row} for row in rows
        ]
        columns = {name: [row.get(name) for row in filled] for name in declared.names}
        # not from_pylist with a schema alone: nullable=False would refuse a null id, which a check must find
        loose = pa.schema([field.with_nullable(True) for field in declared])
        pq.write_table(pa.table(columns, schema=loose), target)
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        return FileEntry(path=path, month=month, rows=len(rows), sha256=digest, bytes=target.stat().st_size)


def _created(row: Row) -> datetime:
    created = row.get("created", CREATED)
    assert isinstance(created, datetime)
    return created


def _month(row: Row) -> str:
    return f"{_created(row):%Y-%m}"
