"""Invoices, their lines and payments, credit notes, discounts (API 2026-10-28.endive: stripe.md §1.2, §6.2).

`payments` and `confirmation_secret` of an invoice come only when expanded and are not stored.
"""

from typing import Any

from sandbox.stripe.shapes.base import Object, filled, nested


def invoice(**given: Any) -> Object:
    return filled({**_invoice_money(), **_invoice_people(), **_invoice_paper(), **_invoice_rest()}, given)


def _invoice_money() -> Object:
    return {
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_paid_off_stripe": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "currency": "usd",
        "ending_balance": None,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "shipping_cost": None,
        "starting_balance": 0,
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
    }


def _invoice_people() -> Object:
    return {
        "account_country": "US",
        "account_name": None,
        "account_tax_ids": None,
        "customer": None,
        "customer_account": None,
        "customer_address": None,
        "customer_email": None,
        "customer_name": None,
        "customer_phone": None,
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "issuer": {"type": "self"},
        "on_behalf_of": None,
        "shipping_details": None,
    }


def _invoice_paper() -> Object:
    """What stands on the printed invoice."""
    return {
        "custom_fields": None,
        "description": None,
        "footer": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "number": None,
        "receipt_number": None,
        "rendering": {
            "amount_tax_display": None,
            "pdf": {"page_size": "letter"},
            "template": None,
            "template_version": None,
        },
        "statement_descriptor": None,
    }


def _invoice_rest() -> Object:
    return {
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": False,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": "manual",
        "collection_method": "charge_automatically",
        "created": 0,
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "discounts": [],
        "due_date": None,
        "effective_at": None,
        "from_invoice": None,
        "id": None,
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": nested([], ""),
        "livemode": True,
        "metadata": {},
        "next_payment_attempt": None,
        "object": "invoice",
        "parent": None,
        "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        "period_end": 0,
        "period_start": 0,
        "status": "draft",
        "status_details": None,
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "test_clock": None,
        "threshold_reason": None,
        "webhooks_delivered_at": None,
    }


def invoice_line(**given: Any) -> Object:
    return filled(
        {
            "amount": 0,
            "currency": "usd",
            "description": None,
            "discount_amounts": [],
            "discountable": True,
            "discounts": [],
            "id": None,
            "invoice": None,
            "livemode": True,
            "metadata": {},
            "object": "line_item",
            "parent": None,
            "period": {"end": 0, "start": 0},
            "pretax_credit_amounts": [],
            "pricing": None,
            "quantity": 1,
            "quantity_decimal": "1",
            "subscription": None,
            "subtotal": 0,
            "taxes": [],
        },
        given,
    )


def tax_entry(*, amount: int, rate: str, taxable: int, reason: str, behavior: str) -> Object:
    """One element of `total_taxes` or a line's `taxes`: one per jurisdiction's rate."""
    return {
        "amount": amount,
        "tax_behavior": behavior,
        "tax_rate_details": {"tax_rate": rate},
        "taxability_reason": reason,
        "taxable_amount": taxable,
        "type": "tax_rate_details",
    }


def invoice_payment(**given: Any) -> Object:
    return filled(
        {
            "amount_paid": None,
            "amount_requested": 0,
            "created": 0,
            "currency": "usd",
            "id": None,
            "invoice": None,
            "is_default": True,
            "livemode": True,
            "object": "invoice_payment",
            "payment": {"charge": None, "payment_intent": None, "payment_record": None, "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        },
        given,
    )


def credit_note(**given: Any) -> Object:
    return filled(
        {
            "amount": 0,
            "amount_shipping": 0,
            "created": 0,
            "currency": "usd",
            "customer": None,
            "customer_account": None,
            "customer_balance_transaction": None,
            "discount_amount": 0,
            "discount_amounts": [],
            "effective_at": None,
            "id": None,
            "invoice": None,
            "lines": nested([], ""),
            "livemode": True,
            "memo": None,
            "metadata": {},
            "number": None,
            "object": "credit_note",
            "out_of_band_amount": None,
            "pdf": None,
            "post_payment_amount": 0,
            "pre_payment_amount": 0,
            "pretax_credit_amounts": [],
            "reason": None,
            "refunds": [],
            "shipping_cost": None,
            "status": "issued",
            "subtotal": 0,
            "subtotal_excluding_tax": 0,
            "total": 0,
            "total_excluding_tax": 0,
            "total_taxes": [],
            "type": "post_payment",
            "voided_at": None,
        },
        given,
    )


def credit_note_line(**given: Any) -> Object:
    return filled(
        {
            "amount": 0,
            "description": None,
            "discount_amount": 0,
            "discount_amounts": [],
            "id": None,
            "invoice_line_item": None,
            "livemode": True,
            "metadata": {},
            "object": "credit_note_line_item",
            "pretax_credit_amounts": [],
            "quantity": None,
            "tax_rates": [],
            "taxes": [],
            "type": "invoice_line_item",
            "unit_amount": None,
            "unit_amount_decimal": None,
        },
        given,
    )


def discount(**given: Any) -> Object:
    return filled(
        {
            "checkout_session": None,
            "customer": None,
            "customer_account": None,
            "end": None,
            "id": None,
            "invoice": None,
            "invoice_item": None,
            "object": "discount",
            "promotion_code": None,
            "source": {"coupon": None, "type": "coupon"},
            "start": 0,
            "subscription": None,
            "subscription_item": None,
        },
        given,
    )


def coupon(**given: Any) -> Object:
    return filled(
        {
            "amount_off": None,
            "created": 0,
            "currency": None,
            "duration": "once",
            "duration_in_months": None,
            "id": None,
            "livemode": True,
            "max_redemptions": None,
            "metadata": {},
            "name": None,
            "object": "coupon",
            "percent_off": None,
            "redeem_by": None,
            "times_redeemed": 0,
            "valid": True,
        },
        given,
    )
