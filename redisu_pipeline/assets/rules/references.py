"""What refers to what, and the rule that every reference of the lake finds its object.

A missing object is allowed in two cases, both counted. *Older than the account's start*: the row was made within
`reach_days` after the start (refunds come months after their charge), and no event in the lake says that the object
was made since. *In flight*: the row was made after the point up to which the other table is complete. A row that was
only *read* after that point (a charge booked while the sync ran) is a warning; the next sync settles it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from redisu_pipeline.assets.rules.model import Grade, Judge, Rule, Subject, Verdict, instant, sample
from redisu_pipeline.lake.manifest import Manifest, read_manifest
from redisu_pipeline.lake.reading import scan
from redisu_pipeline.tables.registry import RESOURCE_OF


@dataclass(frozen=True)
class Reference:
    """``table.column`` holds values of ``target.target_column``; null refers to nothing.

    Only values that begin with one of ``prefixes`` are looked at, and rows whose ``where`` column is that text, or at
    least that number.
    """

    table: str
    column: str
    target: str
    target_column: str = "id"
    reach_days: int = 1
    prefixes: tuple[str, ...] = ()
    where: tuple[str, str | int] | None = None

    def __str__(self) -> str:
        return f"{self.column} → {self.target}"


REFERENCES: tuple[Reference, ...] = (
    Reference("prices", "product", "products"),
    Reference("checkout_sessions", "invoice", "invoices"),
    Reference("invoice_lines", "invoice", "invoices"),
    Reference("invoice_lines", "price", "prices"),
    Reference("invoice_lines", "product", "products"),
    Reference("invoice_taxes", "invoice", "invoices"),
    Reference("invoice_taxes", "invoice_line", "invoice_lines"),
    Reference("invoice_taxes", "tax_rate", "tax_rates"),
    Reference("invoices", "id", "invoice_payments", "invoice", where=("amount_paid", 1)),
    Reference("invoice_payments", "invoice", "invoices", reach_days=365),
    Reference("invoice_payments", "payment_payment_intent", "charges", "payment_intent", 14, where=("status", "paid")),
    Reference("charges", "balance_transaction", "balance_transactions"),
    Reference("charges", "failure_balance_transaction", "balance_transactions"),
    Reference("refunds", "charge", "charges", reach_days=365),
    Reference("refunds", "balance_transaction", "balance_transactions"),
    Reference("refunds", "failure_balance_transaction", "balance_transactions"),
    Reference("disputes", "charge", "charges", reach_days=365),
    Reference("disputes", "balance_transactions_id", "balance_transactions"),
    Reference("credit_notes", "invoice", "invoices", reach_days=730),
    Reference("credit_notes", "refunds_refund", "refunds", reach_days=365),
    Reference("credit_note_lines", "credit_note", "credit_notes"),
    Reference("credit_note_lines", "invoice_line_item", "invoice_lines", reach_days=730),
    Reference("credit_note_taxes", "credit_note_line", "credit_note_lines"),
    Reference("credit_note_taxes", "tax_rate", "tax_rates"),
    Reference("payouts", "balance_transaction", "balance_transactions"),
    Reference("payouts", "failure_balance_transaction", "balance_transactions"),
    Reference("balance_transaction_fees", "balance_transaction", "balance_transactions"),
    Reference("balance_transactions", "source", "charges", reach_days=14, prefixes=("ch_", "py_")),
    Reference("balance_transactions", "source", "refunds", reach_days=60, prefixes=("re_", "pyr_")),
    Reference("balance_transactions", "source", "disputes", reach_days=180, prefixes=("dp_", "du_")),
    Reference("balance_transactions", "source", "payouts", reach_days=14, prefixes=("po_",)),
)


@dataclass
class _Found:
    """What came of one reference so far."""

    seen: int = 0
    older: int = 0
    in_flight: int = 0
    unsettled: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


class _Lookup:
    """One reference against the ids of its target."""

    def __init__(self, subject: Subject, reference: Reference) -> None:
        self.reference = reference
        self.found = _Found()
        self._subject = subject
        target, _ = read_manifest(subject.storage, reference.target, subject.account)
        self.synced = target is not None
        self._together = RESOURCE_OF[reference.table] is RESOURCE_OF[reference.target]
        self._until = pa.scalar(instant(target.cursor.complete_until if target else None), pa.timestamp("us", "UTC"))
        start = datetime.fromtimestamp((target.cursor.listed_from or 0) if target else 0, UTC)
        self._start = pa.scalar(start, pa.timestamp("us", "UTC"))
        self._reached = pa.scalar(start + timedelta(days=reference.reach_days), pa.timestamp("us", "UTC"))
        self._targets = _values(subject, target, reference.target_column)

    def see(self, rows: pa.Table) -> None:
        named = self._named(rows)
        self.found.seen += len(named)
        lost = named.filter(pc.invert(pc.is_in(named.column("value"), self._targets)))
        if not len(lost) or not self.synced:
            return
        # A parent and its lines are read and landed together: between them nothing can be in flight.
        newer = pc.and_(pc.greater_equal(lost.column("created"), self._until), not self._together)
        old = pc.and_(pc.less(lost.column("created"), self._reached), pc.invert(self._made_since(lost)))
        self.found.in_flight += pc.sum(newer).as_py() or 0
        self.found.older += pc.sum(pc.and_(old, pc.invert(newer))).as_py() or 0
        left = lost.filter(pc.invert(pc.or_(newer, old)))
        late = pc.and_(pc.greater_equal(left.column("_synced_at"), self._until), not self._together)
        self.found.unsettled += _pairs(left.filter(late))
        self.found.missing += _pairs(left.filter(pc.invert(late)))

    def _named(self, rows: pa.Table) -> pa.Table:
        """Return id, created, _synced_at and value of every reference in ``rows``; a list gives one row an element."""
        reference = self.reference
        if reference.where is not None:
            column, wanted = reference.where
            compare = pc.greater_equal if isinstance(wanted, int) else pc.equal
            rows = rows.filter(pc.fill_null(compare(rows.column(column), wanted), False))
        value = rows.column(reference.column).combine_chunks()
        base = rows.select(["id", "created", "_synced_at"])
        if pa.types.is_list(value.type):
            base, value = base.take(pc.list_parent_indices(value)), pc.list_flatten(value)
        named = base.append_column("value", value)
        chosen = pc.is_valid(named.column("value"))
        if reference.prefixes:
            begins = [pc.starts_with(named.column("value"), prefix) for prefix in reference.prefixes]
            for begin in begins[1:]:
                begins[0] = pc.or_(begins[0], begin)
            chosen = pc.and_(chosen, pc.fill_null(begins[0], False))
        return named.filter(chosen)

    def _made_since(self, lost: pa.Table) -> pa.ChunkedArray:
        """Tell for each missing object whether an event shows that it was made at or after the account's start."""
        events, _ = read_manifest(self._subject.storage, "events", self._subject.account)
        wanted = pc.unique(lost.column("value"))
        known: list[str] = []
        for rows in scan(self._subject.storage, events, ["data_object_id", "data_object_created"]):
            about = rows.filter(pc.is_in(rows.column("data_object_id"), wanted))
            since = pc.fill_null(pc.greater_equal(about.column("data_object_created"), self._start), False)
            known += about.filter(since).column("data_object_id").to_pylist()
        return pc.is_in(lost.column("value"), pa.array(known, pa.string()))


