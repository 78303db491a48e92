"""What a buyer sends: who wants which course, billed where. Checked before anything else looks at it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from redisu_pipeline.common.settings.checks import COUNTRIES

# It becomes a part of FlockJay's URLs, so nothing that means something there; it goes into Stripe's metadata whole.
_LEARNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,127}")
_EMAIL = re.compile(
    r"[^@\s\x00-\x1f\x7f<>\"(),:;\\\[\]]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{1,62}"
)


@dataclass(frozen=True)
class Buyer:
    """Who buys, as the page shows it again; ``country`` is None while none is chosen."""

    learner: str
    email: str
    country: str | None = None
    confirmed: bool = False


def buyer_of(given: Mapping[str, str]) -> Buyer | None:
    """Return who a link or a form speaks of; None when learner or e-mail are missing or cannot be what they claim."""
    # A plus that a link left bare arrives as a space, which no address may hold.
    learner, email = given.get("learner", ""), given.get("email", "").strip().replace(" ", "+")
    if not _LEARNER.fullmatch(learner) or len(email) > 254 or not _EMAIL.fullmatch(email):
        return None
    country = given.get("country", "")
    confirmed = given.get("address_confirmed") == "yes"
    return Buyer(learner, email, country if country in COUNTRIES else None, confirmed)


def errors_of(buyer: Buyer) -> dict[str, str]:
    """Return what the buyer must still do, by the field's id."""
    errors = {}
    if buyer.country is None:
        errors["country"] = "Choose the country of your billing address."
    if not buyer.confirmed:
        errors["address_confirmed"] = "Confirm that your billing address will be correct."
    return errors


def is_from_elsewhere(headers: Mapping[str, str], own_origin: str) -> bool:
    """Whether a browser says that another site sent this form (Fetch Metadata, else Origin); programs say neither."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return False
    host = headers.get("host", "")
    return origin.lower() not in (own_origin.lower(), f"http://{host}".lower(), f"https://{host}".lower())
