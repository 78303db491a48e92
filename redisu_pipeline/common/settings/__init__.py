"""redisu.toml as frozen structures: ``load`` reads and checks it, every fault at once; secrets are never in it."""

from redisu_pipeline.common.settings.account import Account, ManualTaxRate, Opening, TaxMode, TaxType
from redisu_pipeline.common.settings.chart import DEFAULT_CHART, ROLES, Chart, GLAccount, gl_account
from redisu_pipeline.common.settings.course import Course, Recognition
from redisu_pipeline.common.settings.journals import JournalEngine, Journals
from redisu_pipeline.common.settings.load import load
from redisu_pipeline.common.settings.model import (
    Alerts,
    Call,
    Database,
    FlockJay,
    JournalMapping,
    Lake,
    Method,
    NetSuite,
    PartialRefund,
    Preset,
    Service,
    Settings,
)
from redisu_pipeline.common.settings.pages import Pages
from redisu_pipeline.common.settings.tax import TaxReport

__all__ = [
    "DEFAULT_CHART",
    "ROLES",
    "Account",
    "Alerts",
    "Call",
    "Chart",
    "Course",
    "Database",
    "FlockJay",
    "GLAccount",
    "JournalEngine",
    "JournalMapping",
    "Journals",
    "Lake",
    "ManualTaxRate",
    "Method",
    "NetSuite",
    "Opening",
    "Pages",
    "PartialRefund",
    "Preset",
    "Recognition",
    "Service",
    "Settings",
    "TaxMode",
    "TaxReport",
    "TaxType",
    "gl_account",
    "load",
]
