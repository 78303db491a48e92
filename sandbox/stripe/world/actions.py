"""The actions by name, with parameters that JSON can carry: for the control endpoint, the demo and tests.

Each takes the shop first and returns the Stripe object (or objects) it made or changed.
"""

from collections.abc import Callable, Mapping
from inspect import signature
from types import MappingProxyType
from typing import Any

from sandbox.stripe import shapes
from sandbox.stripe.world import (
    catalog,
    checkout,
    credit_notes,
    customers,
    disputes,
    fees,
    manual_invoices,
    payment,
    payouts,
    people,
    refunds,
)
from sandbox.stripe.world.model import Buyer
from sandbox.stripe.world.shop import NotPossible, Shop


def buyer_of(buyer: Mapping[str, Any] | None, shop: Shop) -> Buyer:
    """A Buyer of JSON: any of Buyer's fields; what is missing comes from the first place of the world in `country`."""
    given = dict(buyer or {})
    country = given.pop("country", None) or shop.spec.country
    if given.get("tax_id"):
        given["tax_id"] = tuple(given["tax_id"])
    known = people.someone(country)
    fields = {name: getattr(known, name) for name in Buyer.__dataclass_fields__}
    return Buyer(**{**fields, **given})


def pay(
    shop: Shop, session: str, buyer: Mapping[str, Any] | None = None, method: str = "card", invoice_after: int = 0
) -> shapes.Object:
    return payment.pay(shop, session, buyer_of(buyer, shop), method=method, invoice_after=invoice_after)


def decline(
    shop: Shop, session: str, buyer: Mapping[str, Any] | None = None, code: str = "insufficient_funds"
) -> shapes.Object:
    return payment.decline(shop, session, buyer_of(buyer, shop), code)


def create_session(shop: Shop, **params: Any) -> shapes.Object:
    return checkout.create_session(shop, params)


def draft_invoice(shop: Shop, price: str, quantity: int = 1, buyer: Mapping[str, Any] | None = None) -> shapes.Object:
    return manual_invoices.draft(shop, buyer_of(buyer, shop), price, quantity)


ACTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "create_product": catalog.create_product,
        "create_price": catalog.create_price,
        "create_tax_rate": catalog.create_tax_rate,
        "update_catalog": catalog.update,
        "create_customer": customers.create_customer,
        "update_customer": customers.update_customer,
        "delete_customer": customers.delete_customer,
        "create_session": create_session,
        "pay": pay,
        "decline": decline,
        "settle": payment.settle,
        "fail_payment": payment.fail,
        "expire": checkout.expire,
        "refund": refunds.refund,
        "complete_refund": refunds.complete,
        "fail_refund": refunds.fail,
        "credit_note": credit_notes.credit_note,
        "void_credit_note": credit_notes.void,
        "dispute": disputes.open_dispute,
        "inquiry": disputes.open_inquiry,
        "escalate": disputes.escalate,
        "respond": disputes.respond,
        "win": disputes.win,
        "lose": disputes.lose,
        "close_inquiry": disputes.close_inquiry,
        "pay_out": payouts.manual,
        "arrive_payout": payouts.arrive,
        "fail_payout": payouts.fail,
        "draft_invoice": draft_invoice,
        "finalize_invoice": manual_invoices.finalize,
        "void_invoice": manual_invoices.void,
        "mark_uncollectible": manual_invoices.mark_uncollectible,
        "pay_off_stripe": manual_invoices.pay_off_stripe,
        "product_fee": fees.product_fee,
        "tax_fee": fees.tax_fee,
        "topup": fees.topup,
        "reserve_hold": fees.hold,
        "reserve_release": fees.release,
        "adjust": fees.adjust,
    }
)


def act(shop: Shop, action: str, params: Mapping[str, Any]) -> Any:
    """Call an action by name. Raises NotPossible when there is no such one or it does not take these parameters."""
    if action not in ACTIONS:
        raise NotPossible(f"no action {action!r}; there are {', '.join(sorted(ACTIONS))}")
    found = ACTIONS[action]
    try:
        bound = signature(found).bind(shop, **params)
    except TypeError as fault:
        raise NotPossible(f"{action} takes {signature(found)}: {fault}") from None
    return found(*bound.args, **bound.kwargs)
