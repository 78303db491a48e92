"""What automatic payouts contain: `GET /v1/balance_transactions?payout=…`, each payout once (stripe.md §5.5).

Stripe can list a payout only when it has reconciled it, and from then on the list does not change. A payout lands
whole or not at all: half of one would look like a difference in the books.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed

import msgspec
import pyarrow as pa

from redisu_pipeline.common import clock
from redisu_pipeline.common.decoders import decoder_of
from redisu_pipeline.extract.decode import Page, Truncated
from redisu_pipeline.extract.figures_lake import MonthPayout
from redisu_pipeline.extract.ranges import PAGE
from redisu_pipeline.extract.rows import Origins, UnexpectedShape, UnknownValue
from redisu_pipeline.extract.run import Run
from redisu_pipeline.lake.pages import PageStore
from redisu_pipeline.tables.figures import PAYOUT_TRANSACTIONS

TABLE = PAYOUT_TRANSACTIONS.table


class _Transaction(msgspec.Struct):
    """A balance transaction of the list, as far as its row needs it."""

    id: str
    created: int
    currency: str
    amount: int
    fee: int
    net: int
    type: str
    reporting_category: str
    source: str | None = None


class _List(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool


_LIST = decoder_of(_List)
_TRANSACTION = decoder_of(_Transaction)


class PayoutReader:
    """Reads payouts into a page store, several at a time. ``minimum`` is the least number of requests it took."""

    def __init__(self, run: Run, store: PageStore) -> None:
        self._run, self._store = run, store
        self.minimum = 0
        self.read: set[str] = set()
        self.unknown: list[UnknownValue] = []

    def run(self, payouts: Iterable[MonthPayout], pool: ThreadPoolExecutor) -> None:
        """Read ``payouts``; those done are kept when one fails. Raises Failed, Interrupted or UnexpectedShape."""
        running = {pool.submit(self._pages, payout): payout for payout in payouts}
        try:
            for future in as_completed(running):
                self._keep(running[future], future.result())
        finally:
            for future in running:
                future.cancel()

    def _pages(self, payout: MonthPayout) -> list[Page]:
        """Return all pages of one payout's list."""
        pages: list[Page] = []
        after: str | None = None
        while True:
            cursor = {"starting_after": after} if after else {}
            parameters = {"payout": payout.id, "limit": PAGE, **cursor}
            page = self._run.reader.get(
                TABLE.name, PAYOUT_TRANSACTIONS.path, parameters, lambda body: _open(payout, body)
            )
            pages.append(page)
            self._run.progress.advanced(self._run.account, TABLE.name, len(page.ids), 1)
            if not page.has_more or not page.ids:
                return pages
            after = page.ids[-1]

    def _keep(self, payout: MonthPayout, pages: list[Page]) -> None:
        """Write one payout's rows as a page checkpoint, all at once."""
        origins = Origins(self._run.account, self._run.livemode, clock.now())
        batches = [page.batches(origins)[TABLE.name] for page in pages]
        rows = pa.Table.from_batches(batches).combine_chunks()
        self.minimum += max(1, -(-rows.num_rows // PAGE))
        self.unknown.extend(value for page in pages for value in page.unknown)
        if rows.num_rows:
            (batch,) = rows.to_batches()
            self._store.save({TABLE.name: batch}, payout.created, payout.created, payout.created, payout.created)
        self.read.add(payout.id)


def _open(payout: MonthPayout, body: bytes) -> Page:
    """Return a page of the list as rows of the table, dated like the payout."""
    try:
        listed = _LIST.decode(body)
        rows = [_TRANSACTION.decode(raw) for raw in listed.data]
    except msgspec.ValidationError as error:
        raise UnexpectedShape(TABLE.name, payout.id, str(error)) from None
    except msgspec.DecodeError:
        raise Truncated(TABLE.name) from None
    page = Page(TABLE, has_more=listed.has_more)
    page.root.append([msgspec.Raw(_values(payout, row)) for row in rows], parent=0)
    page.root.decode()
    page.root.raws = list(listed.data)
    return page


def _values(payout: MonthPayout, row: _Transaction) -> bytes:
    own = {"payout": payout.id, "created": payout.created, "transaction_created": row.created}
    return msgspec.json.encode({**msgspec.structs.asdict(row), **own})
