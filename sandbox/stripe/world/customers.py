"""Customers: made by a checkout or by hand, changed, deleted."""

from typing import Any

from sandbox.stripe import shapes
from sandbox.stripe.world.model import Buyer
from sandbox.stripe.world.shop import Shop


def create_customer(shop: Shop, **fields: Any) -> shapes.Object:
    shop.people += 1
    made = shapes.customer(
        id=shop.ids.new("cus"),
        created=shop.now,
        livemode=shop.spec.livemode,
        invoice_prefix=f"{shop.spec.name.upper()}{shop.people:06d}",
        **fields,
    )
    return shop.create(made, "customer.created")


def place(buyer: Buyer) -> shapes.Object:
    return shapes.address(buyer.country, buyer.state, buyer.city, buyer.line1, buyer.postal_code)


def make_customer(shop: Shop, session: shapes.Object, buyer: Buyer) -> str | None:
    """The customer of a sale: the session's, a new one, or none (a guest)."""
    if session["customer"]:
        return str(session["customer"])
    if session["customer_creation"] != "always":
        return None
    made = create_customer(
        shop, name=buyer.name, email=buyer.email, address=place(buyer), tax_exempt=buyer.tax_exempt, currency=None
    )
    if buyer.tax_id:
        _keep_tax_id(shop, made["id"], buyer.tax_id)
    return str(made["id"])


def _keep_tax_id(shop: Shop, customer: str, given: tuple[str, str]) -> None:
    type, value = given
    made = shapes.tax_id(
        id=shop.ids.new("txi"),
        created=shop.now,
        country=value[:2],
        customer=customer,
        livemode=shop.spec.livemode,
        owner={"customer": customer, "type": "customer"},
        type=type,
        value=value,
        verification={"status": "verified", "verified_address": None, "verified_name": None},
    )
    shop.create(made, "customer.tax_id.created")


def update_customer(shop: Shop, id: str, **fields: Any) -> shapes.Object:
    return shop.change("customer", id, "customer.updated", **fields)


def delete_customer(shop: Shop, id: str) -> shapes.Object:
    """Delete: lists forget the customer, a retrieve answers `deleted`; its charges and invoices keep the id."""
    customer = shop.get("customer", id)
    shop.store.remove("customer", id)
    shop.emit("customer.deleted", customer)
    return {"id": id, "object": "customer", "deleted": True}
