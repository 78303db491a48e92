"""Objects made before the account's `start` that something since then refers to: fetched by id, once, and marked.

A refund of an old sale needs the sale's tax to be split, a dispute won back its charge's rate. So the charge, its
balance transaction, the invoice with its lines and taxes, and what went back of it earlier are read, too. They land in
the same tables, in the month of their `created`, with `_before_start`: they give tax splits but no journals.

The order of landing makes a crash harmless: what is found through an object lands before it, so that an object that is
in the lake needs no further question.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from redisu_pipeline.common import clock
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.reports import TableReport
from redisu_pipeline.common.settings import Account
from redisu_pipeline.extract.decode import Page
from redisu_pipeline.extract.landing import land
from redisu_pipeline.extract.listing import Listing
from redisu_pipeline.extract.references import References
from redisu_pipeline.extract.rows import Origins
from redisu_pipeline.extract.run import Outcome, Run
from redisu_pipeline.extract.tax_rates import filling_of, needs_rates
from redisu_pipeline.lake.commit import Commit
from redisu_pipeline.lake.filling import NO_FILLING
from redisu_pipeline.lake.manifest import Cursor, read_manifest
from redisu_pipeline.lake.pages import PageStore
from redisu_pipeline.tables.balance import BALANCE_TRANSACTIONS, PAYOUTS
from redisu_pipeline.tables.catalogue import EVENTS
from redisu_pipeline.tables.model import Resource
from redisu_pipeline.tables.reversals import CREDIT_NOTES, DISPUTES, REFUNDS
from redisu_pipeline.tables.sales import CHARGES, CHECKOUT_SESSIONS, INVOICE_PAYMENTS, INVOICES

LANDED_IN = (BALANCE_TRANSACTIONS, REFUNDS, CREDIT_NOTES, INVOICE_PAYMENTS, INVOICES, PAYOUTS, DISPUTES, CHARGES)
"""The resources read, in the order of landing."""

NEEDED = frozenset(resource.name for resource in (*LANDED_IN, EVENTS, CHECKOUT_SESSIONS))
"""What a run must have synced: of half the references nothing can be said."""

OPEN_DISPUTES = 180 * 86_400
"""Seconds before the start from which a dispute may still have been open then."""


class _Shelf:
    """What is read of one resource: pages for the lake, and the objects to look for further references in."""

    def __init__(self, run: Run, resource: Resource) -> None:
        self.resource, self.objects = resource, list[Any]()
        self.store = PageStore(run.storage, run.account, resource.name)
        self._lock, self._first = threading.Lock(), int(run.start.timestamp())
        self.listing = Listing(
            resource, run.reader, run.pool, run.followers, self.store, self._origins_of(run), self._advanced(run)
        )

    def _origins_of(self, run: Run) -> Callable[[], Origins]:
        return lambda: Origins(run.account, run.livemode, clock.now(), self._first)

    def _advanced(self, run: Run) -> Callable[[str, int, int], None]:
        return lambda table, rows, requests: run.progress.advanced(run.account, table, rows, requests)

    def note(self, page: Page) -> bool:
        """Remember the objects of a page; one made since the start (while we read) comes with the next sync."""
        if min(page.created) >= self._first:
            return False
        with self._lock:
            self.objects.extend(page.root.objects)
        return True


class BeforeStart:
    """Completes one account's lake once its resources have landed.

    ``account`` says whether anything was open at its start; ``landed`` are the run's reports so far. Nothing is asked
    unless the run has synced all that refers to older objects.
    """

    def __init__(self, run: Run, account: Account, landed: Mapping[str, TableReport]) -> None:
        self._run, self._account, self._landed = run, account, landed
        self._start = int(run.start.timestamp())
        self._references = References(run.storage, run.account, self._start)
        self._shelves = {resource.name: _Shelf(run, resource) for resource in LANDED_IN}

    def sync(self) -> Outcome:
        """Read and land what is missing; the outcome holds the tables' whole reports. Raises as Family.sync does."""
        if not self._landed.keys() >= NEEDED or (self._references.nothing_new and not self._run.full):
            return Outcome()
        started = time.monotonic()
        self._read()
        older = Outcome(unknown=[value for shelf in self._shelves.values() for value in shelf.listing.unknown])
        for resource in LANDED_IN:
            shelf = self._shelves[resource.name]
            self._references.looked.absent |= shelf.listing.missing
            if shelf.listing.minimum:
                older.tables.update(self._land(shelf, started))
        self._references.done()
        return older

    # -- reading ----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Follow every reference: each step finds what the next one needs."""
        missing = self._references.missing()
        self._open_at_start()
        for resource in (PAYOUTS, DISPUTES, REFUNDS):
            self._retrieve(resource, missing.get(resource.name, ()))
        disputes, refunds = self._objects(DISPUTES), self._objects(REFUNDS)
        charges = {one.charge for one in (*disputes, *refunds) if one.charge}
        self._retrieve(CHARGES, missing[CHARGES.name] | self._references.unknown(CHARGES.name, charges))
        self._follow_charges(missing)
        invoices = {one.invoice for one in self._objects(INVOICE_PAYMENTS)}
        self._retrieve(INVOICES, missing[INVOICES.name] | self._references.unknown(INVOICES.name, invoices))
        self._retrieve(CREDIT_NOTES, missing[CREDIT_NOTES.name])
        self._select(CREDIT_NOTES, ({"invoice": one.id} for one in self._objects(INVOICES) if _credited(one)))

    def _follow_charges(self, missing: Mapping[str, set[str]]) -> None:
        """Read what went back of the charges, their bookings, and which invoices they paid."""
        charges = self._objects(CHARGES)
        self._select(REFUNDS, ({"charge": one.id} for one in charges if one.amount_refunded))
        bookings = {one.balance_transaction for one in (*charges, *self._objects(REFUNDS))}
        bookings |= {booking.id for one in self._objects(DISPUTES) for booking in one.balance_transactions or ()}
        bookings = self._references.unknown(BALANCE_TRANSACTIONS.name, bookings - {None})
        self._retrieve(BALANCE_TRANSACTIONS, missing[BALANCE_TRANSACTIONS.name] | bookings)
        unexplained = self._references.unexplained()
        intents = {one.payment_intent for one in charges if one.payment_intent} | unexplained
        self._select(INVOICE_PAYMENTS, ({"payment": _paid_by(intent)} for intent in sorted(intents)))
        self._references.looked.asked |= unexplained

    def _open_at_start(self) -> None:
        """Read what the opening balances consist of: payouts on their way, and disputes that were open."""
        opening = self._account.opening.values()
        if any(one.transit for one in opening) and self._once("transit"):
            self._select(PAYOUTS, [{"arrival_date": {"gte": self._start}}])
        if any(one.disputed for one in opening) and self._once("disputed"):
            self._select(DISPUTES, [{}], since=self._start - OPEN_DISPUTES)

    def _once(self, question: str) -> bool:
        """Tell whether ``question`` is put for the first time for this start."""
        words = f"{question} at {self._start}"
        new = words not in self._references.looked.asked
        self._references.looked.asked.add(words)
        return new

    def _objects(self, resource: Resource) -> list[Any]:
        return self._shelves[resource.name].objects

    def _retrieve(self, resource: Resource, ids: Iterable[str]) -> None:
        shelf = self._shelves[resource.name]
        shelf.listing.retrieve(sorted(ids), keep=shelf.note)

    def _select(self, resource: Resource, filters: Iterable[Mapping[str, Any]], since: int = 0) -> None:
        """List what was made before the start and fits ``filters``; what came later is in the lake."""
        shelf = self._shelves[resource.name]
        created = {"lt": self._start, **({"gte": since} if since else {})}
        shelf.listing.select([{**one, "created": created} for one in filters], keep=shelf.note)

    # -- landing ----------------------------------------------------------------------------------------------------

    def _land(self, shelf: _Shelf, started: float) -> dict[str, TableReport]:
        run, resource, landed = self._run, shelf.resource, self._landed
        manifest, _ = read_manifest(run.storage, resource.name, run.account)
        before = manifest.cursor if manifest else Cursor()
        filling = filling_of(run.storage, run.account) if needs_rates(resource) else NO_FILLING
        extra = {**before.extra, **({"filling": filling.version} if filling.columns else {})}

        def cursor(_last_event: int) -> Cursor:
            return Cursor(
                events_seq=before.events_seq,
                newest_created=before.newest_created,
                complete_until=before.complete_until,
                listed_from=before.listed_from,
                extra=extra,
            )

        commit = Commit(
            storage=run.storage,
            account=run.account,
            resource=resource,
            pages=shelf.store,
            first_month=Month.containing(run.start),
            now=run.now,
            guard=run.guard,
            filling=filling,
        )
        names = [table.name for table in resource.table.family()]
        minimum = sum(landed[name].minimum for name in names) + shelf.listing.minimum
        until = landed[resource.name].complete_until
        reports = land(run, commit, cursor, minimum=minimum, started=started, complete_until=until)
        return {name: _together(landed[name], report) for name, report in reports.items()}


def _credited(invoice: Any) -> bool:
    return bool(invoice.pre_payment_credit_notes_amount or invoice.post_payment_credit_notes_amount)


def _paid_by(intent: str) -> dict[str, str]:
    return {"type": "payment_intent", "payment_intent": intent}


def _together(first: TableReport, second: TableReport) -> TableReport:
    """Return both landings of one table as one; requests and minimum are the whole run's already."""
    new, changed = first.new + second.new, first.changed + second.changed
    return TableReport(
        new=new,
        changed=changed,
        unchanged=second.rows - new - changed,
        rows=second.rows,
        requests=second.requests,
        minimum=second.minimum,
        seconds=first.seconds + second.seconds,
        complete_until=second.complete_until,
        note=first.note,
    )
