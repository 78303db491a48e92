"""Builders of full Stripe objects, one function a kind: every field Stripe returns, nothing else.

Field names are those of stripe-python 16.1's classes (tests/test_sandbox_shapes.py compares them). Every call makes new
nested values, so that a caller may keep and change what it gets.
"""

from sandbox.stripe.shapes.balance import balance_transaction, customer_balance_transaction, fee_detail, payout, topup
from sandbox.stripe.shapes.base import Object, address, nested
from sandbox.stripe.shapes.billing import (
    coupon,
    credit_note,
    credit_note_line,
    discount,
    invoice,
    invoice_line,
    invoice_payment,
    tax_entry,
)
from sandbox.stripe.shapes.catalog import (
    account,
    customer,
    price,
    product,
    registration,
    tax_code,
    tax_id,
    tax_rate,
    tax_settings,
    webhook_endpoint,
)
from sandbox.stripe.shapes.checkout import item, session
from sandbox.stripe.shapes.payments import (
    bank_details,
    card_details,
    charge,
    dispute,
    outcome,
    payment_intent,
    refund,
)

__all__ = [
    "Object",
    "account",
    "address",
    "balance_transaction",
    "bank_details",
    "card_details",
    "charge",
    "coupon",
    "credit_note",
    "credit_note_line",
    "customer",
    "customer_balance_transaction",
    "discount",
    "dispute",
    "fee_detail",
    "invoice",
    "invoice_line",
    "invoice_payment",
    "item",
    "nested",
    "outcome",
    "payment_intent",
    "payout",
    "price",
    "product",
    "refund",
    "registration",
    "session",
    "tax_code",
    "tax_entry",
    "tax_id",
    "tax_rate",
    "tax_settings",
    "topup",
    "webhook_endpoint",
]
