"""Products, prices, tax rates, registrations, customers, the account itself.

Expand-only and not stored: a price's `currency_options` and `tiers`; a customer's `cash_balance`,
`invoice_credit_balance`, `sources`, `subscriptions`, `tax`, `tax_ids`.
"""

from typing import Any

from sandbox.stripe.shapes.base import Object, filled, nested


def product(**given: Any) -> Object:
    return filled(
        {
            "active": True,
            "created": 0,
            "default_price": None,
            "description": None,
            "id": None,
            "images": [],
            "livemode": True,
            "marketing_features": [],
            "metadata": {},
            "name": None,
            "object": "product",
            "package_dimensions": None,
            "shippable": None,
            "statement_descriptor": None,
            "tax_code": None,
            "tax_details": None,
            "type": "service",
            "unit_label": None,
            "updated": 0,
            "url": None,
        },
        given,
    )


def price(**given: Any) -> Object:
    return filled(
        {
            "active": True,
            "billing_scheme": "per_unit",
            "created": 0,
            "currency": "usd",
            "custom_unit_amount": None,
            "id": None,
            "livemode": True,
            "lookup_key": None,
            "metadata": {},
            "nickname": None,
            "object": "price",
            "product": None,
            "recurring": None,
            "tax_behavior": "exclusive",
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "one_time",
            "unit_amount": 0,
            "unit_amount_decimal": "0",
        },
        given,
    )


def tax_rate(**given: Any) -> Object:
    return filled(
        {
            "active": True,
            "country": None,
            "created": 0,
            "description": None,
            "display_name": None,
            "effective_percentage": None,
            "flat_amount": None,
            "id": None,
            "inclusive": False,
            "jurisdiction": None,
            "jurisdiction_level": None,
            "livemode": True,
            "metadata": {},
            "object": "tax_rate",
            "percentage": 0.0,
            "rate_type": None,
            "state": None,
            "tax_type": None,
        },
        given,
    )


def registration(**given: Any) -> Object:
    return filled(
        {
            "active_from": 0,
            "country": None,
            "country_options": {},
            "created": 0,
            "expires_at": None,
            "id": None,
            "livemode": True,
            "object": "tax.registration",
            "status": "active",
        },
        given,
    )


def tax_settings(**given: Any) -> Object:
    return filled(
        {
            "defaults": {"provider": "stripe", "tax_behavior": "exclusive", "tax_code": "txcd_20060058"},
            "head_office": None,
            "livemode": True,
            "object": "tax.settings",
            "status": "active",
            "status_details": {"active": {}},
        },
        given,
    )


def tax_code(**given: Any) -> Object:
    return filled({"description": None, "id": None, "name": None, "object": "tax_code", "requirements": None}, given)


def tax_id(**given: Any) -> Object:
    return filled(
        {
            "country": None,
            "created": 0,
            "customer": None,
            "customer_account": None,
            "id": None,
            "livemode": True,
            "object": "tax_id",
            "owner": None,
            "type": None,
            "value": None,
            "verification": None,
        },
        given,
    )


def customer(**given: Any) -> Object:
    return filled(
        {
            "address": None,
            "balance": 0,
            "business_name": None,
            "created": 0,
            "currency": None,
            "customer_account": None,
            "default_source": None,
            "delinquent": False,
            "description": None,
            "discount": None,
            "email": None,
            "id": None,
            "individual_name": None,
            "invoice_prefix": None,
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            "livemode": True,
            "metadata": {},
            "name": None,
            "next_invoice_sequence": 1,
            "object": "customer",
            "phone": None,
            "preferred_locales": [],
            "shipping": None,
            "tax_exempt": "none",
            "test_clock": None,
        },
        given,
    )


def _requirements() -> Object:
    return {
        "alternatives": [],
        "current_deadline": None,
        "currently_due": [],
        "disabled_reason": None,
        "errors": [],
        "eventually_due": [],
        "past_due": [],
        "pending_verification": [],
    }


def account(**given: Any) -> Object:
    id = given.get("id")
    return filled(
        {
            "business_profile": {"mcc": "8299", "name": "Redis University", "url": "https://university.example.com"},
            "business_type": "company",
            "capabilities": {"card_payments": "active", "transfers": "active"},
            "charges_enabled": True,
            "company": None,
            "controller": {"type": "account"},
            "country": "US",
            "created": 0,
            "default_currency": "usd",
            "details_submitted": True,
            "email": "payments@university.example.com",
            "external_accounts": nested([], f"/v1/accounts/{id}/external_accounts"),
            "future_requirements": _requirements(),
            "groups": None,
            "id": None,
            "individual": None,
            "metadata": {},
            "object": "account",
            "payouts_enabled": True,
            "requirements": _requirements(),
            "settings": _account_settings(),
            "tos_acceptance": {"date": None, "ip": None, "user_agent": None},
            "type": "standard",
        },
        given,
    )


def _account_settings() -> Object:
    return {
        "branding": {"icon": None, "logo": None, "primary_color": "#d82c20", "secondary_color": None},
        "card_payments": {"statement_descriptor_prefix": "REDIS U"},
        "dashboard": {"display_name": "Redis University", "timezone": "Etc/UTC"},
        "invoices": {"default_account_tax_ids": None, "hosted_payment_method_save": "offer"},
        "payments": {"statement_descriptor": "REDIS UNIVERSITY"},
        "payouts": {
            "debit_negative_balances": True,
            "schedule": {"delay_days": 2, "interval": "daily"},
            "statement_descriptor": None,
        },
    }


def webhook_endpoint(**given: Any) -> Object:
    return filled(
        {
            "api_version": "2026-10-28.endive",
            "application": None,
            "created": 0,
            "description": None,
            "enabled_events": ["*"],
            "id": None,
            "livemode": True,
            "metadata": {},
            "object": "webhook_endpoint",
            "status": "enabled",
            "url": None,
        },
        given,
    )
