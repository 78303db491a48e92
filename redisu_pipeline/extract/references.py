"""What rows of the lake refer to that the lake does not hold: the question that leads to objects older than `start`.

Only files that changed since the last look are searched for references; what was asked for in vain is remembered.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from redisu_pipeline.common.decoders import decode
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.month_file import within
from redisu_pipeline.lake.reading import scan
from redisu_pipeline.lake.storage import ANY, Storage
from redisu_pipeline.tables.balance import BALANCE_TRANSACTIONS, PAYOUTS
from redisu_pipeline.tables.catalogue import EVENTS
from redisu_pipeline.tables.model import Resource
from redisu_pipeline.tables.reversals import CREDIT_NOTES, DISPUTES, REFUNDS
from redisu_pipeline.tables.sales import CHARGES, CHECKOUT_SESSIONS, INVOICE_PAYMENTS, INVOICES

PAID_LATE = 90 * 86_400
"""Seconds after the start within which a payment is looked at for an invoice that was made before it."""


@dataclass(frozen=True)
class Link:
    """``column`` of ``table`` holds ids of ``target`` (a list of ids too); of others than ``prefixes`` none is meant.

    With ``kinds`` the row is an event about such an object.
    """

    table: str
    column: str
    target: Resource
    prefixes: tuple[str, ...] = ()
    kind: str = ""


LINKS = (
    Link(REFUNDS.name, "charge", CHARGES),
    Link(DISPUTES.name, "charge", CHARGES),
    Link(DISPUTES.name, "balance_transactions_id", BALANCE_TRANSACTIONS),
    Link(CREDIT_NOTES.name, "invoice", INVOICES),
    Link(INVOICE_PAYMENTS.name, "invoice", INVOICES),
    Link(BALANCE_TRANSACTIONS.name, "source", CHARGES, ("ch_", "py_")),
    Link(BALANCE_TRANSACTIONS.name, "source", REFUNDS, ("re_", "pyr_")),
    Link(BALANCE_TRANSACTIONS.name, "source", DISPUTES, ("dp_", "du_")),
    Link(BALANCE_TRANSACTIONS.name, "source", PAYOUTS, ("po_",)),
    # A dispute that is lost and a credit note that is voided after the start book nothing: only their event tells.
    Link(EVENTS.name, "data_object_id", DISPUTES, kind=DISPUTES.object),
    Link(EVENTS.name, "data_object_id", CREDIT_NOTES, kind=CREDIT_NOTES.object),
)
TABLES = tuple(dict.fromkeys([*(link.table for link in LINKS), CHARGES.name]))


class Looked(msgspec.Struct):
    """What earlier looks left: the files searched by path and hash, ids asked for in vain, and questions put once."""

    files: dict[str, str] = {}
    absent: set[str] = set()
    asked: set[str] = set()


class References:
    """The references of one account; ``start`` is the account's, unix. Forgetting what was looked at costs requests."""

    def __init__(self, storage: Storage, account: str, start: int) -> None:
        self._storage, self._account, self._start = storage, account, start
        self._path = f".staging/references/{account}.json"
        blob = storage.read(self._path)
        self.looked = _looked(blob.data) if blob else Looked()
        manifests = [read_manifest(storage, table, account)[0] for table in TABLES]
        self._now = {entry.path: entry.sha256 for one in manifests if one for entry in one.files}

    @property
    def nothing_new(self) -> bool:
        """Whether no file changed since the last look."""
        return self._now == self.looked.files

    def done(self) -> None:
        """Remember what was looked at, once what it led to has landed."""
        self.looked.files = self._now
        self._storage.write(self._path, msgspec.json.encode(self.looked, order="deterministic"), expect=ANY)

    def missing(self) -> dict[str, set[str]]:
        """Return the ids that are referred to and not in the lake, by the name of their resource."""
        wanted: dict[str, set[str]] = {}
        for link in LINKS:
            name = link.target.name
            for values in self._named(link):
                left = self._without(values, name, "id")
                wanted.setdefault(name, set()).update(set(left.to_pylist()) - self.looked.absent)
        return {link.target.name: wanted.get(link.target.name, set()) for link in LINKS}

    def unknown(self, table: str, ids: Iterable[str]) -> set[str]:
        """Return those of ``ids`` that ``table`` does not hold and that Stripe was not asked for in vain."""
        values = pa.array(sorted(set(ids) - self.looked.absent), pa.string())
        return set(self._without(values, table, "id").to_pylist())

    def unexplained(self) -> set[str]:
        """Return payment intents of charges soon after the start that neither a session nor an invoice explains.

        Their invoice may have been made, and sent, before the start.
        """
        found: set[str] = set()
        for rows in self._changed(CHARGES.name, ["payment_intent", "status", "created"]):
            soon = within(rows, self._start, self._start + PAID_LATE)
            intents = soon.filter(pc.equal(soon["status"], "succeeded"))["payment_intent"].combine_chunks()
            left = self._without(intents.drop_null(), CHECKOUT_SESSIONS.name, "payment_intent")
            left = self._without(left, INVOICE_PAYMENTS.name, "payment_payment_intent")
            found.update(left.to_pylist())
        return found - self.looked.asked

    def _named(self, link: Link) -> Iterator[pa.Array]:
        """Yield the ids that each changed file of the link's table names, each once."""
        columns = [link.column, *(["data_object_object", "data_object_created"] if link.kind else [])]
        for rows in self._changed(link.table, columns):
            named = rows.filter(self._about(rows, link.kind)) if link.kind else rows
            values = named[link.column].combine_chunks()
            if pa.types.is_list(values.type):
                values = values.flatten()
            values = pc.unique(values).drop_null()
            if link.prefixes:
                begins = [pc.starts_with(values, prefix) for prefix in link.prefixes]
                values = values.filter(reduce(pc.or_, begins))
            yield values

    def _about(self, events: pa.Table, kind: str) -> pa.ChunkedArray:
        """Tell which events are about an object of ``kind`` that was made before the start."""
        made = events["data_object_created"].cast(pa.int64())
        older = pc.fill_null(pc.less(made, self._start * 1_000_000), False)
        return pc.and_(pc.fill_null(pc.equal(events["data_object_object"], kind), False), older)

    def _changed(self, table: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        manifest, _ = read_manifest(self._storage, table, self._account)
        if manifest is None:
            return
        files = [entry for entry in manifest.files if self.looked.files.get(entry.path) != entry.sha256]
        yield from scan(self._storage, msgspec.structs.replace(manifest, files=files), columns)

    def _without(self, values: pa.Array, table: str, column: str) -> pa.Array:
        """Return ``values`` without those that stand in ``column`` of ``table``; a set of Python's costs ten times."""
        if not len(values):
            return values
        manifest, _ = read_manifest(self._storage, table, self._account)
        for rows in scan(self._storage, manifest, [column]):
            values = values.filter(pc.invert(pc.is_in(values, rows[column].combine_chunks())))
        return values


def _looked(data: bytes) -> Looked:
    try:
        return decode(data, Looked)
    except msgspec.DecodeError:  # cut off by a power failure
        return Looked()
