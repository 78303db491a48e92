"""Balance transactions, payouts, top-ups, customer balance transactions (stripe.md §5.4, §5.5, §8)."""

from typing import Any

from sandbox.stripe.shapes.base import Object, filled


def balance_transaction(**given: Any) -> Object:
    return filled(
        {
            "amount": 0,
            "available_on": 0,
            "balance_type": "payments",
            "created": 0,
            "currency": "usd",
            "description": None,
            "exchange_rate": None,
            "fee": 0,
            "fee_details": [],
            "id": None,
            "net": 0,
            "object": "balance_transaction",
            "reporting_category": None,
            "source": None,
            "status": "pending",
            "type": None,
        },
        given,
    )


def fee_detail(*, amount: int, currency: str, type: str, description: str) -> Object:
    return {"amount": amount, "application": None, "currency": currency, "description": description, "type": type}


def payout(**given: Any) -> Object:
    return filled(
        {
            "amount": 0,
            "application_fee": None,
            "application_fee_amount": None,
            "arrival_date": 0,
            "automatic": True,
            "balance_transaction": None,
            "created": 0,
            "currency": "usd",
            "description": "STRIPE PAYOUT",
            "destination": None,
            "failure_balance_transaction": None,
            "failure_code": None,
            "failure_message": None,
            "id": None,
            "livemode": True,
            "metadata": {},
            "method": "standard",
            "object": "payout",
            "original_payout": None,
            "payout_method": None,
            "reconciliation_status": "in_progress",
            "reversed_by": None,
            "source_type": "card",
            "statement_descriptor": None,
            "status": "pending",
            "trace_id": None,
            "type": "bank_account",
        },
        given,
    )


def topup(**given: Any) -> Object:
    return filled(
        {
            "amount": 0,
            "balance_transaction": None,
            "created": 0,
            "currency": "usd",
            "description": None,
            "expected_availability_date": None,
            "failure_code": None,
            "failure_message": None,
            "id": None,
            "initiated_by": None,
            "livemode": True,
            "metadata": {},
            "object": "topup",
            "payment_method": None,
            "payment_method_options": None,
            "source": None,
            "statement_descriptor": None,
            "status": "succeeded",
            "transfer_group": None,
        },
        given,
    )


def customer_balance_transaction(**given: Any) -> Object:
    return filled(
        {
            "amount": 0,
            "checkout_session": None,
            "created": 0,
            "credit_note": None,
            "currency": "usd",
            "customer": None,
            "customer_account": None,
            "description": None,
            "ending_balance": 0,
            "id": None,
            "invoice": None,
            "livemode": True,
            "metadata": {},
            "object": "customer_balance_transaction",
            "type": "credit_note",
        },
        given,
    )