def _values(subject: Subject, target: Manifest | None, column: str) -> pa.Array:
    chunks = [chunk for rows in scan(subject.storage, target, [column]) for chunk in rows.column(column).chunks]
    return pc.unique(pa.chunked_array(chunks, pa.string()))


def _pairs(rows: pa.Table) -> list[str]:
    return [f"{row['id']} → {row['value']}" for row in rows.select(["id", "value"]).to_pylist()]


class ForeignKeys(Judge):
    """Every reference of the table finds its object."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._lookups = [_Lookup(subject, one) for one in references_of(subject.table.name)]
        conditions = [one.where[0] for one in references_of(subject.table.name) if one.where]
        named = [one.column for one in references_of(subject.table.name)]
        self.columns = tuple(dict.fromkeys(["id", "created", "_synced_at", *named, *conditions]))

    def see(self, rows: pa.Table) -> None:
        for lookup in self._lookups:
            lookup.see(rows)

    def verdict(self) -> Verdict:
        facts: dict[str, int | str] = {}
        for lookup in self._lookups:
            facts.update(_facts(lookup))
        missing = [pair for lookup in self._lookups for pair in lookup.found.missing]
        unsettled = [pair for lookup in self._lookups for pair in lookup.found.unsettled]
        unsynced = sorted({lookup.reference.target for lookup in self._lookups if not lookup.synced})
        seen = sum(lookup.found.seen for lookup in self._lookups)
        if missing:
            return Verdict(Grade.ERROR, f"{len(missing)} references find nothing: {sample(missing)}", facts)
        if unsynced:
            return Verdict(Grade.WARN, f"cannot be judged before {', '.join(unsynced)} is synced", facts)
        if unsettled:
            summary = f"{len(unsettled)} references are of objects newer than the sync; sync again: {sample(unsettled)}"
            return Verdict(Grade.WARN, summary, facts)
        allowed = sum(lookup.found.older + lookup.found.in_flight for lookup in self._lookups)
        beside = f", {allowed} are older than the start or in flight" if allowed else ""
        return Verdict(Grade.PASS, f"{seen - allowed} references find their objects{beside}", facts)


def _facts(lookup: _Lookup) -> Iterator[tuple[str, int | str]]:
    name, found = str(lookup.reference), lookup.found
    yield f"{name}: references", found.seen
    if found.older:
        yield f"{name}: older than the start", found.older
    if found.in_flight:
        yield f"{name}: in flight", found.in_flight
    for label, pairs in (("unsettled", found.unsettled), ("missing", found.missing)):
        if pairs:
            yield f"{name}: {label}", len(pairs)
            yield f"{name}: {label} ids", sample(pairs)


def references_of(table: str) -> tuple[Reference, ...]:
    """Return what ``table`` refers to."""
    return tuple(reference for reference in REFERENCES if reference.table == table)


FOREIGN_KEYS = Rule(
    "foreign_keys",
    "Every reference finds its object, unless that is older than the account's start or newer than its table.",
    ForeignKeys,
    applies=lambda table: bool(references_of(table.name)),
)
