"""Checkout Sessions and their line items (stripe.md §2.6).

`line_items` and `total_details.breakdown` come only when expanded and are not stored in the session; an item's `taxes`
and `discounts` are kept in the item, the server shows them when expanded.
"""

from typing import Any

from sandbox.stripe.shapes.base import Object, filled


def session(**given: Any) -> Object:
    return filled({**_session_settings(), **_session_collected(), **_session_state()}, given)


def _session_settings() -> Object:
    """What the creator of the session asked for."""
    return {
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": None,
        "allowed_payment_method_types": None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "branding_settings": None,
        "cancel_url": None,
        "client_reference_id": None,
        "consent_collection": None,
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer_creation": "if_required",
        "customer_email": None,
        "excluded_payment_method_types": None,
        "integration_identifier": None,
        "invoice_creation": None,
        "locale": None,
        "managed_payments": {"enabled": False},
        "metadata": {},
        "mode": "payment",
        "name_collection": None,
        "optional_items": None,
        "origin_context": None,
        "payment_link": None,
        "payment_method_collection": "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "redirect_on_completion": None,
        "return_url": None,
        "saved_payment_method_options": None,
        "shipping_address_collection": None,
        "shipping_options": [],
        "submit_type": None,
        "success_url": None,
        "tax_id_collection": {"enabled": False, "required": "never"},
        "ui_mode": "hosted_page",
        "wallet_options": None,
    }


def _session_collected() -> Object:
    """What the buyer gave on the page."""
    return {
        "collected_information": None,
        "consent": None,
        "custom_fields": [],
        "customer": None,
        "customer_account": None,
        "customer_details": None,
        "discounts": [],
        "presentment_details": None,
        "shipping_cost": None,
    }


def _session_state() -> Object:
    return {
        "amount_subtotal": 0,
        "amount_total": 0,
        "client_secret": None,
        "created": 0,
        "currency": "usd",
        "currency_conversion": None,
        "expires_at": 0,
        "id": None,
        "invoice": None,
        "livemode": True,
        "object": "checkout.session",
        "payment_intent": None,
        "payment_status": "unpaid",
        "recovered_from": None,
        "setup_intent": None,
        "status": "open",
        "subscription": None,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "url": None,
    }


def item(**given: Any) -> Object:
    return filled(
        {
            "adjustable_quantity": None,
            "amount_discount": 0,
            "amount_subtotal": 0,
            "amount_tax": 0,
            "amount_total": 0,
            "currency": "usd",
            "description": None,
            "discounts": [],
            "id": None,
            "metadata": {},
            "object": "item",
            "price": None,
            "quantity": 1,
            "taxes": [],
        },
        given,
    )
