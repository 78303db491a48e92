"""The Stripe stand-in's tables of parameters and expansions are those of stripe-python 16.1."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.stripe.server import checkout_tables, reports, write_tables
from sandbox.stripe.server.expandable import EXPANDABLE
from sandbox.stripe.server.paging import CURSORS
from sandbox.stripe.server.parameters import Kind, ListOf, Shape, moment
from sandbox.stripe.server.resources import BY_KIND, RESOURCES

LISTS = {
    "invoice": "_invoice_list_params.InvoiceListParams",
    "invoice_payment": "_invoice_payment_list_params.InvoicePaymentListParams",
    "checkout.session": "checkout._session_list_params.SessionListParams",
    "payment_intent": "_payment_intent_list_params.PaymentIntentListParams",
    "charge": "_charge_list_params.ChargeListParams",
    "refund": "_refund_list_params.RefundListParams",
    "dispute": "_dispute_list_params.DisputeListParams",
    "credit_note": "_credit_note_list_params.CreditNoteListParams",
    "balance_transaction": "_balance_transaction_list_params.BalanceTransactionListParams",
    "payout": "_payout_list_params.PayoutListParams",
    "customer": "_customer_list_params.CustomerListParams",
    "product": "_product_list_params.ProductListParams",
    "price": "_price_list_params.PriceListParams",
    "tax_rate": "_tax_rate_list_params.TaxRateListParams",
    "tax.registration": "tax._registration_list_params.RegistrationListParams",
    "tax_code": "_tax_code_list_params.TaxCodeListParams",
    "event": "_event_list_params.EventListParams",
    "webhook_endpoint": "_webhook_endpoint_list_params.WebhookEndpointListParams",
    "reporting.report_run": "reporting._report_run_list_params.ReportRunListParams",
    "file": "_file_list_params.FileListParams",
    "topup": "_topup_list_params.TopupListParams",
}
WRITTEN: dict[str, dict[str, Kind]] = {
    "checkout._session_create_params.SessionCreateParams": checkout_tables.SESSION_CREATE,
    "checkout._session_expire_params.SessionExpireParams": checkout_tables.SESSION_EXPIRE,
    "_product_create_params.ProductCreateParams": write_tables.PRODUCT_CREATE,
    "_product_update_params.ProductUpdateParams": write_tables.PRODUCT_UPDATE,
    "_price_create_params.PriceCreateParams": write_tables.PRICE_CREATE,
    "_price_update_params.PriceUpdateParams": write_tables.PRICE_UPDATE,
    "_tax_rate_create_params.TaxRateCreateParams": write_tables.TAX_RATE_CREATE,
    "_tax_rate_update_params.TaxRateUpdateParams": write_tables.TAX_RATE_UPDATE,
    "_refund_create_params.RefundCreateParams": write_tables.REFUND_CREATE,
    "_credit_note_create_params.CreditNoteCreateParams": write_tables.CREDIT_NOTE_CREATE,
}
OPTIONS = {"stripe_account", "stripe_context", "stripe_version", "api_key", "idempotency_key", "headers"}
OPTIONS |= {"max_network_retries", "content_type"}


def typed(name: str) -> tuple[Any, type]:
    module, _, type_name = name.rpartition(".")
    loaded = importlib.import_module(f"stripe.params.{module}")
    return loaded, getattr(loaded, type_name)


def test_every_list_has_a_type_of_the_sdk_to_be_compared_with() -> None:
    assert LISTS.keys() == {one.kind for one in RESOURCES} == BY_KIND.keys()


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_takes_exactly_the_sdks_parameters(kind: str) -> None:
    module, wanted = typed(LISTS[kind])
    compare(CURSORS | BY_KIND[kind].table, wanted, module, kind)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_post_takes_exactly_the_sdks_parameters_at_every_level(name: str) -> None:
    module, wanted = typed(name)
    compare(WRITTEN[name], wanted, module, name)


def compare(table: Any, wanted: type, module: Any, where: str) -> None:
    known = {key: str(value) for key, value in wanted.__annotations__.items() if key not in OPTIONS}
    assert set(table) == set(known), where
    for key, annotation in known.items():
        kind = table[key]
        inner = kind.kind if isinstance(kind, ListOf) else kind
        if isinstance(inner, Shape):
            name = next(one for one in re.findall(r"\w+", annotation) if "Params" in one and hasattr(module, one))
            compare(inner.table, getattr(module, name), module, f"{where}.{key}")
        elif inner is moment:
            assert re.search(r"Params\w+\|int", annotation.replace(" ", "")), f"{where}.{key}"


def test_a_report_run_takes_the_sdks_parameters_and_those_of_tax() -> None:
    _, wanted = typed("reporting._report_run_create_params.ReportRunCreateParamsParameters")
    assert set(reports.PARAMETERS) == set(wanted.__annotations__) | {"country", "states", "decimal_separator"}


CLASSES = {
    "invoice": "_invoice.Invoice",
    "line_item": "_invoice_line_item.InvoiceLineItem",
    "invoice_payment": "_invoice_payment.InvoicePayment",
    "checkout.session": "checkout._session.Session",
    "payment_intent": "_payment_intent.PaymentIntent",
    "charge": "_charge.Charge",
    "refund": "_refund.Refund",
    "dispute": "_dispute.Dispute",
    "credit_note": "_credit_note.CreditNote",
    "credit_note_line_item": "_credit_note_line_item.CreditNoteLineItem",
    "balance_transaction": "_balance_transaction.BalanceTransaction",
    "payout": "_payout.Payout",
    "customer": "_customer.Customer",
    "product": "_product.Product",
    "price": "_price.Price",
    "topup": "_topup.Topup",
    "discount": "_discount.Discount",
    "customer_balance_transaction": "_customer_balance_transaction.CustomerBalanceTransaction",
}


@pytest.mark.parametrize("kind", CLASSES)
def test_what_the_sdk_types_as_expandable_can_be_expanded_and_nothing_else(kind: str) -> None:
    """Files of evidence and mandates of local methods apart, which the stand-in never holds."""
    skipped = ("payment_method_details.", "evidence.")
    found = {path for path in expandable(CLASSES[kind]) if not path.startswith(skipped)}
    ours = set(EXPANDABLE[kind])
    assert found - ours == set()
    assert ours - found == HIDDEN.get(kind, set())


# Shown only on expand, but typed as plain fields or lists.
HIDDEN = {
    "invoice": {"confirmation_secret", "payments"},
    "checkout.session": {"line_items", "total_details.breakdown"},
    "charge": {"refunds"},
    "customer": {"cash_balance", "invoice_credit_balance", "sources", "subscriptions", "tax", "tax_ids"},
    "price": {"currency_options", "tiers"},
    "credit_note_line_item": {"tax_rates"},
}


def expandable(name: str) -> set[str]:
    """Paths annotated ExpandableField, read from the source: at run time the annotation is a mere Union."""
    module, _, class_name = name.rpartition(".")
    source = inspect.getsource(importlib.import_module(f"stripe.{module}"))
    (top,) = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == class_name]
    return set(_paths(top, "", {}))


def _paths(owner: ast.ClassDef, prefix: str, outer: dict[str, ast.ClassDef]) -> Iterator[str]:
    known = outer | {node.name: node for node in owner.body if isinstance(node, ast.ClassDef)}
    for node in owner.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            annotation = ast.unparse(node.annotation)
            if "ExpandableField" in annotation:
                yield prefix + node.target.id
                continue
            for name in re.findall(r"\w+", annotation):
                if name in known and name != owner.name:
                    yield from _paths(known[name], f"{prefix}{node.target.id}.", known)
