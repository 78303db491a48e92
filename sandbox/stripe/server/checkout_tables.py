"""Accepted parameters of Checkout Sessions, as stripe-python 16.1's create parameters have them.

Corners of Checkout that this project never uses take `anything`: subscriptions, shipping, settings per payment method.
"""

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

_METHODS = tuple(
    """
    acss_debit affirm afterpay_clearpay alipay alma amazon_pay au_becs_debit bacs_debit bancontact billie bizum blik
    boleto card cashapp crypto customer_balance eps fpx giropay grabpay ideal kakao_pay klarna konbini kr_card link
    mb_way mobilepay multibanco naver_pay nz_bank_account oxxo p24 pay_by_bank payco paynow paypal paypay payto pix
    promptpay revolut_pay samsung_pay satispay scalapay sepa_debit sequra sofort sunbit swish twint upi us_bank_account
    wechat_pay zip
    """.split()
)
_LOCALES = tuple(
    """
    auto bg cs da de el en en-GB es es-419 et fi fil fr fr-CA hi-IN hr hu id it ja ko lt lv ms mt nb nl pl pt pt-BR ro
    ru sk sl sv th tr vi zh zh-HK zh-TW
    """.split()
)
_FONTS = tuple(
    """
    be_vietnam_pro bitter chakra_petch default hahmlet inconsolata inter lato lora m_plus_1_code montserrat noto_sans
    noto_sans_jp noto_serif nunito open_sans pridi pt_sans pt_serif raleway roboto roboto_slab source_sans_pro
    titillium_web ubuntu_mono zen_maru_gothic
    """.split()
)
TAX_BEHAVIOR = Enum(("exclusive", "inclusive", "unspecified"))
_OWNER = Shape({"account": TEXT, "type": Enum(("account", "self"))}, required=("type",))
_ON = Shape({"enabled": boolean}, required=("enabled",))
_MESSAGE = Shape({"message": Text(1200)}, required=("message",), empty=True)
_IMAGE = Shape({"file": TEXT, "type": Enum(("file", "url")), "url": TEXT}, required=("type",))
_LENGTHS: dict[str, Kind] = {"default_value": TEXT, "maximum_length": INT, "minimum_length": INT}
TAX_DETAILS = Shape({"performance_location": TEXT, "tax_code": Text(empty=True)}, empty=True)
_QUANTITY = Shape({"enabled": boolean, "maximum": INT, "minimum": INT}, required=("enabled",))
_RECURRING = Shape({"interval": Enum(("day", "month", "week", "year")), "interval_count": INT}, required=("interval",))

_PRODUCT_DATA = Shape(
    {
        "description": TEXT,
        "images": ListOf(TEXT, most=8),
        "metadata": METADATA,
        "name": TEXT,
        "tax_code": TEXT,
        "tax_details": TAX_DETAILS,
        "unit_label": TEXT,
    },
    required=("name",),
)
_PRICE_DATA = Shape(
    {
        "currency": TEXT,
        "product": TEXT,
        "product_data": _PRODUCT_DATA,
        "recurring": _RECURRING,
        "tax_behavior": TAX_BEHAVIOR,
        "unit_amount": Integer(0, 99_999_999),
        "unit_amount_decimal": decimal,
    },
    required=("currency",),
)
LINE_ITEM = Shape(
    {
        "adjustable_quantity": _QUANTITY,
        "metadata": METADATA,
        "price": TEXT,
        "price_data": _PRICE_DATA,
        "quantity": Integer(1),
        "tax_rates": ListOf(TEXT),
    }
)
_INVOICE_DATA = Shape(
    {
        "account_tax_ids": ListOf(TEXT, empty=True),
        "custom_fields": ListOf(
            Shape({"name": Text(40), "value": Text(140)}, required=("name", "value")), most=4, empty=True
        ),
        "description": Text(1500),
        "footer": TEXT,
        "issuer": _OWNER,
        "metadata": METADATA,
        "rendering_options": Shape(
            {"amount_tax_display": Enum(("exclude_tax", "include_inclusive_tax"), empty=True), "template": TEXT},
            empty=True,
        ),
    }
)
_CUSTOM_FIELD = Shape(
    {
        "dropdown": Shape(
            {
                "default_value": TEXT,
                "options": ListOf(
                    Shape({"label": Text(100), "value": Text(100)}, required=("label", "value")), most=200
                ),
            },
            required=("options",),
        ),
        "key": Text(200),
        "label": Shape({"custom": Text(100), "type": Enum(("custom",))}, required=("custom", "type")),
        "numeric": Shape(_LENGTHS),
        "optional": boolean,
        "text": Shape(_LENGTHS),
        "type": Enum(("dropdown", "numeric", "text")),
    },
    required=("key", "label", "type"),
)
_PAYMENT_INTENT_DATA = Shape(
    {
        "application_fee_amount": INT,
        "capture_method": Enum(("automatic", "automatic_async", "manual")),
        "description": Text(1000),
        "metadata": METADATA,
        "on_behalf_of": TEXT,
        "receipt_email": TEXT,
        "setup_future_usage": Enum(("off_session", "on_session")),
        "shipping": anything,
        "statement_descriptor": Text(22),
        "statement_descriptor_suffix": Text(22),
        "transfer_data": anything,
        "transfer_group": TEXT,
    }
)
_BRANDING = Shape(
    {
        "background_color": Text(7, empty=True),
        "border_style": Enum(("pill", "rectangular", "rounded"), empty=True),
        "button_color": Text(7, empty=True),
        "display_name": TEXT,
        "font_family": Enum(_FONTS, empty=True),
        "icon": _IMAGE,
        "logo": _IMAGE,
    }
)

