"""Who levies tax on a sale: the world's Stripe Tax (stripe.md §2.7, §6.2). Rates are close to the real ones of 2026.

Israel is not here: Stripe Tax does not support it, such a buyer pays no tax under automatic tax.
"""

from collections.abc import Collection
from decimal import Decimal

from sandbox.stripe.world.model import Buyer, Levy

# (level, jurisdiction, percent) by state and, where a city has its own, by ZIP prefix.
_STATE = {
    "NY": ("New York", "4"),
    "TX": ("Texas", "6.25"),
    "WA": ("Washington", "6.5"),
    "IL": ("Illinois", "6.25"),
    "PA": ("Pennsylvania", "6"),
    "TN": ("Tennessee", "7"),
    "CA": ("California", "7.25"),
    "FL": ("Florida", "6"),
    "CO": ("Colorado", "2.9"),
}
_LOCAL = {
    "10": (("city", "New York City", "4.5"), ("district", "Metropolitan Commuter Transportation District", "0.375")),
    "14": (("county", "Monroe", "4"),),
    "78": (("county", "Travis", "0.5"), ("city", "Austin", "1"), ("district", "Austin MTA Transit", "0.5")),
    "77": (("city", "Houston", "1"), ("district", "Houston MTA", "1")),
    "98": (("county", "King", "0.25"), ("city", "Seattle", "3.6")),
    "60": (("county", "Cook", "1.75"), ("city", "Chicago", "1.25"), ("district", "RTA", "1")),
    "15": (("county", "Allegheny", "1"),),
    "37": (("county", "Davidson", "2.25"),),
}
_COUNTRY = {
    "DE": ("Germany", "vat", "VAT", "19"),
    "FR": ("France", "vat", "VAT", "20"),
    "PL": ("Poland", "vat", "VAT", "23"),
    "IE": ("Ireland", "vat", "VAT", "23"),
    "GB": ("United Kingdom", "vat", "VAT", "20"),
    "JP": ("Japan", "jct", "JCT", "10"),
}
_NO_SALES_TAX = frozenset({"OR", "MT", "NH", "DE"})
NOTHING = Decimal(0)


def levies(buyer: Buyer, registrations: Collection[str], *, inclusive: bool) -> list[Levy]:
    """The jurisdictions of a sale under automatic tax, statewide first; also those with nothing to collect."""
    if buyer.country == "US":
        return _united_states(buyer, registrations)
    if buyer.country not in _COUNTRY:
        return [
            Levy(buyer.country, None, "country", buyer.country, "vat", "VAT", NOTHING, NOTHING, "not_supported", False)
        ]
    name, tax_type, display, percent = _COUNTRY[buyer.country]
    reason = _reason(buyer) if buyer.country in registrations else "not_collecting"
    applied = Decimal(percent) if reason == "standard_rated" else NOTHING
    inside = inclusive and bool(applied)
    return [Levy(buyer.country, None, "country", name, tax_type, display, Decimal(percent), applied, reason, inside)]


def manual(percentage: Decimal, country: str) -> Levy:
    """The levy of a manual tax rate: no level, no jurisdiction known to Stripe."""
    return Levy(country, None, None, None, "vat", "VAT", percentage, percentage, "standard_rated", False)


def _reason(buyer: Buyer) -> str:
    """Why tax is or is not charged where the seller is registered."""
    if buyer.tax_exempt == "exempt":
        return "customer_exempt"
    if buyer.tax_exempt == "reverse" or (buyer.tax_id is not None and buyer.tax_id[0] == "eu_vat"):
        return "reverse_charge"
    return "standard_rated"


def _united_states(buyer: Buyer, registrations: Collection[str]) -> list[Levy]:
    state = buyer.state or ""
    if state in _NO_SALES_TAX or state not in _STATE:
        return [_us(state, "state", state or "US", NOTHING, "not_subject_to_tax")]
    name, percent = _STATE[state]
    reason = _reason(buyer) if f"US-{state}" in registrations else "not_collecting"
    found = [_us(state, "state", name, Decimal(percent), reason)]
    if reason != "not_collecting":
        local = _LOCAL.get(buyer.postal_code[:2], ())
        found += [_us(state, level, place, Decimal(rate), reason) for level, place, rate in local]
    return found


def _us(state: str, level: str, place: str, percent: Decimal, reason: str) -> Levy:
    display = f"{place} {level.title()} Sales Tax" if level != "state" else f"{place} State Sales Tax"
    applied = percent if reason == "standard_rated" else NOTHING
    return Levy("US", state, level, place, "sales_tax", display, percent, applied, reason, False)
