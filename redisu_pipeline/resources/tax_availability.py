"""One cheap look at Stripe: how far an account's tax report reaches, and whether the lake reaches as far."""

from datetime import UTC, datetime

import msgspec

from redisu_pipeline.common.decoders import decode
from redisu_pipeline.common.secrets import Secret
from redisu_pipeline.common.settings import Account
from redisu_pipeline.common.stripe_api import StripeApi, Transient
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.storage import Storage


class _ReportType(msgspec.Struct):
    data_available_end: int


def available_until(account: Account, key: Secret, report_type: str) -> datetime:
    """Return the end of the report's data by one read request.

    Raises Transient, NotThere or Refused as ``common.stripe_api`` does; nothing is retried, the next look is near.
    """
    body = StripeApi(key.reveal(), account.stripe_api_base).get(f"/v1/reporting/report_types/{report_type}", {})
    try:
        found = decode(body, _ReportType)
    except msgspec.DecodeError:
        raise Transient("an answer that is no report type") from None
    return datetime.fromtimestamp(found.data_available_end, UTC)


def read_until(storage: Storage, account: str) -> datetime | None:
    """Return up to when the lake has the account's tax report; None before the first."""
    manifest, _ = read_manifest(storage, "tax_transactions", account)
    until = manifest.cursor.complete_until if manifest else None
    return datetime.fromisoformat(until) if until else None