SESSION_CREATE: dict[str, Kind] = {
    "adaptive_pricing": Shape({"enabled": boolean}),
    "after_expiration": Shape(
        {"recovery": Shape({"allow_promotion_codes": boolean, "enabled": boolean}, required=("enabled",))}
    ),
    "allow_promotion_codes": boolean,
    "allowed_payment_method_types": ListOf(Enum(_METHODS)),
    "automatic_tax": Shape({"enabled": boolean, "liability": _OWNER}, required=("enabled",)),
    "billing_address_collection": Enum(("auto", "required")),
    "branding_settings": _BRANDING,
    "cancel_url": TEXT,
    "client_reference_id": Text(200),
    "consent_collection": Shape(
        {
            "payment_method_reuse_agreement": Shape({"position": Enum(("auto", "hidden"))}, required=("position",)),
            "promotions": Enum(("auto", "none")),
            "terms_of_service": Enum(("none", "required")),
        }
    ),
    "currency": TEXT,
    "custom_fields": ListOf(_CUSTOM_FIELD, most=3),
    "custom_text": Shape(
        dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance"), _MESSAGE)
    ),
    "customer": TEXT,
    "customer_account": TEXT,
    "customer_creation": Enum(("always", "if_required")),
    "customer_email": Text(800),
    "customer_update": Shape(dict.fromkeys(("address", "name", "shipping"), Enum(("auto", "never")))),
    "discounts": ListOf(Shape({"coupon": TEXT, "promotion_code": TEXT}), most=1),
    "excluded_payment_method_types": ListOf(Enum(tuple(one for one in _METHODS if one != "link"))),
    "expand": EXPAND,
    "expires_at": INT,
    "integration_identifier": TEXT,
    "invoice_creation": Shape({"enabled": boolean, "invoice_data": _INVOICE_DATA}, required=("enabled",)),
    "line_items": ListOf(LINE_ITEM, most=100),
    "locale": Enum(_LOCALES),
    "managed_payments": Shape({"enabled": boolean}),
    "metadata": METADATA,
    "mode": Enum(("payment", "setup", "subscription")),
    "name_collection": Shape(
        dict.fromkeys(
            ("business", "individual"), Shape({"enabled": boolean, "optional": boolean}, required=("enabled",))
        )
    ),
    "optional_items": ListOf(
        Shape({"adjustable_quantity": _QUANTITY, "price": TEXT, "quantity": INT}, required=("price", "quantity"))
    ),
    "origin_context": Enum(("mobile_app", "web")),
    "payment_intent_data": _PAYMENT_INTENT_DATA,
    "payment_method_collection": Enum(("always", "if_required")),
    "payment_method_configuration": TEXT,
    "payment_method_data": anything,
    "payment_method_options": anything,
    "permissions": anything,
    "phone_number_collection": _ON,
    "redirect_on_completion": Enum(("always", "if_required", "never")),
    "return_url": TEXT,
    "saved_payment_method_options": anything,
    "setup_intent_data": anything,
    "shipping_address_collection": anything,
    "shipping_options": anything,
    "submit_type": Enum(("auto", "book", "donate", "pay", "subscribe")),
    "subscription_data": anything,
    "success_url": TEXT,
    "tax_id_collection": Shape(
        {"enabled": boolean, "required": Enum(("if_supported", "never"))}, required=("enabled",)
    ),
    "ui_mode": Enum(("elements", "embedded_page", "form", "hosted_page")),
    "wallet_options": Shape({"link": Shape({"display": Enum(("auto", "never"))})}),
}
SESSION_EXPIRE: dict[str, Kind] = {"expand": EXPAND}
SESSION_UPDATE: dict[str, Kind] = {"expand": EXPAND, "metadata": METADATA}
