"""Where the service's orders stand, for those who compare them with the lake: ids and states, no personal data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import inspect, select

from redisu_pipeline.common.opsdb.engine import database_failures, open_engine, reading
from redisu_pipeline.common.opsdb.schema import orders


@dataclass(frozen=True)
class Entitlement:
    """One order. ``state`` is a `webhook_service.entitlements.State`; times are UTC."""

    order_id: str
    session_id: str | None
    account: str
    course: str
    state: str
    created_at: datetime
    paid_at: datetime | None
    """When the service saw it paid first."""
    read_at: datetime | None
    """When Stripe was last asked about it."""


def entitlements(url: str, account: str) -> tuple[Entitlement, ...]:
    """Every order of ``account``; none where no service has used the database yet.

    Raises Failed or ConfigurationError, naming the database, when it cannot be read.
    """
    names = ("order_id", "session_id", "account", "course", "state", "created_at", "paid_at", "read_at")
    wanted = select(*(orders.c[name] for name in names)).where(orders.c.account == account)
    engine = open_engine(url)
    try:
        with database_failures(url), reading(engine).begin() as connection:
            if not inspect(connection).has_table(orders.name):
                return ()
            return tuple(Entitlement(**row) for row in connection.execute(wanted).mappings())
    finally:
        engine.dispose()
