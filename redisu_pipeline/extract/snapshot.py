"""/v1/balance as rows: it has no id, no history and no list, so one snapshot a UTC day is kept."""

from datetime import datetime
from typing import Any

import msgspec

from redisu_pipeline.common.decoders import decode
from redisu_pipeline.extract.decode import Page, Truncated
from redisu_pipeline.extract.rows import UnexpectedShape
from redisu_pipeline.tables.model import Table


class Balance(msgspec.Struct):
    """The parts of /v1/balance that hold amounts."""

    livemode: bool
    available: list[dict[str, Any]]
    pending: list[dict[str, Any]]
    instant_available: list[dict[str, Any]] | None = None
    connect_reserved: list[dict[str, Any]] | None = None
    issuing: dict[str, Any] | None = None
    refund_and_dispute_prefunding: dict[str, Any] | None = None


def open_balance(table: Table, body: bytes, now: datetime) -> Page:
    """Return the balance as a page: a row for each kind and currency, named ``balance_<day>:<n>``.

    Raises Truncated, or UnexpectedShape when amounts are not where Stripe documents them.
    """
    try:
        balance = decode(body, Balance)
    except msgspec.ValidationError as error:
        raise UnexpectedShape(table.name, "/v1/balance", str(error)) from None
    except msgspec.DecodeError:
        raise Truncated(table.name) from None
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    page = Page(table, has_more=False)
    rows: list[msgspec.Raw] = []
    for kind, entry in _entries(balance):
        own = {
            "id": f"balance_{day:%Y%m%d}:{len(rows)}",
            "object": "balance",
            "created": int(day.timestamp()),
            "livemode": balance.livemode,
            "kind": kind,
        }
        rows.append(msgspec.Raw(msgspec.json.encode({**own, **entry})))
    page.root.append(rows, parent=0)
    page.root.decode()
    return page


def _entries(balance: Balance) -> list[tuple[str, dict[str, Any]]]:
    kinds: list[tuple[str, list[dict[str, Any]] | None]] = [
        ("available", balance.available),
        ("pending", balance.pending),
        ("instant_available", balance.instant_available),
        ("connect_reserved", balance.connect_reserved),
        ("issuing_available", (balance.issuing or {}).get("available")),
        ("prefunding_available", (balance.refund_and_dispute_prefunding or {}).get("available")),
        ("prefunding_pending", (balance.refund_and_dispute_prefunding or {}).get("pending")),
    ]
    return [(kind, entry) for kind, entries in kinds for entry in entries or ()]
