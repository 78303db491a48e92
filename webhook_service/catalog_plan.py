"""What must change at Stripe so that the courses of redisu.toml are sold there: pure, from what is there now.

One Product and one Price per course and account. A Price's amount cannot change, so another amount is another Price,
which takes the course's `lookup_key` over. What left the settings is archived, never deleted: invoices point to it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from redisu_pipeline.common import money
from redisu_pipeline.common.settings import Account, Course, ManualTaxRate, TaxMode
from webhook_service.stripe_catalog import Price, Product, TaxRate, tax_behavior

OURS = {"redisu": "manual_tax_rate"}  # metadata of the tax rates that we made: only those are archived


class Made(NamedTuple):
    """Stands for the id of an object that an earlier step makes."""

    kind: str
    course: str


@dataclass(frozen=True)
class Step:
    """One change: what it is in words, and the call that makes it.

    ``key`` begins the idempotency key of a create; an update takes a new one each run, because a kept answer would
    hide that the object was changed back in between.
    """

    account: str
    action: str  # create | update | archive | activate
    kind: str  # product | price | tax_rate
    course: str | None
    id: str | None
    detail: str
    path: str
    parameters: Mapping[str, object]
    key: str | None = None

    def fields(self) -> dict[str, object]:
        """Return the public form of ``--json``."""
        return {
            "account": self.account,
            "action": self.action,
            "object": self.kind,
            "course": self.course,
            "id": self.id,
            "detail": self.detail,
        }


@dataclass(frozen=True)
class Found:
    """What the account has, archived objects among it."""

    products: Sequence[Product] = field(default_factory=tuple)
    prices: Sequence[Price] = field(default_factory=tuple)
    tax_rates: Sequence[TaxRate] = field(default_factory=tuple)


def plan(account: Account, courses: Mapping[str, Course], found: Found) -> list[Step]:
    """Return the steps, in the order in which they must be taken; none when all is as the settings say."""
    sold = {slug: course for slug, course in courses.items() if account.currency in course.prices}
    steps: list[Step] = []
    kept = set()
    for course in sold.values():
        product = _product_of(course, found)
        if product is not None:
            kept.add(product.id)
        steps += _course(account, course, product, found)
    for product in found.products:
        if product.course is not None and product.id not in kept:
            reason = "another product sells the course" if product.course in sold else "the course left the settings"
            steps += _retire(account, product, found, reason)
    if account.tax is TaxMode.MANUAL and account.manual_tax_rate is not None:
        steps += _tax_rates(account, account.manual_tax_rate, found.tax_rates)
    return steps


def _product_of(course: Course, found: Found) -> Product | None:
    """The course's product: the one whose price has the lookup key, else an active one, else the oldest."""
    candidates = [product for product in found.products if product.metadata.get("course") == course.slug]
    named = {price.product for price in found.prices if price.lookup_key == course.slug}
    order = sorted(candidates, key=lambda each: (each.id not in named, not each.active, each.created, each.id))
    return order[0] if order else None


def _course(account: Account, course: Course, product: Product | None, found: Found) -> Iterator[Step]:
    wanted: dict[str, object] = {
        "name": course.name,
        "tax_code": course.tax_code,
        "metadata": {"course": course.slug, "flockjay_course_id": course.flockjay_course_id},
    }
    if product is None:
        key = f"catalog:{account.name}:product:{course.slug}"
        yield Step(account.name, "create", "product", course.slug, None, course.name, "/v1/products", wanted, key)
    else:
        change = _product_change(course, product, wanted)
        if change:
            detail = ", ".join(sorted(change))
            path = f"/v1/products/{product.id}"
            yield Step(account.name, "update", "product", course.slug, product.id, detail, path, change)
    yield from _price(account, course, product, found.prices)


def _product_change(course: Course, product: Product, wanted: Mapping[str, object]) -> dict[str, object]:
    change: dict[str, object] = {}
    if product.name != course.name:
        change["name"] = course.name
    if product.tax_code != course.tax_code:
        change["tax_code"] = course.tax_code
    if product.metadata.get("flockjay_course_id") != course.flockjay_course_id:
        change["metadata"] = wanted["metadata"]
    if not product.active:
        change["active"] = True
    return change


