"""Accepted parameters of the other POST endpoints, as stripe-python 16.1's create and update parameters have them.

What this project never sends takes `anything`; the handlers refuse it in words.
"""

from sandbox.stripe.server.checkout_tables import TAX_BEHAVIOR, TAX_DETAILS
from sandbox.stripe.server.parameters import (
    EXPAND,
    INT,
    METADATA,
    TEXT,
    Enum,
    Integer,
    Kind,
    ListOf,
    Shape,
    Text,
    anything,
    boolean,
    decimal,
)

_TAX_TYPES = tuple(
    """
    admissions_tax amusement_tax attendance_tax communications_tax digital_excise_tax entertainment_tax get_fund
    gross_receipts_tax gst hospitality_tax hst igst jct lease_tax luxury_tax mass_transit_parking_tax nhil parking_tax
    pst qst resort_tax retail_delivery_fee rst sales_tax service_tax tourism_tax utility_users_tax vat
    """.split()
)

PRODUCT_CREATE: dict[str, Kind] = {
    "active": boolean,
    "default_price_data": anything,
    "description": TEXT,
    "expand": EXPAND,
    "id": TEXT,
    "images": ListOf(TEXT, most=8),
    "marketing_features": ListOf(Shape({"name": TEXT}, required=("name",)), most=15),
    "metadata": METADATA,
    "name": TEXT,
    "package_dimensions": anything,
    "shippable": boolean,
    "statement_descriptor": Text(22),
    "tax_code": TEXT,
    "tax_details": TAX_DETAILS,
    "type": Enum(("good", "service")),
    "unit_label": TEXT,
    "url": TEXT,
}
PRODUCT_UPDATE: dict[str, Kind] = {
    "active": boolean,
    "default_price": TEXT,
    "description": Text(empty=True),
    "expand": EXPAND,
    "images": ListOf(TEXT, most=8, empty=True),
    "marketing_features": ListOf(Shape({"name": TEXT}, required=("name",)), most=15, empty=True),
    "metadata": METADATA,
    "name": TEXT,
    "package_dimensions": anything,
    "shippable": boolean,
    "statement_descriptor": Text(22),
    "tax_code": Text(empty=True),
    "tax_details": TAX_DETAILS,
    "unit_label": Text(empty=True),
    "url": Text(empty=True),
}
PRICE_CREATE: dict[str, Kind] = {
    "active": boolean,
    "billing_scheme": Enum(("per_unit", "tiered")),
    "currency": TEXT,
    "currency_options": anything,
    "custom_unit_amount": anything,
    "expand": EXPAND,
    "lookup_key": Text(200),
    "metadata": METADATA,
    "nickname": TEXT,
    "product": TEXT,
    "product_data": anything,
    "recurring": anything,
    "tax_behavior": TAX_BEHAVIOR,
    "tiers": anything,
    "tiers_mode": Enum(("graduated", "volume")),
    "transfer_lookup_key": boolean,
    "transform_quantity": anything,
    "unit_amount": Integer(0, 99_999_999),
    "unit_amount_decimal": decimal,
}
PRICE_UPDATE: dict[str, Kind] = {
    "active": boolean,
    "currency_options": anything,
    "expand": EXPAND,
    "lookup_key": Text(200),
    "metadata": METADATA,
    "nickname": TEXT,
    "tax_behavior": TAX_BEHAVIOR,
    "transfer_lookup_key": boolean,
}
TAX_RATE_UPDATE: dict[str, Kind] = {
    "active": boolean,
    "country": Text(2),
    "description": TEXT,
    "display_name": Text(50),
    "expand": EXPAND,
    "jurisdiction": Text(50),
    "metadata": METADATA,
    "state": TEXT,
    "tax_type": Enum(_TAX_TYPES),
}
TAX_RATE_CREATE: dict[str, Kind] = TAX_RATE_UPDATE | {"inclusive": boolean, "percentage": decimal}
REFUND_CREATE: dict[str, Kind] = {
    "amount": Integer(1),
    "charge": TEXT,
    "currency": TEXT,
    "customer": TEXT,
    "expand": EXPAND,
    "instructions_email": TEXT,
    "metadata": METADATA,
    "origin": Enum(("customer_balance",)),
    "payment_intent": TEXT,
    "reason": Enum(("duplicate", "fraudulent", "requested_by_customer")),
    "refund_application_fee": boolean,
    "reverse_transfer": boolean,
}
_NOTE_LINE = Shape(
    {
        "amount": INT,
        "description": TEXT,
        "invoice_line_item": TEXT,
        "metadata": METADATA,
        "quantity": INT,
        "tax_amounts": anything,
        "tax_rates": ListOf(TEXT, empty=True),
        "type": Enum(("custom_line_item", "invoice_line_item")),
        "unit_amount": INT,
        "unit_amount_decimal": decimal,
    },
    required=("type",),
)
_NOTE_REFUND = Shape(
    {
        "amount_refunded": INT,
        "payment_record_refund": anything,
        "refund": TEXT,
        "type": Enum(("payment_record_refund", "refund")),
    }
)
CREDIT_NOTE_CREATE: dict[str, Kind] = {
    "amount": Integer(0),
    "credit_amount": Integer(0),
    "effective_at": INT,
    "email_type": Enum(("credit_note", "none")),
    "expand": EXPAND,
    "invoice": TEXT,
    "lines": ListOf(_NOTE_LINE),
    "memo": TEXT,
    "metadata": METADATA,
    "out_of_band_amount": Integer(0),
    "reason": Enum(("duplicate", "fraudulent", "order_change", "product_unsatisfactory")),
    "refund_amount": Integer(0),
    "refunds": ListOf(_NOTE_REFUND),
    "shipping_cost": anything,
}
