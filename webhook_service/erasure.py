"""Forgetting a person: personal data leave the operations database; ids, amounts and states stay.

What holds any: orders (e-mail, name, links to Stripe's pages about them), the events' bodies, the `manual` work list.
"""

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, cast, func, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import BYTEA

from redisu_pipeline.common.opsdb.schema import events, orders


@dataclass(frozen=True)
class Erased:
    """How many rows were cleaned, and the Stripe ids by which the lake finds the same person."""

    orders: int
    events: int
    emails: tuple[str, ...]


def erase_learner(connection: Connection, learner: str, now: datetime) -> Erased:
    """Erase what is known of ``learner`` here; repeating it finds nothing more."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("PRAGMA secure_delete = ON"))  # else the text stays in the file's free pages
    theirs = orders.c.learner == learner
    rows = connection.execute(select(orders).where(theirs)).mappings().all()
    emails = tuple(sorted({row["email"] for row in rows if row["email"]}))
    subjects = [id for row in rows for id in (row["session_id"], row["payment_intent"]) if id]
    about: list[ColumnElement[bool]] = [events.c.subject.in_(subjects), events.c.object_id.in_(subjects)]
    needles = {json.dumps(learner), json.dumps(learner, ensure_ascii=False), *emails}
    about += [_holds(connection, needle.encode()) for needle in sorted(needles)]
    bodies = update(events).where(events.c.payload.is_not(None), or_(*about)).values(payload=None)
    cleaned = connection.execute(bodies).rowcount
    nothing = {"email": None, "name": None, "session_url": None, "invoice_url": None}
    connection.execute(update(orders).where(theirs).values(**nothing, erased_at=now, updated_at=now))
    return Erased(len(rows), cleaned, emails)


def _holds(connection: Connection, needle: bytes) -> ColumnElement[bool]:
    if connection.dialect.name == "sqlite":
        return func.instr(events.c.payload, needle) > 0
    return func.position(cast(literal(needle), BYTEA).op("in")(events.c.payload)) > 0
