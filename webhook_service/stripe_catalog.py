"""Products, Prices and TaxRates as Stripe has them: the few fields that the catalogue and the checkout look at."""

import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Literal, TypeVar

import msgspec

from redisu_pipeline.common.decoders import decode
from redisu_pipeline.common.settings import Account, ManualTaxRate, TaxMode
from redisu_pipeline.common.stripe_api import StripeApi, Transient

T = TypeVar("T", "Product", "Price", "TaxRate")
PAUSES = (0.3, 1.0, 2.5)  # seconds before asking once more


class Product(msgspec.Struct, frozen=True):
    """A Product; ours carry `course` and `flockjay_course_id` in their metadata."""

    id: str
    active: bool
    name: str
    created: int
    metadata: dict[str, str] = {}
    tax_code: str | None = None
    default_price: str | None = None

    @property
    def course(self) -> str | None:
        """The course it sells, None for a product that is not ours."""
        return self.metadata.get("course") if "flockjay_course_id" in self.metadata else None


class Price(msgspec.Struct, frozen=True):
    """A Price; `unit_amount` in minor units."""

    id: str
    active: bool
    currency: str
    product: str
    created: int
    unit_amount: int | None = None
    lookup_key: str | None = None
    tax_behavior: str | None = None
    type: str = "one_time"


class TaxRate(msgspec.Struct, frozen=True):
    """A TaxRate; those that Stripe Tax made have a jurisdiction level."""

    id: str
    active: bool
    display_name: str
    percentage: Decimal
    inclusive: bool
    country: str | None = None
    tax_type: str | None = None
    jurisdiction_level: str | None = None
    metadata: dict[str, str] | None = None

    def is_as(self, wanted: ManualTaxRate) -> bool:
        """Whether it levies what the settings ask for, whether active or not."""
        return (
            self.jurisdiction_level is None
            and self.percentage == wanted.percentage
            and self.inclusive == wanted.inclusive
            and self.country == wanted.country
            and self.tax_type == wanted.tax_type
            and self.display_name == wanted.display_name
        )


def tax_behavior(account: Account) -> Literal["exclusive", "inclusive"]:
    """Whether the account's prices contain the tax: only when a manual rate of ours says so (stripe.md §2.2)."""
    rate = account.manual_tax_rate if account.tax is TaxMode.MANUAL else None
    return "inclusive" if rate is not None and rate.inclusive else "exclusive"


def listed(api: StripeApi, path: str, kind: type[T], parameters: Mapping[str, Any]) -> Iterator[T]:
    """Yield every object of a list, page by page. Raises Transient, NotThere or Refused."""
    after: dict[str, str] = {}
    while True:
        page: Any = decode(patient_get(api, path, {"limit": 100, **parameters, **after}), _page_of(kind))
        yield from page.data
        if not page.has_more or not page.data:
            return
        after = {"starting_after": page.data[-1].id}


@cache
def _page_of(kind: type[Any]) -> type[msgspec.Struct]:
    return msgspec.defstruct("Page", [("data", list[kind]), ("has_more", bool)])  # type: ignore[valid-type]


def patient_get(api: StripeApi, path: str, parameters: Mapping[str, Any], pauses: Sequence[float] = PAUSES) -> bytes:
    """GET, tried again over a few seconds when Stripe is busy. Raises Transient, NotThere or Refused."""
    for pause in pauses:
        try:
            return api.get(path, parameters)
        except Transient:
            time.sleep(pause)
    return api.get(path, parameters)


def patient_post(
    api: StripeApi, path: str, parameters: Mapping[str, Any], key: str, pauses: Sequence[float] = PAUSES
) -> bytes:
    """POST under one idempotency key, tried again over a few seconds. Raises Transient, NotThere or Refused."""
    for pause in pauses:
        try:
            return api.post(path, parameters, key)
        except Transient:
            time.sleep(pause)
    return api.post(path, parameters, key)
