"""What the webhook service has heard of an object at Stripe, for those who would otherwise ask Stripe again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select

from redisu_pipeline.common.opsdb.engine import database_failures, open_engine, reading
from redisu_pipeline.common.opsdb.schema import events
from redisu_pipeline.common.problems import Refusal


def event_seen(url: str, account: str, types: Collection[str], object_id: str, since: datetime) -> bool:
    """Tell whether one of ``types``, made at or after ``since``, was delivered for ``object_id``.

    False too when the database cannot be read: whoever asks can do without the answer.
    """
    wanted = (
        select(events.c.id)
        .where(events.c.account == account, events.c.created >= since)
        .where(events.c.type.in_(types), events.c.object_id == object_id)
        .limit(1)
    )
    try:
        engine = open_engine(url)
        try:
            with database_failures(url), reading(engine).connect() as connection:
                return connection.execute(wanted).first() is not None
        finally:
            engine.dispose()
    except Refusal:
        return False
