"""The Checkout Session that is asked of Stripe for an order: pure, parameter by parameter as stripe.md §2.1, §2.2."""

from dataclasses import dataclass
from typing import Any

from redisu_pipeline.common.settings import Account, Course, Pages, TaxMode
from webhook_service.orders import Order
from webhook_service.pages.offers import OnShelf

RESPONSIBILITY = "I confirm that my billing address is correct; it decides the tax, and I am responsible for it."


@dataclass(frozen=True, kw_only=True)
class Sale:
    """Everything that a session is made of; the same sale gives the same parameters, as its idempotency key asks."""

    order: Order
    course: Course
    account: Account
    pages: Pages
    shelf: OnShelf
    success_url: str
    cancel_url: str

    @property
    def idempotency_key(self) -> str:
        """One session for each attempt of an order, however often it is asked for (stripe.md §2.4)."""
        return f"checkout:{self.order.order_id}:{self.order.attempt}"


def parameters_of(sale: Sale) -> dict[str, Any]:
    """Return the parameters of ``POST /v1/checkout/sessions``."""
    order, metadata = sale.order, metadata_of(sale)
    line: dict[str, Any] = {"price": sale.shelf.price, "quantity": 1, "metadata": metadata}
    if sale.shelf.tax_rate is not None:
        line["tax_rates"] = [sale.shelf.tax_rate]
    return {
        "mode": "payment",
        "ui_mode": "hosted_page",
        "line_items": [line],
        "automatic_tax": {"enabled": sale.account.tax is TaxMode.AUTOMATIC},
        # For the US the full address is the safe reading of "tax by billing address" (stripe.md §2.7).
        "billing_address_collection": "required",
        "customer_creation": "always",
        "customer_email": order.email,
        "tax_id_collection": {"enabled": True},
        # Metadata is not copied from one to the other: it is set in each (stripe.md §2.5).
        "invoice_creation": {"enabled": True, "invoice_data": {"metadata": metadata}},
        "payment_intent_data": {"metadata": metadata, "description": f"{sale.course.name} ({order.order_id})"},
        "metadata": metadata,
        "client_reference_id": order.order_id,
        **_consent(sale.account),
        "success_url": sale.success_url,
        "cancel_url": sale.cancel_url,
        "locale": "auto",
        # Both follow the Dashboard when they are not sent; invoices must be in our currency and in our name.
        "adaptive_pricing": {"enabled": False},
        "managed_payments": {"enabled": False},
        "branding_settings": {
            "display_name": sale.pages.brand,
            "button_color": sale.pages.accent_color,
            "border_style": "rounded",
        },
    }


def metadata_of(sale: Sale) -> dict[str, str]:
    """What session, payment intent and invoice carry: how books, support and a lost database find the order again."""
    return {
        "order_id": sale.order.order_id,
        "course": sale.course.slug,
        "flockjay_course_id": sale.course.flockjay_course_id,
        "learner": sale.order.learner,
        "correlation_id": sale.order.correlation_id,
    }


def _consent(account: Account) -> dict[str, Any]:
    """Checkout has one checkbox, that of the terms; where the account has none, the sentence stands by the button."""
    if account.terms_url is None:
        return {"custom_text": {"submit": {"message": RESPONSIBILITY}}}
    message = f"{RESPONSIBILITY} I accept the [terms]({account.terms_url})."
    return {
        "consent_collection": {"terms_of_service": "required"},
        "custom_text": {"terms_of_service_acceptance": {"message": message}},
    }
