"""Fields that Stripe shows only when expanded; nothing stores them."""

from collections.abc import Callable, Sequence
from typing import Any

from sandbox.stripe.store import NESTED_SHOWN, Object, Store

LISTS = frozenset({"payments", "refunds", "line_items", "tax_ids", "sources", "subscriptions"})


def list_object(items: Sequence[Object], url: str) -> Object:
    """The first page of a nested list."""
    shown = list(items[:NESTED_SHOWN])
    return {"object": "list", "data": shown, "has_more": len(items) > NESTED_SHOWN, "url": url}


def payments(store: Store, invoice: Object) -> Object:
    """`invoice.payments`, newest first."""
    found = store.where("invoice_payment", "invoice", invoice["id"])[::-1]
    return list_object(found, f"/v1/invoice_payments?invoice={invoice['id']}")


def refunds(store: Store, charge: Object) -> Object:
    """`charge.refunds`, the ten newest."""
    return list_object(store.where("refund", "charge", charge["id"])[::-1], f"/v1/charges/{charge['id']}/refunds")


def line_items(store: Store, session: Object) -> Object:
    """`session.line_items`, with the hidden fields that `expand` still takes away."""
    return list_object(store.line_items.get(session["id"], ()), f"/v1/checkout/sessions/{session['id']}/line_items")


def item_taxes(store: Store, item: Object) -> Any:
    """`line_items.data.taxes`: each with its whole TaxRate."""
    return [_with_rate(store, tax) for tax in item.get("taxes") or []]


def breakdown(store: Store, session: Object) -> Object:
    """`session.total_details.breakdown`: taxes summed by rate over the lines."""
    by_rate: dict[tuple[str, str | None], Object] = {}
    discounts: list[Object] = []
    for item in store.line_items.get(session["id"], ()):
        discounts.extend(item.get("discounts") or [])
        for tax in item.get("taxes") or []:
            rate = tax["rate"] if isinstance(tax["rate"], str) else tax["rate"]["id"]
            total = by_rate.setdefault((rate, tax["taxability_reason"]), tax | {"amount": 0, "taxable_amount": 0})
            total["amount"] += tax["amount"]
            total["taxable_amount"] += tax["taxable_amount"] or 0
    return {"discounts": discounts, "taxes": [_with_rate(store, tax) for tax in by_rate.values()]}


def _with_rate(store: Store, tax: Object) -> Object:
    rate = store.get("tax_rate", tax["rate"]) if isinstance(tax["rate"], str) else tax["rate"]
    return tax | {"rate": rate}


def _empty(path: str) -> Callable[[Store, Object], Object]:
    return lambda _store, parent: list_object((), path.format(parent["id"]))


def _nothing(_store: Store, _parent: Object) -> None:
    return None


def customer_tax_ids(store: Store, customer: Object) -> Object:
    """`customer.tax_ids`."""
    return list_object(store.where("tax_id", "customer", customer["id"]), f"/v1/customers/{customer['id']}/tax_ids")


FIELDS: dict[tuple[str, str], Callable[[Store, Object], Any]] = {
    ("invoice", "payments"): payments,
    ("invoice", "confirmation_secret"): _nothing,
    ("charge", "refunds"): refunds,
    ("checkout.session", "line_items"): line_items,
    ("checkout.session", "total_details.breakdown"): breakdown,
    ("item", "taxes"): item_taxes,
    ("item", "discounts"): lambda _store, item: item.get("discounts") or [],
    ("customer", "tax_ids"): customer_tax_ids,
    ("customer", "sources"): _empty("/v1/customers/{}/sources"),
    ("customer", "subscriptions"): _empty("/v1/customers/{}/subscriptions"),
    ("customer", "tax"): _nothing,
    ("customer", "cash_balance"): _nothing,
    ("customer", "invoice_credit_balance"): lambda _store, _parent: {},
    ("price", "tiers"): _nothing,
    ("price", "currency_options"): lambda _store, price: {
        price["currency"]: {name: price[name] for name in ("custom_unit_amount", "tax_behavior", "unit_amount")}
        | {"unit_amount_decimal": price["unit_amount_decimal"]}
    },
}
