"""The itemised tax report: which type is run, how far back it is read again, how long a run is waited for."""

from collections.abc import Iterator
from dataclasses import dataclass

from redisu_pipeline.common.settings import checks
from redisu_pipeline.common.settings.fields import setting

REQUIRED_COLUMNS = (
    "id",
    "type",
    "line_item_id",
    "transaction_date",
    "currency",
    "total",
    "tax_amount",
    "tax_rate",
    "jurisdiction_level",
    "jurisdiction_name",
    "country_code",
    "state_code",
)
"""Columns without which a row has no identity or no amount; whatever else the report prints is kept as well."""


@dataclass(frozen=True, kw_only=True)
class TaxReport:
    """The itemised tax report (ours, beyond the contract)."""

    report_type: str = setting(
        "Type of the report; Stripe's successor of 2026 is tax.itemized_export.1",
        default="tax.transactions.itemized.2",
        clean=checks.matching(r"[a-z0-9_]+(\.[a-z0-9_]+)+", "the id of a report type, like tax.itemized_export.1"),
    )
    report_columns: tuple[str, ...] = setting(
        "Columns to ask for, where the type's default set is not what is needed; empty asks for the default set",
        default=(),
        clean=checks.text,
    )
    overlap_days: int = setting(
        "Days before the last availability that are read again, for rows that come late",
        default=3,
        clean=checks.at_least(0, "days"),
    )
    wait_minutes: int = setting(
        "How long a sync waits for a run; the next sync takes a longer one up",
        default=15,
        clean=checks.at_least(1, "minutes"),
    )
    abandon_minutes: int = setting(
        "Age at which a run that is still pending is made anew", default=120, clean=checks.at_least(1, "minutes")
    )
    attempts: int = setting(
        "Runs that one sync makes at most, when they fail or their file has expired",
        default=3,
        clean=checks.at_least(1, "runs"),
    )

    def faults(self) -> Iterator[tuple[str, str, str]]:
        """Refuse a list of columns that lacks one the rows cannot be told apart without."""
        missing = [name for name in REQUIRED_COLUMNS if self.report_columns and name not in self.report_columns]
        if missing:
            yield "report_columns", f"lacks {', '.join(missing)}", "add them, or leave the setting out"
