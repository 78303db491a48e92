"""Forgetting a learner in the lake: personal data leave the tables, their `_history/` and the staged pages.

Under the writer's lock and by the rules of every writer (see `commit`): the ids are noted first, so that a sync blanks
what Stripe still holds of them; the new files are built outside the tables; an intent names their hashes; each is
replaced in one step; the manifests follow, the parent table's last. Cut off at any moment, the same call completes it.
What a file was before is not kept, of course.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from redisu_pipeline.common.problems import Failed, Problem
from redisu_pipeline.lake import foreign, history
from redisu_pipeline.lake.commit import intent_of, read_intent
from redisu_pipeline.lake.erased import Erased, hashed, read_erased, write_erased
from redisu_pipeline.lake.foreign import sha256_of
from redisu_pipeline.lake.local_storage import failures
from redisu_pipeline.lake.locks import writer_lock
from redisu_pipeline.lake.manifest import FileEntry, Manifest, read_manifest, write_manifest
from redisu_pipeline.lake.merge import month_writer
from redisu_pipeline.lake.pages import PageStore
from redisu_pipeline.lake.person import find_person
from redisu_pipeline.lake.storage import ABSENT, ANY, Conflict, Storage, open_storage
from redisu_pipeline.tables.model import Resource, Table
from redisu_pipeline.tables.registry import EVERY_TABLE, EVERYTHING


@dataclass
class TableErasure:
    """What was blanked of one table: rows in use, files in use, and files of the history."""

    rows: int = 0
    files: int = 0
    history: int = 0

    def fields(self) -> dict[str, int]:
        """Return what ``--json`` says."""
        return {"rows": self.rows, "files": self.files, "history_files": self.history}


@dataclass
class AccountErasure:
    """One account: by table what was blanked, and the customers whom Stripe itself must be asked to redact."""

    tables: dict[str, TableErasure] = field(default_factory=dict)
    customers: tuple[str, ...] = ()
    known: int = 0
    """Objects at Stripe that are about the learner; 0 when the lake knows nothing of them."""


def erase_from_lake(
    uri: str, database_url: str, learner: str, emails: Sequence[str], now: datetime
) -> dict[str, AccountErasure]:
    """Erase the learner's personal data from every account of the lake at ``uri``; repeated, it changes nothing.

    ``emails`` are addresses known from elsewhere. Raises Failed while a sync writes, and for files edited by hand.
    """
    storage = open_storage(uri)
    done = {}
    with failures(storage.root):
        for account in _accounts(storage):
            with writer_lock(storage.root, account, list(EVERY_TABLE), database_url, now) as lock:
                done[account] = erase_account(storage, account, learner, emails, lock.check)
    return done


def erase_account(
    storage: Storage, account: str, learner: str, emails: Sequence[str], guard: Callable[[], None]
) -> AccountErasure:
    """`erase_from_lake` for one account whose tables the caller may write; ``guard`` raises when that was lost."""
    before, tag = read_erased(storage, account)
    person = find_person(storage, account, learner, emails)
    if not person.ids and hashed(learner) not in before.learners:
        return AccountErasure()
    erased = before.plus(person.ids, learner)
    try:
        if erased != before:
            guard()
            write_erased(storage, account, erased, tag)
        done = AccountErasure(
            customers=tuple(sorted(one for one in person.ids if one.startswith("cus_"))), known=len(person.ids)
        )
        for resource in EVERYTHING:  # the NetSuite tables never hold personal data
            rewriting = _Rewriting(storage, account, resource, erased, guard)
            done.tables.update(rewriting.tables())
            rewriting.history(done.tables)
            rewriting.pages()
    except Conflict as conflict:
        mend = "let one writer finish and run again"
        raise Failed(Problem("lost_race", conflict.uri, "was replaced by another writer meanwhile", mend)) from None
    return done


def _accounts(storage: Storage) -> list[str]:
    manifests = {PurePosixPath(entry.path).stem.partition("=")[2] for entry in storage.list("_manifest/stripe")}
    staged = {entry.path.split("/")[2] for entry in storage.list(".staging/pages")}
    return sorted(manifests | staged)


@dataclass(frozen=True)
class _Built:
    """A file without the personal data, ready to be published in the place of ``path``."""

    path: str
    file: Path
    sha256: str
    size: int
    was: str
    tag: str
    rows: int


@dataclass(frozen=True)
class _Rewriting:
    storage: Storage
    account: str
    resource: Resource
    erased: Erased
    guard: Callable[[], None]

    def tables(self) -> dict[str, TableErasure]:
        """Rewrite the files in use of the resource's tables that hold personal data of the erased."""
        intent_path = intent_of(self.account, self.resource)
        ours = read_intent(self.storage, intent_path)
        built: dict[str, list[_Built]] = {}
        manifests: dict[str, tuple[Manifest | None, str | None]] = {}
        for table in self.resource.table.family():
            manifest, _ = manifests[table.name] = read_manifest(self.storage, table.name, self.account)
            entries = {entry.path: entry for entry in (manifest.files if manifest else ())}
            built[table.name] = list(self._build(table, f"stripe/{table.name}/account={self.account}"))
            for one in built[table.name]:
                wanted = {*ours.get(one.path, ()), *([entries[one.path].sha256] if one.path in entries else [])}
                foreign.refuse_other(self.storage.uri(one.path), one.was, wanted)
        files = [one for many in built.values() for one in many]
        if not files:
            return {}
        self.guard()
        intent = {**ours, **{one.path: [*ours.get(one.path, ()), one.sha256] for one in files}}
        self.storage.write(intent_path, msgspec.json.encode(intent), expect=ANY)
        for one in files:
            self.storage.publish(one.path, one.file, expect=one.tag)
        for name in reversed(list(manifests)):
            self._record(*manifests[name], built[name])
        if not ours:  # else a sync was cut off here: what it meant to do is still to be done
            self.storage.delete(intent_path)
        return {
            name: TableErasure(rows=sum(one.rows for one in many), files=len(many))
            for name, many in built.items()
            if many
        }

    def history(self, done: dict[str, TableErasure]) -> None:
        """Rewrite what files were before: each in one step under its old stamp."""
        for table in self.resource.table.family():
            for one in self._build(table, f"_history/stripe/{table.name}/account={self.account}"):
                history.rewrite(self.storage, one.path, one.file, one.sha256)
                done.setdefault(table.name, TableErasure()).history += 1

    def pages(self) -> None:
        """Drop the checkpoints of a cut-off sync if they hold the erased: they are read again, and blanked then."""
        pages = PageStore(self.storage, self.account, self.resource.name)
        if pages.holds(lambda table, rows: any(self.erased.concerns(EVERY_TABLE[table], rows))):
            pages.clear()

    def _build(self, table: Table, folder: str) -> Iterator[_Built]:
        for number, entry in enumerate(self.storage.list(folder)):
            if not entry.path.endswith(".parquet"):
                continue
            target = self.storage.scratch() / f"{self.account}-{table.name}-{number}.erasing"
            with TemporaryDirectory() as folder:
                fetched = self.storage.fetch(entry.path, Path(folder))
                rows = _rewrite(table, fetched[0], target, self.erased) if fetched else None
                if fetched and rows is not None:
                    was, size = sha256_of(fetched[0]), target.stat().st_size
                    yield _Built(entry.path, target, sha256_of(target), size, was, fetched[1], rows)

    def _record(self, manifest: Manifest | None, tag: str | None, built: Sequence[_Built]) -> None:
        # A file that a cut-off sync replaced is not the manifest's yet: the sync will say what it holds.
        known = {(one.path, one.was): one for one in built}
        files = [_entry(entry, known.get((entry.path, entry.sha256))) for entry in (manifest.files if manifest else ())]
        if manifest is not None and files != manifest.files:
            write_manifest(self.storage, msgspec.structs.replace(manifest, files=files), tag or ABSENT)


def _entry(entry: FileEntry, built: _Built | None) -> FileEntry:
    if built is None:
        return entry
    return msgspec.structs.replace(entry, sha256=built.sha256, bytes=built.size)


def _rewrite(table: Table, source: Path, target: Path, erased: Erased) -> int | None:
    """Write ``source`` without the personal data of the erased; returns how many rows had any, None for no file."""
    with pq.ParquetFile(source) as file:
        groups = range(file.num_row_groups)
        if all(erased.blank(table, before).equals(before) for before in map(file.read_row_group, groups)):
            return None
        changed = 0
        with month_writer(target, file.schema_arrow) as writer:
            for before in map(file.read_row_group, groups):
                after = erased.blank(table, before)
                changed += pc.sum(pc.not_equal(before.column("_raw"), after.column("_raw"))).as_py() or 0
                writer.write_table(after, row_group_size=max(after.num_rows, 1))
    return changed
