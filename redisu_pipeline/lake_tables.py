"""Every table of the lake in one list: for the catalogue, whose parts are declared where their stage is."""

from redisu_pipeline.lake.catalog import CatalogTable, stripe_tables
from redisu_pipeline.lake.netsuite_tables import NETSUITE_TABLES
from redisu_pipeline.tax.table import TAX_BY_JURISDICTION


def every_table() -> tuple[CatalogTable, ...]:
    """Return Stripe's tables, tax by jurisdiction, and the NetSuite tables."""
    return (*stripe_tables(), TAX_BY_JURISDICTION, *NETSUITE_TABLES)
