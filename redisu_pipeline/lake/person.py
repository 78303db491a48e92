"""Whose a row is: the ids of all objects at Stripe that are about one learner, found from row to row.

It begins with the rows that name the learner and those with their e-mail address, and follows their ids (a charge's
customer, the customer's invoices …) until nothing more turns up. A row that names another learner is never theirs,
though a company may have paid for both.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from redisu_pipeline.lake.erased import LEARNER, SNAPSHOTS, learner_inside, naming
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.tables.model import Table
from redisu_pipeline.tables.registry import TABLES

_ABOUT_PEOPLE: Final = re.compile(r"(?:cus|cs|in|pi|ch|py|re|pyr|du|dp|cn)_[A-Za-z0-9_]+")
_LINKS: Final = (
    "id customer payment_intent invoice charge payment_payment_intent payment_charge source source_id credit_note "
    "from_invoice_invoice latest_revision recovered_from"
).split()
"""Columns whose ids belong to the same person as the row."""


@dataclass
class Person:
    """What is known of one learner; it grows while rows are met. E-mail addresses in lower case, never written down."""

    learner: str
    emails: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)

    @property
    def known(self) -> int:
        return len(self.ids) + len(self.emails)

    def meet(self, table: Table, rows: pa.Table) -> None:
        """Learn from those of ``rows`` (its columns as `columns_to_meet` says) that are this person's."""
        links = rows.select([name for name in _LINKS if name in rows.schema.names])
        theirs = pa.array(naming(links, self.ids), pa.bool_())
        for name in emails_of(table):
            same = pc.is_in(pc.utf8_lower(rows.column(name)), pa.array(sorted(self.emails), pa.string()))
            theirs = pc.or_(theirs, same.combine_chunks())
        if LEARNER in rows.schema.names:
            learner = rows.column(LEARNER).combine_chunks()
            own = pc.fill_null(pc.equal(learner, self.learner), False)
            theirs = pc.or_(own, pc.and_(theirs, pc.is_null(learner)))
        mine = rows.filter(theirs)
        for name in links.schema.names:
            self.ids.update(one for one in mine.column(name).to_pylist() if one and _ABOUT_PEOPLE.fullmatch(one))
        for name in emails_of(table):
            self.emails.update(one.lower() for one in mine.column(name).to_pylist() if one)

    def meet_snapshots(self, rows: pa.Table) -> None:
        """Learn from events (id, object's id, JSON) that hold the learner's id or e-mail address.

        Such an event may be all that is left of an object: the event's own id is learnt too.
        """
        needles = {f'"{self.learner}"', json.dumps(self.learner), *(f'"{email}"' for email in self.emails)}
        for id, object_id, raw in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            if raw is None or not any(needle in raw or needle in raw.lower() for needle in needles):
                continue
            if learner_inside(raw) in (None, self.learner):
                self.ids.add(id)
                if object_id and _ABOUT_PEOPLE.fullmatch(object_id):
                    self.ids.add(object_id)


def find_person(storage: Storage, account: str, learner: str, emails: Iterable[str]) -> Person:
    """Return all that the account's part of the lake knows about ``learner``; ``emails`` are known from elsewhere."""
    person = Person(learner, {email.lower() for email in emails})
    _follow(storage, account, person)
    before = person.known
    for rows in _read(storage, account, SNAPSHOTS, ["id", "data_object_id", "_raw"]):
        person.meet_snapshots(rows)
    if person.known != before:
        _follow(storage, account, person)
    return person


def _follow(storage: Storage, account: str, person: Person) -> None:
    before = -1
    while before != person.known:
        before = person.known
        for table in TABLES.values():
            if table.name == SNAPSHOTS:
                continue
            wanted = [*_LINKS, LEARNER, *emails_of(table)]
            for rows in _read(storage, account, table.name, wanted):
                person.meet(table, rows)


def emails_of(table: Table) -> list[str]:
    """Return the names of the columns that hold e-mail addresses."""
    return [column.name for column in table.columns if column.personal and column.name.endswith("email")]


def _read(storage: Storage, account: str, table: str, columns: Iterable[str]) -> Iterator[pa.Table]:
    """Yield the columns, as far as a file has them, of every row group of an account's part of a table."""
    with TemporaryDirectory() as folder:
        for entry in storage.list(f"stripe/{table}/account={account}"):
            if not entry.path.endswith(".parquet") or (fetched := storage.fetch(entry.path, Path(folder))) is None:
                continue
            with pq.ParquetFile(fetched[0]) as file:
                present = [name for name in dict.fromkeys(columns) if name in file.schema_arrow.names]
                for group in range(file.num_row_groups):
                    yield file.read_row_group(group, columns=present)
