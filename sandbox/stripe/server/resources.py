"""Every list endpoint: its kind, its permission and its filters, as stripe-python 16.1's list parameters have them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.stripe.server import filters
from sandbox.stripe.server.filters import Filter, any_of, equals, flag, matching, nested, refers, within
from sandbox.stripe.server.parameters import TEXT, Enum, Kind, ListOf, Text, boolean, moment

EVENTS_KEPT = 30 * 24 * 3600  # seconds (stripe.md §4.3)


@dataclass(frozen=True)
class Resource:
    """A kind of object with a list and a retrieve endpoint.

    `created` is False where Stripe has no such filter; `defaults` are filters that hold when not given; of each pair in
    `exclusive` only one may be given.
    """

    kind: str
    url: str
    permission: str
    filters: Mapping[str, Filter] = field(default_factory=dict)
    created: bool = True
    defaults: Mapping[str, str] = field(default_factory=dict)
    exclusive: tuple[tuple[str, str], ...] = ()

    @property
    def noun(self) -> str:
        """What messages call it: "No such invoice"."""
        return NOUNS.get(self.kind, self.kind)

    @property
    def table(self) -> dict[str, Kind]:
        """Accepted parameters, without the cursors."""
        own = {name: one.kind for name, one in self.filters.items()}
        return own | ({"created": moment} if self.created else {})


NOUNS = {"checkout.session": "checkout.session", "tax.registration": "tax registration", "event": "event"}


_PURPOSES = (
    "account_requirement", "additional_verification", "business_icon", "business_logo", "customer_signature",
    "dispute_evidence", "document_provider_identity_document", "finance_report_run",
    "financial_account_statement", "identity_document", "identity_document_downloadable",
    "issuing_regulatory_reporting", "pci_document", "platform_terms_of_service", "selfie", "sigma_scheduled_query",
    "tax_document_user_upload", "terminal_android_apk", "terminal_reader_splashscreen", "terminal_wifi_certificate",
    "terminal_wifi_private_key",
)  # fmt: skip

RESOURCES: tuple[Resource, ...] = (
    Resource(
        "invoice",
        "/v1/invoices",
        "rak_invoice_read",
        {
            "collection_method": equals("collection_method", Enum(("charge_automatically", "send_invoice"))),
            "customer": refers("invoice", "customer", "customer"),
            "customer_account": equals("customer_account"),
            "due_date": within("due_date"),
            "status": equals("status", Enum(("draft", "open", "paid", "uncollectible", "void"))),
            "subscription": equals("parent.subscription_details.subscription"),
        },
    ),
    Resource(
        "invoice_payment",
        "/v1/invoice_payments",
        "rak_invoice_read",
        {
            "invoice": refers("invoice_payment", "invoice", "invoice"),
            "payment": nested(
                {
                    "payment_intent": equals("payment.payment_intent"),
                    "payment_record": equals("payment.payment_record"),
                    "type": equals("payment.type", Enum(("payment_intent", "payment_record"))),
                },
                required=("type",),
            ),
            "status": equals("status", Enum(("canceled", "open", "paid"))),
        },
    ),
    Resource(
        "checkout.session",
        "/v1/checkout/sessions",
        "rak_checkout_session_read",
        {
            "customer": refers("checkout.session", "customer", "customer"),
            "customer_account": equals("customer_account"),
            "customer_details": nested({"email": equals("customer_details.email")}, required=("email",)),
            "payment_intent": refers("checkout.session", "payment_intent", "payment_intent"),
            "payment_link": equals("payment_link"),
            "status": equals("status", Enum(("complete", "expired", "open"))),
            "subscription": equals("subscription"),
        },
    ),
    Resource(
        "payment_intent",
        "/v1/payment_intents",
        "rak_payment_intent_read",
        {
            "customer": refers("payment_intent", "customer", "customer"),
            "customer_account": equals("customer_account"),
        },
    ),
    Resource(
        "charge",
        "/v1/charges",
        "rak_charge_read",
        {
            "customer": refers("charge", "customer", "customer"),
            "payment_intent": refers("charge", "payment_intent", "payment_intent"),
            "transfer_group": equals("transfer_group"),
        },
    ),
    Resource(
        "refund",
        "/v1/refunds",
        "rak_charge_read",
        {
            "charge": refers("refund", "charge", "charge"),
            "payment_intent": refers("refund", "payment_intent", "payment_intent"),
        },
    ),
    Resource(
        "dispute",
        "/v1/disputes",
        "rak_dispute_read",
        {
            "charge": refers("dispute", "charge", "charge"),
            "payment_intent": refers("dispute", "payment_intent", "payment_intent"),
        },
    ),
    Resource(
        "credit_note",
        "/v1/credit_notes",
        "rak_credit_note_read",
        {
            "customer": refers("credit_note", "customer", "customer"),
            "customer_account": equals("customer_account"),
            "invoice": refers("credit_note", "invoice", "invoice"),
        },
    ),
    Resource(
        "balance_transaction",
        "/v1/balance_transactions",
        "rak_balance_transaction_read",
        {
            "currency": equals("currency"),
            "payout": Filter(TEXT, among=filters.payout_members),
            "source": equals("source"),
            "type": equals("type"),
        },
    ),
    Resource(
        "payout",
        "/v1/payouts",
        "rak_payout_read",
        {
            "arrival_date": within("arrival_date"),
            "destination": equals("destination"),
            "status": equals("status", Enum(("pending", "paid", "failed", "canceled"))),
        },
    ),
    Resource(
        "customer",
        "/v1/customers",
        "rak_customer_read",
        {"email": equals("email", Text(512)), "test_clock": equals("test_clock")},
    ),
    Resource(
        "product",
        "/v1/products",
        "rak_product_read",
        {
            "active": flag("active"),
            "ids": any_of("id", TEXT),
            "shippable": flag("shippable"),
            "type": equals("type", Enum(("good", "service"))),
            "url": equals("url"),
        },
    ),
    Resource(
        "price",
        "/v1/prices",
        "rak_plan_read",
        {
            "active": flag("active"),
            "currency": equals("currency"),
            "lookup_keys": Filter(
                ListOf(TEXT, most=10), wanted=lambda _call, keys: lambda price: price["lookup_key"] in keys
            ),
            "product": refers("price", "product", "product"),
            "recurring": Filter(filters.RECURRING, wanted=filters.recurring),
            "type": equals("type", Enum(("one_time", "recurring"))),
        },
    ),
    Resource(
        "tax_rate",
        "/v1/tax_rates",
        "rak_tax_rate_read",
        {"active": flag("active"), "inclusive": flag("inclusive")},
    ),
    Resource(
        "tax.registration",
        "/v1/tax/registrations",
        "rak_tax_settings_read",
        {"status": Filter(Enum(("active", "all", "expired", "scheduled")), wanted=filters.registered)},
        created=False,
        defaults={"status": "active"},
    ),
    Resource("tax_code", "/v1/tax_codes", "rak_tax_code_read", created=False),
    Resource(
        "event",
        "/v1/events",
        "rak_event_read",
        {
            "delivery_success": Filter(boolean, wanted=filters.delivered),
            "type": matching("type"),
            "types": Filter(ListOf(TEXT, most=20), wanted=filters.event_types),
        },
        exclusive=(("type", "types"),),
    ),
    Resource("webhook_endpoint", "/v1/webhook_endpoints", "rak_webhook_read", created=False),
    Resource("reporting.report_run", "/v1/reporting/report_runs", "rak_report_runs_and_report_types_read"),
    Resource("file", "/v1/files", "rak_file_read", {"purpose": equals("purpose", Enum(_PURPOSES))}),
    Resource(
        "topup",
        "/v1/topups",
        "rak_topup_read",
        {"amount": within("amount"), "status": equals("status", Enum(("canceled", "failed", "pending", "succeeded")))},
    ),
)
BY_KIND = {one.kind: one for one in RESOURCES}
