"""The ledger at Stripe: balance transactions with their fees, payouts, snapshots of the balance."""

from redisu_pipeline.tables.model import (
    CREATED,
    CURRENCY,
    ID,
    LIVEMODE,
    OUR_METADATA,
    Children,
    Resource,
    Scope,
    SilentChange,
    Table,
    flag,
    instant,
    minor,
    of_parent,
    position,
    rate,
    text,
)

# The union of the API's enum and of the documentation's category page: neither contains the other.
REPORTING_CATEGORIES = (
    "advance advance_funding anticipation_repayment charge charge_failure climate_order_purchase climate_order_refund "
    "connect_collection_transfer connect_reserved_funds contribution currency_conversion dispute dispute_reversal fee "
    "fee_credit_funding financing_paydown financing_paydown_reversal financing_payout financing_payout_reversal "
    "issuing_authorization_hold issuing_authorization_release issuing_disbursement issuing_dispute issuing_transaction "
    "network_cost other_adjustment partial_capture_reversal payment_network_reserve_hold "
    "payment_network_reserve_release payout payout_minimum_balance_hold payout_minimum_balance_release payout_reversal "
    "platform_earning platform_earning_refund refund refund_failure revenue_share reward risk_reserved_funds "
    "stripe_balance_payment_debit stripe_balance_payment_debit_reversal tax tax_fund tax_withholding topup "
    "topup_reversal transfer transfer_reversal unreconciled_customer_funds"
)

BALANCE_TRANSACTION_FEES = Table(
    "balance_transaction_fees",
    "What a balance transaction's `fee` consists of. Monthly product fees are not here: they are rows of their own.",
    (
        of_parent("balance_transaction", "Balance transaction id", column="id"),
        position("position", "Place among the fee details, from 0"),
        CURRENCY,
        minor("amount", "Fee; positive is a cost", required=True),
        text(
            "type",
            "Kind of fee",
            values="application_fee payment_method_passthrough_fee stripe_fee tax withheld_tax",
        ),
        text("description", "As Stripe words it"),
        text("application", "Application that took the fee"),
    ),
    own_id=False,
    root="balance_transaction",
)

BALANCE_TRANSACTIONS = Resource(
    table=Table(
        "balance_transactions",
        "Every movement of the Stripe balance: the truth the journals are built on. Only `status` ever changes.",
        (
            ID,
            CREATED,
            text("currency", "Settlement currency", required=True),
            minor("amount", "Gross, signed", required=True),
            minor("fee", "Fees kept by Stripe; positive is a cost", required=True),
            minor("net", "amount − fee", required=True),
            text(
                "type",
                "Kind of movement",
                values="adjustment advance advance_funding anticipation_repayment application_fee "
                "application_fee_refund charge climate_order_purchase climate_order_refund connect_collection_transfer "
                "contribution fee_credit_funding inbound_transfer inbound_transfer_reversal issuing_authorization_hold "
                "issuing_authorization_release issuing_dispute issuing_dispute_provisional_credit "
                "issuing_dispute_provisional_credit_reversal issuing_transaction obligation_outbound "
                "obligation_reversal_inbound payment payment_failure_refund payment_network_reserve_hold "
                "payment_network_reserve_release payment_refund payment_reversal payment_unreconciled payout "
                "payout_cancel payout_failure payout_minimum_balance_hold payout_minimum_balance_release refund "
                "refund_failure reserve_hold reserve_release reserve_transaction reserved_funds "
                "stripe_balance_payment_debit stripe_balance_payment_debit_reversal stripe_fee stripe_fx_fee tax_fee "
                "tax_fund topup topup_reversal transfer transfer_cancel transfer_failure transfer_refund",
                required=True,
            ),
            text(
                "reporting_category",
                "Stripe's accounting category: journals are chosen by it",
                values=REPORTING_CATEGORIES,
                required=True,
            ),
            text("status", "Whether it can be paid out yet", values="available pending", required=True),
            instant("available_on", "When it becomes available", required=True),
            text("source", "Charge, refund, dispute or payout that caused it; null for product fees"),
            text("description", "As Stripe words it"),
            rate("exchange_rate", "Presentment to settlement currency; null when they are the same"),
            text(
                "balance_type",
                "Which balance it moves",
                values="issuing payments refund_and_dispute_prefunding risk_reserved",
            ),
        ),
        children=(Children(BALANCE_TRANSACTION_FEES, "fee_details"),),
    ),
    path="/v1/balance_transactions",
    object="balance_transaction",
    silent=SilentChange(column="status", values=frozenset({"pending"}), due="available_on"),
    immutable=True,
)

BALANCES = Resource(
    table=Table(
        "balances",
        "Snapshots of /v1/balance, one a UTC day: what Stripe says it holds. `_synced_at` is the moment it was read.",
        (
            ID,
            CREATED,
            LIVEMODE,
            text("kind", "available, pending, instant_available, connect_reserved, issuing_available, prefunding_…"),
            CURRENCY,
            minor("amount", "Held, in minor units", required=True),
            minor("source_types.card", "Of it from cards"),
            minor("source_types.bank_account", "Of it from bank accounts"),
            minor("source_types.fpx", "Of it from FPX"),
        ),
    ),
    path="/v1/balance",
    object="balance",
    scope=Scope.SNAPSHOT,
)

PAYOUTS = Resource(
    table=Table(
        "payouts",
        "Transfers to our bank. A paid payout can still fail within about five business days.",
        (
            ID,
            CREATED,
            LIVEMODE,
            CURRENCY,
            minor("amount", "Paid out; negative when the bank was debited", required=True),
            text("status", "State", values="paid pending in_transit canceled failed", required=True),
            instant("arrival_date", "Expected day of arrival at the bank"),
            flag("automatic", "Whether Stripe made it on schedule"),
            text("method", "Speed", values="standard instant"),
            text("type", "Where to", values="bank_account card"),
            text("source_type", "Which funds", values="card bank_account fpx"),
            text("destination", "Bank account id"),
            text("balance_transaction", "Booking of the payout"),
            text("failure_balance_transaction", "Booking of its return"),
            text("failure_code", "Why it failed"),
            text("original_payout", "Payout this one reverses"),
            text("reversed_by", "Payout that reverses this one"),
            text(
                "reconciliation_status",
                "Whether Stripe can list what it contains",
                values="completed in_progress not_applicable",
            ),
            text("trace_id.status", "State of the bank's reference"),
            text("trace_id.value", "The bank's reference"),
            text("statement_descriptor", "Text on the bank statement"),
            text("description", "Free text"),
            *OUR_METADATA,
        ),
    ),
    path="/v1/payouts",
    object="payout",
)
