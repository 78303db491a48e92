"""The report as one HTML file: styles and plots inside it, no script, nothing from outside, everything escaped."""

from collections import Counter
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from redisu_pipeline.export.journals import DRAFT, journals
from redisu_pipeline.export.month import ClosedMonth
from redisu_pipeline.export.report.controls import blocking, controls, footnotes
from redisu_pipeline.export.report.ledger import journal_list, late_changes, roll_forward, trial_balance
from redisu_pipeline.export.report.trade import disputes, fees, large_invoices, payouts, refunds, sales, tax

_HERE = Path(__file__).parent


def close_report(month: ClosedMonth) -> bytes:
    """Return close_report.html; what blocks the month comes first, what each control means last."""
    sections = (
        trial_balance(month),
        sales(month),
        tax(month),
        fees(month),
        refunds(month),
        disputes(month),
        payouts(month),
        roll_forward(month),
        controls(month),
        late_changes(month),
        large_invoices(month),
        journal_list(month),
    )
    page = _template().render(
        month=month,
        draft=DRAFT if month.is_draft else "",
        title=f"{month.period.first_day:%B %Y}",
        facts=_facts(month),
        style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),
        blocking=blocking(month),
        sections=sections,
        footnotes=footnotes(month),
    )
    return page.encode()


def _facts(month: ClosedMonth) -> dict[str, str]:
    """Return what stands in the head, in its order; what nobody knows is left out."""
    counts = Counter(row.status.value for row in month.controls)
    whole = list(journals(month.lines))
    facts = {
        "Stripe account": month.account.name,
        "Subsidiary": month.account.subsidiary,
        "Books": f"{month.period.first_day.isoformat()} to {month.period.last_day.isoformat()}, "
        f"cut in {month.account.timezone}; base currency {month.account.base_currency}",
        "Journals": f"{len(whole):,} with {len(month.lines):,} lines, version {month.version}",
        "Controls": ", ".join(f"{counts[name]} {name}" for name in ("pass", "list", "warn", "fail") if counts[name])
        or "none ran",
    }
    for name, instant in (
        ("Stripe read until", month.complete_until),
        ("Derived", month.derived_at),
        ("Locked", month.locked_at),
    ):
        if instant is not None:
            facts[name] = f"{instant:%Y-%m-%d %H:%M} UTC"
    if month.locked_by is not None:
        facts["Locked by"] = month.locked_by
    return facts


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("close_report.html")
