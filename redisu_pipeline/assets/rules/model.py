"""The shape of a rule: it is shown every file of one account's part of one table, and then gives its verdict."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from redisu_pipeline.lake.manifest import FileEntry, Manifest
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tables.model import Table

SHOWN_IDS = 10


class Grade(Enum):
    """How a verdict counts: a warning is worth a look, an error is wrong."""

    PASS = "pass"
    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True)
class Verdict:
    """The outcome of one rule: one sentence, and the counts and ids behind it."""

    grade: Grade
    summary: str
    facts: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """One account's part of one table, and what is known about it. ``highest`` is its greatest earlier row count."""

    storage: Storage
    account: str
    table: Table
    manifest: Manifest | None
    now: datetime
    livemode: bool | None = None
    highest: int | None = None


class Judge:
    """Looks at one subject. ``columns`` are all it is shown; a file that lacks one of them is left out."""

    columns: Sequence[str] = ()

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def file(self, entry: FileEntry, schema: pa.Schema | None) -> None:
        """Hear of a file of the manifest; ``schema`` is None when it is missing or no Parquet."""

    def see(self, rows: pa.Table) -> None:
        """Look at the columns of one file."""

    def verdict(self) -> Verdict:
        """Say what came of it, once every file was shown."""
        raise NotImplementedError


def _always(_table: Table) -> bool:
    return True


@dataclass(frozen=True)
class Rule:
    """A named rule. A ``blocking`` one fails the run: what it finds must not reach the books."""

    name: str
    doc: str
    judge: Callable[[Subject], Judge]
    applies: Callable[[Table], bool] = _always
    blocking: bool = False


def examine(subject: Subject, rules: Iterable[Rule]) -> dict[str, Verdict]:
    """Return the verdict of each rule; every file is opened once and only the columns needed are read."""
    if subject.manifest is None:
        never = Verdict(Grade.WARN, f"{subject.table.name} has never been synced")
        return {rule.name: never for rule in rules}
    judges = {rule.name: rule.judge(subject) for rule in rules}
    columns = list(dict.fromkeys(name for judge in judges.values() for name in judge.columns))
    for entry in subject.manifest.files:
        _show(subject.storage, entry, columns, list(judges.values()))
    return {name: judge.verdict() for name, judge in judges.items()}


def _show(storage: Storage, entry: FileEntry, columns: Sequence[str], judges: Sequence[Judge]) -> None:
    with TemporaryDirectory() as folder:
        fetched = storage.fetch(entry.path, Path(folder))
        schema = _schema(fetched[0]) if fetched else None
        for judge in judges:
            judge.file(entry, schema)
        if fetched is None or schema is None:
            return
        present = [name for name in columns if name in schema.names]
        rows = pq.read_table(fetched[0], columns=present, partitioning=None)
        for judge in judges:
            if judge.columns and set(judge.columns) <= set(present):
                judge.see(rows.select(list(judge.columns)))


def _schema(file: Path) -> pa.Schema | None:
    try:
        return pq.read_schema(file)
    except pa.ArrowInvalid:
        return None


def sample(ids: Iterable[str | None]) -> str:
    """Return the first few ids for people, in order."""
    shown = sorted({str(one) for one in ids})
    more = f" … and {len(shown) - SHOWN_IDS} more" if len(shown) > SHOWN_IDS else ""
    return ", ".join(shown[:SHOWN_IDS]) + more


def instant(text: str | None) -> datetime:
    """Return an ISO-8601 instant of a manifest; the beginning of time when there is none."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else datetime(1970, 1, 1, tzinfo=UTC)
