"""An independent double-entry ledger: what every action of the world means, written down when it happens.

The actions post to it themselves; nothing here is read back from Stripe objects. Later stages compare their journals
with it. Amounts are integers in minor units of the settlement currency, debit positive.
Roles follow netsuite-journals.md §2.1.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Leg(NamedTuple):
    """One line of an entry: debit positive, credit negative."""

    role: str
    amount: int
    course: str | None = None
    country: str | None = None
    state: str | None = None
    tax_type: str | None = None
    presentment: tuple[int, str] | None = None  # the same in the buyer's currency


@dataclass(frozen=True, slots=True)
class Entry:
    """One balanced happening at a unix time; `source` is the id of what caused it."""

    at: int
    event: str
    source: str
    currency: str
    legs: tuple[Leg, ...]


class Ledger:
    """The entries of one account, in the order of their time."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def post(self, at: int, event: str, source: str, currency: str, legs: Iterable[Leg]) -> None:
        """Write one balanced entry. Raises ValueError when debit and credit differ."""
        kept = tuple(leg for leg in legs if leg.amount)
        left = sum(leg.amount for leg in kept)
        if left:
            raise ValueError(f"{event} of {source} does not balance: {left:+d} {currency} left over")
        if kept:
            self.entries.append(Entry(at, event, source, currency, kept))

    def until(self, end: int) -> list[Entry]:
        return [entry for entry in self.entries if entry.at < end]


def trial_balance(entries: Sequence[Entry], start: int) -> dict[str, dict[str, dict[str, int]]]:
    """By currency and role: opening (before `start`), debit, credit (both positive, from `start`) and closing."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for entry in entries:
        roles = found.setdefault(entry.currency, {})
        for leg in entry.legs:
            sums = roles.setdefault(leg.role, {"opening": 0, "debit": 0, "credit": 0, "closing": 0})
            sums["closing"] += leg.amount
            if entry.at < start:
                sums["opening"] += leg.amount
            else:
                sums["debit" if leg.amount > 0 else "credit"] += abs(leg.amount)
    return found


def truth(entries: Sequence[Entry], start: int) -> dict[str, dict[str, Any]]:
    """What finance asks of a month, by settlement currency; `entries` reach to the month's end.

    Revenue and collected tax are positive, refunds and refunded tax too.
    """
    found: dict[str, dict[str, Any]] = {}
    for currency, roles in trial_balance(entries, start).items():
        month = [entry for entry in entries if entry.at >= start and entry.currency == currency]
        found[currency] = {
            "opening_balance": _of(roles, "clearing", "opening"),
            "closing_balance": _of(roles, "clearing", "closing"),
            "closing_reserve": _of(roles, "reserve", "closing"),
            "closing_transit": _of(roles, "transit", "closing"),
            "closing_disputed": _of(roles, "disputed", "closing"),
            "closing_in_flight": _of(roles, "in_flight", "closing"),
            "revenue": _by_course(month, "revenue", -1),
            "refunds": _by_course(month, "refunds", +1),
            "tax": _taxes(month),
            "fees": _fees(roles),
            "disputes": _by_event(month, "disputed"),
            "payouts": _by_event(month, "transit") | _bank(month),
            "fx": _moved(roles, "fx"),
            "customer_credit": -_moved(roles, "customer_credit"),
            "credit_out_of_band": -_moved(roles, "credit_out_of_band"),
            "offline_receivable": _moved(roles, "offline_receivable"),
            "adjustments": _moved(roles, "adjustments"),
            "roles": roles,
        }
    return found


def _of(roles: dict[str, dict[str, int]], role: str, column: str) -> int:
    return roles[role][column] if role in roles else 0


def _moved(roles: dict[str, dict[str, int]], role: str) -> int:
    return _of(roles, role, "debit") - _of(roles, role, "credit")


def _fees(roles: dict[str, dict[str, int]]) -> dict[str, int]:
    """By kind (processing, product, dispute), and the tax on all of them."""
    kinds = {role.removeprefix("fee_"): _moved(roles, role) for role in sorted(roles) if role.startswith("fee_")}
    return kinds | {"tax": _moved(roles, "input_vat")}


def _by_course(month: Sequence[Entry], role: str, sign: int) -> dict[str, int]:
    sums: defaultdict[str, int] = defaultdict(int)
    for entry in month:
        for leg in entry.legs:
            if leg.role == role:
                sums[leg.course or ""] += sign * leg.amount
    return dict(sorted(sums.items()))


def _by_event(month: Sequence[Entry], role: str) -> dict[str, int]:
    """The movements of a role by what caused them (payout_created, dispute_won and so on)."""
    sums: defaultdict[str, int] = defaultdict(int)
    for entry in month:
        for leg in entry.legs:
            if leg.role == role:
                sums[entry.event] += leg.amount
    return dict(sorted(sums.items()))


def _bank(month: Sequence[Entry]) -> dict[str, int]:
    return {"bank": sum(leg.amount for entry in month for leg in entry.legs if leg.role == "bank")}


def _taxes(month: Sequence[Entry]) -> list[dict[str, Any]]:
    """Tax by (country, state, tax type, presentment currency): collected are the credits, refunded the debits."""
    sums: dict[tuple[str, str, str, str], dict[str, int]] = {}
    for entry in month:
        for leg in entry.legs:
            if leg.role != "tax":
                continue
            shown, currency = leg.presentment or (leg.amount, entry.currency)
            place = (leg.country or "", leg.state or "", leg.tax_type or "", currency)
            row = sums.setdefault(place, dict.fromkeys(("collected", "refunded"), 0) | _nothing_shown())
            side = "refunded" if leg.amount > 0 else "collected"
            row[side] += abs(leg.amount)
            row[f"presentment_{side}"] += abs(shown)
    names = ("country", "state", "tax_type", "presentment_currency")
    return [dict(zip(names, place, strict=True)) | row for place, row in sorted(sums.items())]


def _nothing_shown() -> dict[str, int]:
    return {"presentment_collected": 0, "presentment_refunded": 0}
