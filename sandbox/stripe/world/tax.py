"""Tax of a sale's lines: integers rounded half up per line × jurisdiction, and the TaxRate objects behind them."""

from collections.abc import Sequence
from decimal import Decimal

from sandbox.stripe import shapes
from sandbox.stripe.world.model import Levy, LineTax, SaleLine
from sandbox.stripe.world.rates import half_up
from sandbox.stripe.world.shop import Shop


def line_taxes(shop: Shop, base: int, levies: Sequence[Levy]) -> list[LineTax]:
    """The taxes on `base` minor units (after discount; with the tax inside when a levy is inclusive)."""
    return [LineTax(levy, rate_id(shop, levy), *amounts(base, levy)) for levy in levies]


def amounts(base: int, levy: Levy) -> tuple[int, int]:
    """(tax, taxable amount) of one levy."""
    if not levy.applied:
        return 0, 0
    if levy.inclusive:
        tax = half_up(base * levy.applied / (100 + levy.applied))
        return tax, base - tax
    return half_up(base * levy.applied / 100), base


def rate_id(shop: Shop, levy: Levy) -> str:
    """The TaxRate of a levy; Stripe Tax creates one when it first applies it."""
    known = shop.rates.get(levy)
    if known is None:
        known = shop.rates[levy] = shop.ids.new("txr")
        made = shapes.tax_rate(
            id=known,
            created=shop.store.now,
            livemode=shop.store.livemode,
            display_name=levy.display_name,
            country=levy.country,
            state=levy.state,
            jurisdiction=levy.jurisdiction,
            jurisdiction_level=levy.level,
            percentage=_json_number(levy.percentage),
            effective_percentage=_json_number(levy.applied) if levy.level else None,
            rate_type="percentage" if levy.level else None,
            tax_type=levy.tax_type,
            inclusive=levy.inclusive,
        )
        shop.create(made, "tax_rate.created")
    return known


def _json_number(percentage: Decimal) -> float:
    """Stripe prints percentages as JSON numbers (8.875), the one float of these objects beside exchange rates."""
    return float(percentage)


def entries(taxes: Sequence[LineTax]) -> list[shapes.Object]:
    return [
        shapes.tax_entry(
            amount=tax.amount,
            rate=tax.rate_id,
            taxable=tax.taxable,
            reason=tax.levy.reason,
            behavior="inclusive" if tax.levy.inclusive else "exclusive",
        )
        for tax in taxes
    ]


def total_taxes(lines: Sequence[SaleLine]) -> list[LineTax]:
    """The lines' taxes added up, one for each rate, in the order of their first line."""
    sums: dict[str, LineTax] = {}
    for line in lines:
        for tax in line.taxes:
            so_far = sums.get(tax.rate_id)
            amount, taxable = (so_far.amount, so_far.taxable) if so_far is not None else (0, 0)
            sums[tax.rate_id] = tax._replace(amount=amount + tax.amount, taxable=taxable + tax.taxable)
    return list(sums.values())
