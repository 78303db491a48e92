"""All resources, in the order a reader thinks of them, and lookups by name."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from redisu_pipeline.tables.balance import BALANCE_TRANSACTIONS, BALANCES, PAYOUTS
from redisu_pipeline.tables.catalogue import CUSTOMERS, EVENTS, PRICES, PRODUCTS, TAX_RATES, TAX_REGISTRATIONS
from redisu_pipeline.tables.figures import FIGURES
from redisu_pipeline.tables.model import Resource, Table
from redisu_pipeline.tables.reversals import CREDIT_NOTES, DISPUTES, REFUNDS
from redisu_pipeline.tables.sales import CHARGES, CHECKOUT_SESSIONS, INVOICE_PAYMENTS, INVOICES
from redisu_pipeline.tables.tax import TAX_TRANSACTIONS

# `events` comes first on purpose: the feed's position must be known before the objects are read.
RESOURCES: tuple[Resource, ...] = (
    EVENTS,
    CHECKOUT_SESSIONS,
    INVOICES,
    INVOICE_PAYMENTS,
    CHARGES,
    REFUNDS,
    CREDIT_NOTES,
    DISPUTES,
    BALANCE_TRANSACTIONS,
    PAYOUTS,
    BALANCES,
    CUSTOMERS,
    PRODUCTS,
    PRICES,
    TAX_RATES,
    TAX_REGISTRATIONS,
    TAX_TRANSACTIONS,
)
TABLES: Mapping[str, Table] = MappingProxyType(
    {table.name: table for resource in RESOURCES for table in resource.table.family()}
)
EVERYTHING: tuple[Resource, ...] = (*RESOURCES, *FIGURES)
"""All of `<lake>/stripe/`: what a sync reads, and what only a close does."""
EVERY_TABLE: Mapping[str, Table] = MappingProxyType(
    {table.name: table for resource in EVERYTHING for table in resource.table.family()}
)
RESOURCE_OF: Mapping[str, Resource] = MappingProxyType(
    {table.name: resource for resource in EVERYTHING for table in resource.table.family()}
)
BY_OBJECT: Mapping[str, Resource] = MappingProxyType({resource.object: resource for resource in RESOURCES})


def resources_of(tables: Iterable[str]) -> tuple[Resource, ...]:
    """Return the resources that a sync reads for ``tables`` (all when empty), in their order; KeyError else."""
    wanted = {RESOURCE_OF[name].name for name in tables} or {resource.name for resource in RESOURCES}
    return tuple(resource for resource in RESOURCES if resource.name in wanted)
