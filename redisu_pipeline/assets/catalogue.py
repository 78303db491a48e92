"""What Dagster shows of a lake table before anything has run: key, description, columns, owners, what stands upstream.

Everything about columns comes from ``tables`` and ``lake.schemas``; only the graph is drawn here.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from graphlib import TopologicalSorter

import dagster as dg
import pyarrow as pa

from redisu_pipeline.lake.schemas import ACCOUNT, docs_of, schema_of
from redisu_pipeline.tables.model import Scope, Table
from redisu_pipeline.tables.registry import RESOURCE_OF, TABLES

GROUP = "stripe"
OWNERS = ("team:finance-data",)
FAIL_AFTER = timedelta(hours=36)
"""A daily sync that failed once has half a day to be mended before the table counts as stale."""
STALE_AFTER = timedelta(days=42)
"""A month is closed by the tenth of the next one; then the month before has to be."""

# What a table refers to, or what must be known to read it: arrows of the graph. A nested table follows its parent by
# itself; a table that is not named here follows `events`, which says what to read again.
UPSTREAM: Mapping[str, tuple[str, ...]] = {
    "prices": ("products",),
    "checkout_sessions": ("customers", "prices"),
    "invoices": ("checkout_sessions",),
    "invoice_lines": ("prices",),
    "invoice_taxes": ("tax_rates",),
    "invoice_payments": ("invoices",),
    "charges": ("invoice_payments",),
    "refunds": ("charges",),
    "disputes": ("charges",),
    "credit_notes": ("invoices", "refunds"),
    "credit_note_lines": ("invoice_lines",),
    "credit_note_taxes": ("tax_rates",),
    "balance_transactions": ("charges", "refunds", "disputes", "payouts"),
    "balances": ("balance_transactions",),
    "tax_transactions": ("invoices", "credit_notes"),
    "payout_transactions": ("payouts",),
}
WITHOUT_EVENTS = (Scope.WHOLE_EACH_TIME, Scope.SNAPSHOT, Scope.CLOSE)


def key_of(table: str) -> dg.AssetKey:
    """Return the asset key of a Stripe table: ``["stripe", <table>]``."""
    return dg.AssetKey([GROUP, table])


def upstream_of(table: Table) -> tuple[str, ...]:
    """Return the tables that stand before ``table`` in the graph."""
    parent = next((other.name for other in TABLES.values() if any(c.table is table for c in other.children)), None)
    named = UPSTREAM.get(table.name, ())
    if parent is not None:
        return (parent, *named)
    silent = table.name == "events" or RESOURCE_OF[table.name].scope in WITHOUT_EVENTS
    return named or (() if silent else ("events",))


def in_graph_order(tables: Iterable[str]) -> list[str]:
    """Return ``tables`` with everything upstream first: Dagster takes the results of one step in no other order."""
    chosen = set(tables)
    graph = {table.name: upstream_of(table) for table in TABLES.values()}
    return [name for name in TopologicalSorter(graph).static_order() if name in chosen]


def spec_of(table: Table, partitions: dg.PartitionsDefinition, notice: str = "") -> dg.AssetSpec:
    """Return the table's asset; ``notice`` stands before its description when something must be done first."""
    resource = RESOURCE_OF[table.name]
    stale = STALE_AFTER if resource.scope is Scope.CLOSE else FAIL_AFTER
    return dg.AssetSpec(
        key_of(table.name),
        deps=[key_of(name) for name in upstream_of(table)],
        description=f"{notice}\n\n{table.doc}" if notice else table.doc,
        group_name=GROUP,
        owners=list(OWNERS),
        kinds={"stripe", "parquet"},
        partitions_def=partitions,
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=stale),
        code_version=hashlib.sha256(str(schema_of(table)).encode()).hexdigest()[:12],
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/table_name": f"{GROUP}.{table.name}",
            "endpoint": resource.path,
        },
    )


def column_schema(table: Table) -> dg.TableSchema:
    """Return the declared columns with their types and meaning, as the UI shows them."""
    return dg.TableSchema(list(_columns(table)))


def _columns(table: Table) -> Iterator[dg.TableColumn]:
    docs = docs_of(table)
    documented = {column.name: column.values for column in table.columns if column.values}
    for field in schema_of(table):
        values = documented.get(field.name)
        choices = f". One of {', '.join(sorted(values))}" if values else ""
        yield dg.TableColumn(
            field.name,
            type_name(field.type),
            description=f"{docs[field.name]}{choices}",
            constraints=dg.TableColumnConstraints(nullable=field.nullable),
        )


def type_name(kind: pa.DataType) -> str:
    """Return an Arrow type as a reader of the UI knows it."""
    return "string" if kind == ACCOUNT else str(kind)