def _price(account: Account, course: Course, product: Product | None, prices: Sequence[Price]) -> Iterator[Step]:
    amount, behavior = course.prices[account.currency], tax_behavior(account)
    shown = f"{money.show(amount, account.currency)}, tax {behavior}"
    holder = next((price for price in prices if price.lookup_key == course.slug), None)
    current = holder if holder is not None and _is_as(holder, account, product, amount, behavior) else None
    if current is None:
        parameters = {
            "product": product.id if product else Made("product", course.slug),
            "currency": account.currency,
            "unit_amount": amount,
            "tax_behavior": behavior,
            "lookup_key": course.slug,
            "transfer_lookup_key": True,
            "metadata": {"course": course.slug},
        }
        replaced = holder.id if holder else "none"
        key = f"catalog:{account.name}:price:{course.slug}:{account.currency}:{amount}:{behavior}:{replaced}"
        yield Step(account.name, "create", "price", course.slug, None, shown, "/v1/prices", parameters, key)
    else:
        change: dict[str, object] = {} if current.active else {"active": True}
        if current.tax_behavior != behavior:
            change["tax_behavior"] = behavior
        if change:
            detail = ", ".join(sorted(change))
            path = f"/v1/prices/{current.id}"
            yield Step(account.name, "update", "price", course.slug, current.id, detail, path, change)
    if product is None:
        return
    left = [
        price
        for price in prices
        if price.product == product.id
        and price.active
        and price is not current
        and (price.currency == account.currency or price is holder)
    ]
    if product.default_price in {price.id for price in left}:  # Stripe keeps a product's default price active
        new = current.id if current else Made("price", course.slug)
        path = f"/v1/products/{product.id}"
        detail = "default price"
        yield Step(account.name, "update", "product", course.slug, product.id, detail, path, {"default_price": new})
    for price in left:
        yield _archive(account, "price", course.slug, price.id, "superseded")


def _is_as(price: Price, account: Account, product: Product | None, amount: int, behavior: str) -> bool:
    """Whether a price is what the settings ask for, but for what may still be set: active, an open tax behaviour."""
    return (
        product is not None
        and price.product == product.id
        and price.currency == account.currency
        and price.unit_amount == amount
        and price.type == "one_time"
        and price.tax_behavior in (behavior, "unspecified", None)
    )


def _retire(account: Account, product: Product, found: Found, reason: str) -> Iterator[Step]:
    if product.active:
        yield _archive(account, "product", product.course, product.id, reason)
    for price in found.prices:
        # A default price cannot be archived; nothing is sold by it once its product is.
        if price.product == product.id and price.active and price.id != product.default_price:
            yield _archive(account, "price", product.course, price.id, reason)


def _tax_rates(account: Account, wanted: ManualTaxRate, rates: Sequence[TaxRate]) -> Iterator[Step]:
    fitting = sorted((rate for rate in rates if rate.is_as(wanted)), key=lambda rate: not rate.active)
    detail = f"{wanted.display_name} {wanted.percentage} % {wanted.country}"
    if not fitting:
        parameters = {
            "display_name": wanted.display_name,
            "percentage": str(wanted.percentage),
            "inclusive": wanted.inclusive,
            "country": wanted.country,
            "tax_type": str(wanted.tax_type),
            "metadata": OURS,
        }
        key = f"catalog:{account.name}:tax_rate:" + ":".join(str(value) for value in list(parameters.values())[:-1])
        yield Step(account.name, "create", "tax_rate", None, None, detail, "/v1/tax_rates", parameters, key)
    elif not fitting[0].active:
        path = f"/v1/tax_rates/{fitting[0].id}"
        yield Step(account.name, "update", "tax_rate", None, fitting[0].id, "active", path, {"active": True})
    for rate in rates:
        if rate.active and rate not in fitting[:1] and OURS.items() <= (rate.metadata or {}).items():
            yield _archive(
                account, "tax_rate", None, rate.id, f"{rate.display_name} {rate.percentage} % left the settings"
            )


def _archive(account: Account, kind: str, course: str | None, id: str, reason: str) -> Step:
    path = {"product": "/v1/products", "price": "/v1/prices", "tax_rate": "/v1/tax_rates"}[kind]
    return Step(account.name, "archive", kind, course, id, reason, f"{path}/{id}", {"active": False})
