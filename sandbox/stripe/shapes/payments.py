"""Payment intents, charges, refunds, disputes. A charge's `refunds` comes only when expanded and is not stored."""

from typing import Any

from sandbox.stripe.shapes.base import Object, filled


def payment_intent(**given: Any) -> Object:
    return filled(
        {
            "allowed_payment_method_types": None,
            "amount": 0,
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": None,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "automatic_async",
            "client_secret": None,
            "confirmation_method": "automatic",
            "created": 0,
            "currency": "usd",
            "customer": None,
            "customer_account": None,
            "description": None,
            "excluded_payment_method_types": None,
            "hooks": None,
            "id": None,
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": True,
            "managed_payments": {"enabled": False},
            "metadata": {},
            "next_action": None,
            "object": "payment_intent",
            "on_behalf_of": None,
            "payment_details": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {},
            "payment_method_types": ["card"],
            "payment_record": None,
            "presentment_details": None,
            "processing": None,
            "receipt_email": None,
            "review": None,
            "setup_future_usage": None,
            "shipping": None,
            "source": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "requires_payment_method",
            "transfer_data": None,
            "transfer_group": None,
        },
        given,
    )


def charge(**given: Any) -> Object:
    return filled(
        {
            "amount": 0,
            "amount_captured": 0,
            "amount_refunded": 0,
            "application": None,
            "application_fee": None,
            "application_fee_amount": None,
            "authorization_code": None,
            "balance_transaction": None,
            "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
            "calculated_statement_descriptor": "REDIS UNIVERSITY",
            "captured": True,
            "created": 0,
            "currency": "usd",
            "customer": None,
            "description": None,
            "disputed": False,
            "failure_balance_transaction": None,
            "failure_code": None,
            "failure_message": None,
            "fraud_details": {},
            "id": None,
            "level3": None,
            "livemode": True,
            "metadata": {},
            "object": "charge",
            "on_behalf_of": None,
            "outcome": None,
            "paid": True,
            "payment_intent": None,
            "payment_method": None,
            "payment_method_details": None,
            "presentment_details": None,
            "radar_options": {},
            "receipt_email": None,
            "receipt_number": None,
            "receipt_url": None,
            "refunded": False,
            "review": None,
            "shipping": None,
            "source": None,
            "source_transfer": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "succeeded",
            "transfer": None,
            "transfer_data": None,
            "transfer_group": None,
        },
        given,
    )


def outcome(*, accepted: bool, code: str | None) -> Object:
    """The network's answer: authorised, or declined with `code`."""
    return {
        "advice_code": None if accepted else "try_again_later",
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network" if accepted else "declined_by_network",
        "reason": code,
        "risk_level": "normal",
        "risk_score": 21,
        "rule": None,
        "seller_message": "Payment complete." if accepted else "The bank did not return any further details.",
        "type": "authorized" if accepted else "issuer_declined",
    }


def card_details(*, amount: int, brand: str, country: str, last4: str) -> Object:
    return {
        "card": {
            "amount_authorized": amount,
            "authorization_code": None,
            "brand": brand,
            "checks": {
                "address_line1_check": "pass",
                "address_postal_code_check": "pass",
                "cvc_check": "pass",
            },
            "country": country,
            "exp_month": 8,
            "exp_year": 2030,
            "extended_authorization": {"status": "disabled"},
            "fingerprint": "AOB934RVNwzk6xtn",
            "funding": "credit",
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "last4": last4,
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": brand,
            "network_token": {"used": False},
            "network_transaction_id": None,
            "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
            "regulated_status": None,
            "three_d_secure": None,
            "transaction_link_id": None,
            "wallet": None,
        },
        "type": "card",
    }


def bank_details(method: str, country: str) -> Object:
    """A delayed method: `us_bank_account` or `sepa_debit`."""
    shared = {"fingerprint": "Ih3foEnJmpBTWCzB", "last4": "6789", "mandate": None, "expected_debit_date": None}
    if method == "sepa_debit":
        return {
            "sepa_debit": {**shared, "bank_code": "37040044", "branch_code": "", "country": country},
            "type": method,
        }
    return {
        "us_bank_account": {
            **shared,
            "account_holder_type": "individual",
            "account_type": "checking",
            "bank_name": "STRIPE TEST BANK",
            "payment_reference": None,
            "routing_number": "110000000",
        },
        "type": "us_bank_account",
    }


def refund(**given: Any) -> Object:
    return filled(
        {
            "amount": 0,
            "balance_transaction": None,
            "charge": None,
            "created": 0,
            "currency": "usd",
            "customer": None,
            "customer_account": None,
            "description": None,
            "destination_details": None,
            "failure_balance_transaction": None,
            "failure_reason": None,
            "id": None,
            "instructions_email": None,
            "metadata": {},
            "next_action": None,
            "object": "refund",
            "payment_intent": None,
            "payment_method": None,
            "pending_reason": None,
            "presentment_details": None,
            "reason": None,
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": "succeeded",
            "transfer_reversal": None,
        },
        given,
    )


EVIDENCE = """
    access_activity_log appeal billing_address cancellation_policy cancellation_policy_disclosure cancellation_rebuttal
    customer_communication customer_email_address customer_name customer_purchase_ip customer_signature
    duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id product_description receipt
    refund_policy refund_policy_disclosure refund_refusal_explanation service_date service_documentation
    shipping_address shipping_carrier shipping_date shipping_documentation shipping_tracking_number uncategorized_file
    uncategorized_text
""".split()


def dispute(**given: Any) -> Object:
    return filled(
        {
            "amount": 0,
            "balance_transactions": [],
            "charge": None,
            "created": 0,
            "currency": "usd",
            "enhanced_eligibility_types": [],
            "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
            "evidence_details": {
                "due_by": None,
                "enhanced_eligibility": {},
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
                "submission_method": "not_submitted",
            },
            "id": None,
            "intended_submission_method": None,
            "is_charge_refundable": False,
            "livemode": True,
            "metadata": {},
            "network_reason_code": "10.4",
            "object": "dispute",
            "payment_intent": None,
            "payment_method_details": {
                "card": {"brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": "10.4"},
                "type": "card",
            },
            "reason": "fraudulent",
            "status": "needs_response",
        },
        given,
    )
