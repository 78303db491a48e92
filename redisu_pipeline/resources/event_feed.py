"""One cheap look at Stripe: the newest event of an account, and whether the lake already has it."""

import msgspec
import pyarrow.compute as pc

from redisu_pipeline.common.decoders import decode
from redisu_pipeline.common.secrets import Secret
from redisu_pipeline.common.settings import Account
from redisu_pipeline.common.stripe_api import StripeApi, Transient
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.reading import scan
from redisu_pipeline.lake.storage import Storage


class Event(msgspec.Struct, frozen=True):
    """An event's id and when Stripe made it, in unix seconds."""

    id: str
    created: int


class _Page(msgspec.Struct):
    data: list[Event]


def newest_event(account: Account, key: Secret) -> Event | None:
    """Return the account's newest event by one read request; None when the feed (30 days) is empty.

    Raises Transient, NotThere or Refused as ``common.stripe_api`` does; nothing is retried, the next look is near.
    """
    body = StripeApi(key.reveal(), account.stripe_api_base).get("/v1/events", {"limit": 1})
    try:
        page = decode(body, _Page)
    except msgspec.DecodeError:
        raise Transient("an answer that is no list of events") from None
    return page.data[0] if page.data else None


def in_lake(storage: Storage, account: str, event: Event) -> bool:
    """Tell whether the lake's `events` hold ``event``. Ids decide within one second: `created` has no finer one."""
    manifest, _ = read_manifest(storage, "events", account)
    if manifest is None or manifest.cursor.newest_created is None or event.created > manifest.cursor.newest_created:
        return False
    if event.created < manifest.cursor.newest_created:
        return True
    return any(
        pc.any(pc.equal(rows.column("id"), event.id)).as_py()
        for rows in scan(storage, manifest, ["id"], since=event.created)
    )
