"""The asset check `paid_sessions_unlocked`: everyone who paid has the course, and only they."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from redisu_pipeline.assets.catalogue import key_of
from redisu_pipeline.assets.rules.model import instant
from redisu_pipeline.assets.rules.unlocks import PAID, Charge, Comparison, Difference, Session, words
from redisu_pipeline.common import clock
from redisu_pipeline.common.opsdb.entitlements import entitlements
from redisu_pipeline.common.problems import Refusal
from redisu_pipeline.common.settings import Settings
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.reading import scan
from redisu_pipeline.lake.storage import Storage
from redisu_pipeline.resources.pipeline import PipelineResource

NAME: Final = "paid_sessions_unlocked"
SESSIONS: Final = "checkout_sessions"
_SESSION: Final = (
    "id created status payment_status payment_intent metadata_order_id metadata_course metadata_learner _synced_at"
).split()
_CHARGE: Final = (
    "id created status payment_intent payment_method_details_type amount amount_refunded _synced_at"
).split()
_DISPUTE: Final = ["charge", "status", "_synced_at"]
_Row = Mapping[str, Any]


def unlock_check() -> dg.AssetChecksDefinition:
    """Return the check; it looks at every account over all months, because refunds come months later."""

    @dg.asset_check(
        asset=key_of(SESSIONS),
        name=NAME,
        description="Every paid session has its course unlocked, and nothing is unlocked that was not paid "
        "(or was given back): the lake against the operations database, sessions older than a sweep's interval.",
    )
    def paid_sessions_unlocked(pipeline: PipelineResource) -> dg.AssetCheckResult:
        try:
            settings, storage, now = pipeline.settings(), pipeline.storage(), clock.now()
            compared = [compare(settings, storage, account, now) for account in settings.accounts]
        except Refusal as refusal:
            raise dg.Failure(description=str(refusal), allow_retries=False) from None
        return result(compared)

    return paid_sessions_unlocked


def result(compared: Sequence[Comparison]) -> dg.AssetCheckResult:
    """Return one result for all accounts; each difference stands in it with its ids."""
    found = [one for comparison in compared for one in comparison.differences()]
    blind = [one.account for one in compared if one.sessions and not one.orders]
    looked = ", ".join(f"{one.account}: {len(one.compared()):,} sessions compared" for one in compared)
    description = _said(found) if found else looked
    if blind:
        description += f" · no order of {', '.join(blind)} in the operations database: is it the service's?"
    return dg.AssetCheckResult(
        passed=not found and not blind,
        severity=dg.AssetCheckSeverity.ERROR if found else dg.AssetCheckSeverity.WARN,
        description=description,
        metadata={
            "compared": looked,
            "differences": len(found),
            **({"which": dg.MetadataValue.md(words(found))} if found else {}),
        },
    )


def _said(found: Sequence[Difference]) -> str:
    more = f" · and {len(found) - 3} more" if len(found) > 3 else ""
    return " · ".join(str(one) for one in found[:3]) + more


def compare(settings: Settings, storage: Storage, account: str, now: datetime) -> Comparison:
    """Read both sides of one account. Raises Refusal when one cannot be read."""
    manifest, _ = read_manifest(storage, SESSIONS, account)
    configured = settings.accounts[account]
    return Comparison(
        account=account,
        sessions=_sessions(storage, account),
        orders=entitlements(settings.database.url, account) if manifest else (),
        now=now,
        complete_until=instant(manifest.cursor.complete_until if manifest else None),
        start=configured.first_month.bounds(configured.timezone)[0],
        grace=timedelta(minutes=settings.service.sweep_minutes),
        partial_refund=settings.service.partial_refund,
    )


def _sessions(storage: Storage, account: str) -> list[Session]:
    charges = _charges(storage, account)
    return [
        Session(
            id=row["id"],
            order_id=row["metadata_order_id"],
            course=row["metadata_course"] or "",
            created=_utc(row["created"]),
            status=row["status"],
            payment_status=row["payment_status"],
            seen_at=_utc(row["_synced_at"]),
            charge=charges.get(row["payment_intent"]) if row["payment_status"] in PAID else None,
        )
        for row in _rows(storage, account, SESSIONS, _SESSION)
        if row["metadata_order_id"] and row["metadata_learner"]  # else no page of ours made it
    ]


def _charges(storage: Storage, account: str) -> dict[str, Charge]:
    """Return the succeeded charge of each payment intent."""
    disputes: dict[str, list[_Row]] = {}
    for row in _rows(storage, account, "disputes", _DISPUTE):
        disputes.setdefault(row["charge"], []).append(row)
    return {
        row["payment_intent"]: Charge(
            created=_utc(row["created"]),
            method=row["payment_method_details_type"],
            amount=row["amount"],
            refunded=row["amount_refunded"] or 0,
            seen_at=max(_utc(one["_synced_at"]) for one in (row, *disputes.get(row["id"], ()))),
            disputes=tuple(one["status"] for one in disputes.get(row["id"], ())),
        )
        for row in _rows(storage, account, "charges", _CHARGE)
        if row["payment_intent"] and row["status"] == "succeeded"
    }


def _rows(storage: Storage, account: str, table: str, columns: Sequence[str]) -> Iterator[_Row]:
    manifest, _ = read_manifest(storage, table, account)
    for rows in scan(storage, manifest, columns):
        yield from rows.to_pylist()


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
