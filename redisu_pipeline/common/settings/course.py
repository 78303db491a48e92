"""One course: its product at Stripe, its course at FlockJay, and when its revenue is earned."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from redisu_pipeline.common.money import exponent
from redisu_pipeline.common.settings import checks
from redisu_pipeline.common.settings.fields import own_key, setting

_GREATEST = 99_999_999  # Stripe takes eight digits of minor units (docs.stripe.com/currencies)


class Recognition(StrEnum):
    """When revenue is earned."""

    POINT_IN_TIME = "point_in_time"
    RATABLE = "ratable"


@dataclass(frozen=True, kw_only=True)
class Course:
    """One course that is sold."""

    slug: str = own_key()
    name: str = setting("What the buyer reads", clean=checks.text)
    flockjay_course_id: str = setting("FlockJay's id of the course (or group)", clean=checks.text)
    prices: Mapping[str, int] = setting(
        "Minor units by currency; an account sells in its currency",
        clean=checks.at_least(0, "minor units"),
        clean_key=checks.price_currency,
    )
    tax_code: str = setting(
        "Stripe's product tax code; the default is web-based self-study training",
        default="txcd_20060058",
        clean=checks.matching(r"txcd_\d{8}", "a tax code like txcd_20060058"),
    )
    recognition: Recognition = setting(
        "When revenue is earned: at the sale, or over access_days", default=Recognition.POINT_IN_TIME
    )
    access_days: int | None = setting(
        "Days over which a `ratable` course's revenue is earned", default=None, clean=checks.at_least(1, "days")
    )

    def faults(self) -> Iterator[tuple[str, str, str]]:
        """Yield what only shows between two settings: (setting, message, mend)."""
        if self.recognition is Recognition.RATABLE and self.access_days is None:
            yield "access_days", 'is missing though recognition = "ratable"', "give the days of access, like 365"
        if self.recognition is Recognition.POINT_IN_TIME and self.access_days is not None:
            mend = 'leave it out or set recognition = "ratable"'
            yield "access_days", 'would never be used: recognition = "point_in_time"', mend
        if not self.prices:
            yield "prices", "is empty", "give a price, like { usd = 19900 }"
        for currency, amount in self.prices.items():
            step = _step(currency)
            if amount % step:
                mend = f"give a multiple of {step}"
                yield f"prices.{currency}", f"Stripe cannot charge {amount} minor units of {currency.upper()}", mend
            if amount > _GREATEST:
                yield f"prices.{currency}", f"{amount} is more than Stripe takes", f"give {_GREATEST} or less"


def _step(currency: str) -> int:
    # stripe.md §7: the third decimal must be 0, and ISK and UGX have two decimals that are always 00.
    if exponent(currency) == 3:
        return 10
    return 100 if currency.upper() in ("ISK", "UGX") else 1
