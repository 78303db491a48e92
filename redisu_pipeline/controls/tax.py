"""Tax in the ledger against tax by jurisdiction: C12, C12a."""

from collections import defaultdict
from collections.abc import Iterator

from redisu_pipeline.controls.evidence import Evidence
from redisu_pipeline.controls.model import Status
from redisu_pipeline.controls.outcome import Outcome, money, nothing
from redisu_pipeline.journals.postings import LegKey
from redisu_pipeline.journals.taxes import tax_role

_ROLES = ("sales_tax", "vat", "vat_il")


def by_jurisdiction(evidence: Evidence) -> Iterator[Outcome]:
    """C12: per country, state and currency of the sale, tax posted is tax collected less tax given back.

    The other side comes from Stripe's tax report for automatic tax, and from the documents for rates of ours.
    """
    posted: dict[tuple[str, str, str], int] = defaultdict(int)
    for row in evidence.taxed:
        key = LegKey.parse(row["key"])
        posted[key.country, key.state, row["presentment_currency"] or row["currency"]] += int(row["presentment"])
    told: dict[tuple[str, str, str], int] = defaultdict(int)
    sources: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for tax in evidence.inputs.taxes:
        # The ledger owes a country's tax to the country; only the US is cut by state there.
        place = (tax.country, tax.state, tax.currency.upper())
        told[place] += tax.collected - tax.refunded
        sources[place].add(tax.source)
    for place in sorted({*posted, *told}):
        country, state, currency = place
        scope = " ".join(part for part in (country, state) if part)
        detail = f"by {' and '.join(sorted(sources[place]))}" if sources[place] else "no row in tax_by_jurisdiction"
        yield money(currency, posted[place], told[place], scope=scope, detail=detail)
    if not posted and not told:
        yield nothing("no tax in the month")


def payable(evidence: Evidence) -> Iterator[Outcome]:
    """C12a: opening + collected − refunded − remitted = closing; finance supplies what was remitted."""
    roles = {tax_role(tax.country) for tax in evidence.inputs.taxes}
    for currency in evidence.currencies:
        for role in _ROLES:
            opening, closing = -evidence.opening(currency, role), -evidence.closing(currency, role)
            if not (opening or closing or role in roles):
                continue
            detail = f"opening {opening:,f}; finance supplies what was remitted"
            yield Outcome(
                left=closing,
                right=closing,
                currency=currency,
                scope=role.replace("_", " "),
                detail=detail,
                status=Status.LIST,
            )
