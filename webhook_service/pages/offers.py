"""What a course costs where: as the page shows it, and as Stripe has it."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from redisu_pipeline.common import money
from redisu_pipeline.common.settings import Account, Course, Settings, TaxMode
from redisu_pipeline.common.stripe_api import StripeApi
from webhook_service.pages.countries import BY_NAME
from webhook_service.stripe_catalog import Price, TaxRate, listed

KEPT_SECONDS: Final = 300
"""How long the ids of a price and a tax rate are remembered; a refused one is asked for again at once."""


class NotOnSale(Exception):
    """Stripe does not have the course as the settings say; `redisu catalog apply` mends it."""


@dataclass(frozen=True)
class Offer:
    """A price for the buyers of some countries (of all others when none is named), in words."""

    account: str
    countries: tuple[str, ...]
    who: str
    price: str
    tax: str


def offers_of(course: Course, settings: Settings) -> list[Offer]:
    """Return what the course costs: by country where accounts differ, the general price last."""
    names, general = dict(BY_NAME), settings.routing["default"]
    countries: dict[str, list[str]] = {}
    for country, name in settings.routing.items():
        if country != "default" and name != general:
            countries.setdefault(name, []).append(country)
    rows = [(name, where, f"Billed in {_joined([names[each] for each in where])}") for name, where in countries.items()]
    rows.append((general, [], "Billed anywhere else" if rows else "Price"))
    found = []
    for name, where, who in rows:
        account = settings.accounts[name]
        amount = course.prices.get(account.currency)
        price = "not sold there" if amount is None else money.show(amount, account.currency) if amount else "free"
        found.append(Offer(name, tuple(where), who, price, _tax(account) if amount else ""))
    return found


def _tax(account: Account) -> str:
    rate = account.manual_tax_rate
    if account.tax is TaxMode.AUTOMATIC or rate is None:
        return "plus sales tax or VAT where your billing address asks for it; you see it before you pay"
    percentage = f"{rate.percentage.normalize():f} % {rate.display_name}"
    return f"{percentage} included" if rate.inclusive else f"plus {percentage}"


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


@dataclass(frozen=True)
class OnShelf:
    """Ids at Stripe: what a session's line item names."""

    price: str
    tax_rate: str | None


class Shelf:
    """Finds a course's price and an account's tax rate at Stripe, and remembers them for a while."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str], tuple[float, OnShelf]] = {}
        self._lock = threading.Lock()

    def find(self, api: StripeApi, account: Account, course: Course) -> OnShelf:
        """Return the ids. Raises NotOnSale, Transient, NotThere or Refused."""
        key, now = (account.name, course.slug), self._clock()
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and now - kept[0] < KEPT_SECONDS:
            return kept[1]
        found = OnShelf(_price(api, account, course), _tax_rate(api, account))
        with self._lock:
            self._kept[key] = (now, found)
        return found

    def forget(self, account: Account, course: Course) -> None:
        """Ask Stripe again next time: what was kept was refused."""
        with self._lock:
            self._kept.pop((account.name, course.slug), None)


def _price(api: StripeApi, account: Account, course: Course) -> str:
    """The active price with the course's lookup key, when it costs what the page says."""
    parameters = {"lookup_keys": [course.slug], "active": True}
    amount = course.prices.get(account.currency)
    for price in listed(api, "/v1/prices", Price, parameters):
        if price.lookup_key == course.slug and (price.unit_amount, price.currency) == (amount, account.currency):
            return price.id
    raise NotOnSale(f"no active price {course.slug} of {amount} {account.currency} in account {account.name}")


def _tax_rate(api: StripeApi, account: Account) -> str | None:
    wanted = account.manual_tax_rate
    if account.tax is TaxMode.AUTOMATIC or wanted is None:
        return None
    for rate in listed(api, "/v1/tax_rates", TaxRate, {"active": True}):
        if rate.is_as(wanted):
            return rate.id
    raise NotOnSale(f"no active tax rate of {wanted.percentage} % {wanted.country} in account {account.name}")
