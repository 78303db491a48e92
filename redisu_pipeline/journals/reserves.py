"""Money that Stripe holds back (event 18): out of clearing into the reserve, and back.

Stripe books a hold as two rows, one on the payments balance and one on the reserved balance: each moves the account
of its own balance. A hold without a second row (payout minimums) moves both accounts by itself.
"""

from collections import defaultdict

from redisu_pipeline.journals.books import Books
from redisu_pipeline.journals.model import Blocked, JournalClass
from redisu_pipeline.journals.postings import Leg, LegKey
from redisu_pipeline.journals.transactions import PAYMENTS, RESERVE, of

_CLEARING = LegKey(JournalClass.RESERVES, "18", "clearing")
_RESERVE = LegKey(JournalClass.RESERVES, "18", "reserve")
_Row = tuple[str, str, int]  # id, currency, amount


def postings(books: Books) -> tuple[list[Leg], list[Blocked]]:
    """Return the month's holds and releases, and reserved rows without a counterpart."""
    chosen = of(books, RESERVE).select("id", "currency", "amount", "balance_type").collect().rows()
    payments = sorted((id, currency, amount) for id, currency, amount, balance in chosen if balance == PAYMENTS)
    waiting: dict[tuple[str, int], list[str]] = defaultdict(list)
    for id, currency, amount, balance in sorted(chosen):
        if balance != PAYMENTS:
            waiting[currency, amount].append(id)
    found: list[Leg] = []
    for id, currency, amount in payments:
        partners = waiting[currency, -amount]
        found.append(_leg(id, _CLEARING, (id, currency, amount)))
        found.append(_leg(id, _RESERVE, (partners.pop(0) if partners else id, currency, -amount)))
    alone = tuple(sorted(id for ids in waiting.values() for id in ids))
    return found, [_blocked(alone)] if alone else []


def _leg(entry: str, key: LegKey, row: _Row) -> Leg:
    id, currency, amount = row
    return Leg(entry, key, currency, amount, "balance_transaction", id)


def _blocked(ids: tuple[str, ...]) -> Blocked:
    what = "rows on a reserved balance without their counterpart on the payments balance in the same month"
    return Blocked("category", what, "sync again; if it stays, ask Stripe what moved", ids)
