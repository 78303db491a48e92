"""Reading a stretch of one list, several ranges of `created` at a time, with a checkpoint after every page.

A range is drained by a chain of pages, newest first. When a page shows how dense the range is, what is left of it is
cut so that idle chains can help; the endpoint's budget keeps their sum polite.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice, pairwise
from typing import Any, TypeVar

import msgspec

from redisu_pipeline.common.stripe_api import NotThere
from redisu_pipeline.extract.chain import Chain, Reach
from redisu_pipeline.extract.decode import Overflow, Page, open_object, open_page
from redisu_pipeline.extract.ranges import PAGE, Span, cut, horizon, pages_left
from redisu_pipeline.extract.reader import CursorGone, Reader
from redisu_pipeline.extract.rows import Origins, UnknownValue
from redisu_pipeline.lake.pages import PageStore
from redisu_pipeline.tables.model import Resource, Scope

T = TypeVar("T")

IN_LINE = 1000
"""Objects read one by one that wait for a thread at once; a million in line would take half a gigabyte."""

AHEAD = 32
"""Pages of a resource that may wait for their nested lists while the list goes on (half a megabyte each). Nested lists
are the longest work: the list itself need not end with them."""


class Listing:
    """Reads one resource into its page store. ``origins`` is asked for each page: it holds the time of reading."""

    def __init__(
        self,
        resource: Resource,
        reader: Reader,
        pool: ThreadPoolExecutor,
        followers: ThreadPoolExecutor,
        store: PageStore,
        origins: Callable[[], Origins],
        advanced: Callable[[str, int, int], None],
    ) -> None:
        self._resource, self._reader, self._pool, self._store = resource, reader, pool, store
        self._origins, self._advanced = origins, advanced
        self._followers = followers
        self._lock = threading.Lock()
        self._chains: list[Chain] = []
        self._running = 0  # steps of chains, submitted or under way
        self._ahead = threading.Semaphore(AHEAD)
        self._kept = self._waiting = self._followed = 0
        self._nested = ""  # address of a nested list that went on
        self._done = threading.Event()
        self._failure: BaseException | None = None
        self.listed = 0
        self.minimum = 0
        self.ids: set[str] = set()
        self.missing: set[str] = set()
        self.unknown: list[UnknownValue] = []
        self.newest: int | None = None
        self.remember = True
        self.begun = threading.Event()  # the page of the present has been read

    def list(self, spans: Iterable[Span], *, lowest: int | None = None) -> None:
        """List every span. ``lowest`` is how far down the oldest span may be read where that costs no request more."""
        spans = [span for span in spans if span]
        if not spans:
            return
        before = self.listed
        self._done.clear()
        chains = [self._chain(span.lo, span.hi) for span in spans]
        chains[0].lo = spans[0].lo if lowest is None else min(lowest, spans[0].lo)
        with self._lock:
            self._chains.extend(chains)
        self._submit(chains)
        self._done.wait()
        if self._failure is not None:
            raise self._failure
        self.minimum += max(1, -(-(self.listed - before) // PAGE))

    def retrieve(self, ids: Iterable[str], keep: Callable[[Page], bool]) -> None:
        """Read objects one by one; those that Stripe no longer has are noted in ``missing``."""
        wanted = [object_id for object_id in ids if object_id not in self.ids]
        self.minimum += len(wanted)
        self._each(lambda object_id: self._retrieve(object_id, keep), wanted)

    def select(self, filters: Iterable[Mapping[str, Any]], keep: Callable[[Page], bool]) -> None:
        """Read all objects that each of ``filters`` (parameters of the list) leaves, if ``keep`` wants the page."""
        self._each(lambda one: self._select(one, keep), filters)

    def keep(self, page: Page, lo: int, hi: int | None) -> None:
        """Follow the page's nested lists, decode it and write its checkpoint."""
        self._finish(page, self._follow_lists(page), Reach(lo, hi))

    def _follow_lists(self, page: Page) -> Sequence[Future[None]]:
        with self._lock:
            self._waiting += 1
        return [self._followers.submit(self._follow, page, overflow) for overflow in page.overflows]

    def _finish(self, page: Page, following: Iterable[Future[None]], reach: Reach) -> None:
        for nested in following:
            nested.result()
        batches = page.batches(self._origins())
        if page.created:
            note = msgspec.json.encode(page.unknown) if page.unknown else b""
            ends = min(page.created), max(page.created)
            self._store.save(batches, reach.lo, reach.hi, *ends, note, reach.place)
        with self._lock:
            self._kept, self._waiting = self._kept + 1, self._waiting - 1
            self.unknown.extend(page.unknown)
            if self.remember:
                self.ids.update(page.ids)
            if page.created:
                self.newest = max(page.created) if self.newest is None else max(self.newest, *page.created)
        if reach.hi is None:
            self.begun.set()
        for table, batch in batches.items():
            if table != self._resource.name:
                self._advanced(table, batch.num_rows, 0)

    def _each(self, task: Callable[[T], None], items: Iterable[T]) -> None:
        """Do ``task`` for each of ``items`` on the pages' threads."""
        rest = iter(items)
        while some := list(islice(rest, IN_LINE)):
            for future in [self._pool.submit(task, one) for one in some]:
                future.result()

    def _submit(self, chains: Sequence[Chain]) -> None:
        with self._lock:
            self._running += len(chains)
        for chain in chains:
            self._pool.submit(self._run, chain)

    def _run(self, chain: Chain) -> None:
        try:
            if self._failure is None:
                self._step(chain)
        except BaseException as failure:  # noqa: BLE001  (handed to the caller of list)
            with self._lock:
                self._failure = self._failure or failure
        with self._lock:
            self._running -= 1
            if not self._running:
                self._done.set()

    def _step(self, chain: Chain) -> None:
        """Read the chain's next page and keep it; the chain goes on after that, or while nested lists are followed."""
        page, reach, more = self._read(chain)
        following = self._follow_lists(page)
        if more and following:
            with self._ahead:
                self._submit([chain])
                self._finish(page, following, reach)
        else:
            self._finish(page, following, reach)
        self._advanced(self._resource.name, len(page.ids), 1)
        self._foresee()
        if more and not following:
            self._submit([chain])

    def _read(self, chain: Chain) -> tuple[Page, Reach, bool]:
        """Return the chain's next page, what it covers, and whether there is more to read."""
        resource = self._resource
        try:
            page = self._page(chain)
        except CursorGone:
            if resource.scope is Scope.WHOLE_EACH_TIME:
                raise  # such a list knows no `created` filter
            chain.begin_anew(self._store.new_chain())
            page = self._page(chain)
        created = page.created
        oldest = min(created) if created else chain.lo
        finished = not page.has_more or not created or oldest < chain.floor
        top = chain.covered_to if chain.covered_to is not None else chain.hi
        # The second of the oldest row may go on on the next page: it is covered only when nothing follows.
        bottom = chain.lo if finished and not (created and oldest < chain.floor) else oldest + 1
        reach = Reach(min(bottom, top) if top is not None else bottom, top, (chain.number, chain.pages))
        with self._lock:
            self.listed += len(created)
            if finished:
                self._chains.remove(chain)
        if not finished:
            chain.covered_to, chain.cursor = oldest + 1, page.ids[-1]
            chain.newest = max(created) if chain.newest is None else chain.newest
            chain.pages += 1
            self._share(chain, oldest, chain.newest)
        return page, reach, not finished

    def _page(self, chain: Chain) -> Page:
        resource = self._resource
        parameters = chain.parameters(resource)
        return self._reader.get(resource.name, resource.path, parameters, lambda body: open_page(resource.table, body))

    def _share(self, chain: Chain, oldest: int, newest: int) -> None:
        """Cut what is left of the chain's range, as far as its density is known, and let new chains have the rest."""
        if self._resource.scope is Scope.WHOLE_EACH_TIME:
            return  # such a list knows no `created` filter
        low = horizon(chain.floor, oldest, newest)
        left = pages_left(low, oldest, newest, chain.pages)
        with self._lock:
            cuts = cut(low, oldest, left, len(self._chains))
            share = left / (len(cuts) + 1)
            chain.left = share
            edges = [chain.floor, *cuts]
            parts = [self._chain(lo, hi, share) for lo, hi in pairwise(edges)]
            if parts:
                parts[0].lo = chain.lo
                chain.lo = chain.floor = cuts[-1]
            self._chains.extend(parts)
        self._submit(parts)

    def _chain(self, lo: int, hi: int | None, left: float = 0) -> Chain:
        return Chain(self._store.new_chain(), lo, hi, floor=lo, left=left)

    def _foresee(self) -> None:
        """Say what is left to ask for. Nested lists go on as often as so far, and their pages are as urgent as they."""
        with self._lock:
            left = sum(chain.left for chain in self._chains)
            followed = (left + self._waiting) * self._followed / self._kept
        self._reader.expect(self._resource.path, max(left, followed))
        if self._nested:
            self._reader.expect(self._nested, followed)

    def _follow(self, page: Page, overflow: Overflow | None) -> None:
        table = next(c.table for c in self._resource.table.children if c.is_list_object)
        while overflow is not None:
            at = overflow
            self._nested = at.url
            parameters = {"limit": PAGE, "starting_after": at.after}
            overflow = self._reader.get(table.name, at.url, parameters, lambda body: page.add(at, body))  # noqa: B023
            with self._lock:
                self.minimum += 1
                self._followed += 1
            self._advanced(table.name, 0, 1)

    def _select(self, parameters: Mapping[str, Any], keep: Callable[[Page], bool]) -> None:
        resource, cursor = self._resource, dict[str, str]()
        while True:
            page = self._reader.get(
                resource.name,
                resource.path,
                {**dict(resource.parameters), **parameters, "limit": PAGE, **cursor},
                lambda body: open_page(resource.table, body),
            )
            self._advanced(resource.name, len(page.ids), 1)
            with self._lock:
                self.minimum += 1
            if page.ids and keep(page):
                self.keep(page, min(page.created), min(page.created))
            if not page.has_more or not page.ids:
                return
            cursor = {"starting_after": page.ids[-1]}

    def _retrieve(self, object_id: str, keep: Callable[[Page], bool]) -> None:
        resource = self._resource
        try:
            page = self._reader.get(
                resource.name, f"{resource.path}/{object_id}", {}, lambda body: open_object(resource.table, body)
            )
        except NotThere:
            page = None
        self._advanced(resource.name, 0 if page is None else 1, 1)
        if page is None:
            with self._lock:
                self.missing.add(object_id)
        elif keep(page):
            created = page.created[0]
            self.keep(page, created, created)
