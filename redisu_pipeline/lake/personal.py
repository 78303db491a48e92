"""What of Stripe's JSON is personal data, and the same JSON without it: pure, for `_raw` and the events' snapshots.

Told by the fields' names, because a snapshot in an event is of any kind and version. Ids, amounts, instants, states,
the country and the state of an address (the tax was computed by them) stay. What is blanked becomes null, so that
every reader finds the fields it knows. Field names: Stripe's API reference, 2026-10-28.endive.
"""

import re
from decimal import Decimal
from typing import Any, Final

import msgspec

ERASED: Final = "[erased]"
"""Stands for an e-mail address inside a longer text."""
EMAIL: Final = r"[^\s@<>\"',;:()]+@[^\s@<>\"',;:()]+\.[A-Za-z0-9-]+"
"""What an e-mail address looks like, in Python's and in RE2's spelling."""

_email = re.compile(EMAIL)
_ALWAYS: Final = frozenset(
    "email phone line1 line2 city postal_code individual_name business_name customer_name customer_tax_id tax_id "
    "hosted_invoice_url invoice_pdf pdf receipt_url client_secret ip ip_address user_agent customer_purchase_ip "
    "last4 fingerprint exp_month exp_year iin verified_name".split()
)
_ENDINGS: Final = ("_email", "_phone", "_line1", "_line2", "_city", "_postal_code", "_email_address")
_WHOLE: Final = frozenset(
    "address billing_details customer_details customer_address customer_shipping customer_tax_ids tax_ids shipping "
    "shipping_details collected_information evidence custom_fields owner".split()
)
"""Objects that describe a person: every text in them goes, but for what `_STAYS` names."""
_STAYS: Final = frozenset("country state type tax_exempt object key".split())
_THINGS: Final = frozenset("product price plan coupon promotion_code tax_rate shipping_rate item line_item".split())
"""Objects whose `name` is no person's."""
_PAGES: Final = frozenset(("checkout.session",))
"""Objects whose `url` is a page that shows the buyer; a list's `url` is an address of the API."""
_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def without_personal_data(raw: str) -> str:
    """Return the JSON text ``raw`` with personal data null; unchanged, to the byte, when it holds none.

    Numbers keep every digit. Raises ValueError when ``raw`` is not JSON.
    """
    value = decoded(raw)
    return _encoder.encode(value).decode() if _blank(value, "") else raw


def decoded(raw: str) -> Any:
    """Return the JSON's value, numbers with a point as Decimal; raises ValueError when ``raw`` is not JSON."""
    try:
        return _decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None


def _blank(value: Any, kind: str) -> bool:
    """Blank ``value`` in place; ``kind`` is the nearest object's. Tells whether anything was there."""
    if isinstance(value, list):
        found = [_in_text(value, place, item) or _blank(item, kind) for place, item in enumerate(value)]
        return any(found)
    if not isinstance(value, dict):
        return False
    kind = _kind(value, kind)
    changed = False
    for name, item in value.items():
        if item is None:
            continue
        if name in _WHOLE:
            changed |= _blank_whole(value, name, item)
        elif _is_personal(name, kind) and not isinstance(item, dict | list):
            value[name] = None
            changed = True
        else:
            changed |= _in_text(value, name, item) or _blank(item, kind)
    return changed


def _kind(value: dict[str, Any], outer: str) -> str:
    own = value.get("object")
    if isinstance(own, dict):  # an event's `data`: what was there before has no kind of its own
        own = own.get("object")
    return own if isinstance(own, str) else outer


def _is_personal(name: str, kind: str) -> bool:
    if name == "name":
        return kind not in _THINGS
    if name == "description":
        return kind == "customer"
    if name == "url":
        return kind in _PAGES
    return name in _ALWAYS or name.endswith(_ENDINGS)


def _blank_whole(holder: Any, place: Any, item: Any) -> bool:
    if isinstance(item, str):
        holder[place] = None
        return True
    if isinstance(item, list):
        found = [_blank_whole(item, index, one) for index, one in enumerate(item)]
        return any(found)
    if isinstance(item, dict):
        found = [_blank_whole(item, name, one) for name, one in item.items() if name not in _STAYS]
        return any(found)
    return False


def _in_text(holder: Any, place: Any, item: Any) -> bool:
    if not isinstance(item, str) or "@" not in item:
        return False
    cleaned = _email.sub(ERASED, item)
    holder[place] = cleaned
    return cleaned != item
