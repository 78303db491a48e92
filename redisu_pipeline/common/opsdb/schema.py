"""Tables of the operations database. A change here comes with a migration in `migrations/versions/`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeDecorator

REVISIONS: Final = ("0001", "0002")
"""Every migration in order; alembic need not be imported to know whether a database is current."""

HEAD: Final = REVISIONS[-1]


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime, always UTC: SQLite drops the zone, PostgreSQL answers in the session's.

    For SQLite it is spelled here, as SQLAlchemy spells it and in a quarter of its time: every webhook stores two.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone cannot be stored: {value!r}")
        return value.astimezone(UTC)

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any] | None:
        usual = super().bind_processor(dialect)
        if dialect.name != "sqlite":
            return usual

        def spelled(value: datetime | None) -> str | None:
            aware = self.process_bind_param(value, dialect)
            return None if aware is None else aware.replace(tzinfo=None).isoformat(" ", "microseconds")

        return spelled

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

leases = Table(
    "leases",
    metadata,
    Column("name", String(400), primary_key=True, comment="what is held: lake, account and table"),
    Column("token", String(32), nullable=False, index=True, comment="one acquisition; all its leases share it"),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("lock_file", String(255), nullable=False, comment="identity of the file lock that the holder has, too"),
    Column("since", UTCDateTime, nullable=False, comment="by the holder's clock; for people"),
    Column("beaten_at", UTCDateTime, nullable=False, comment="by the database's clock"),
)

# --- the webhook service: orders, what they entitle to, and the work that is due

_Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers only INTEGER keys by itself

orders = Table(
    "orders",
    metadata,
    Column("order_id", String(40), primary_key=True),
    Column("correlation_id", String(40), nullable=False, comment="one from the click to FlockJay's answer"),
    Column("origin", String(10), nullable=False, comment="page, or stripe: made from a paid session's metadata"),
    Column("learner", String(255), nullable=False),
    Column("email", String(320), comment="personal; null once erased"),
    Column("name", String(500), comment="personal; null once erased"),
    Column("course", String(100), nullable=False, comment="slug"),
    Column("course_id", String(255), nullable=False, comment="FlockJay's id of the course"),
    Column("account", String(10), nullable=False),
    Column("country", String(2), comment="billing country that the order was routed by"),
    Column("attempt", Integer, nullable=False, comment="sessions made for it; part of the idempotency key"),
    Column("state", String(20), nullable=False, comment="webhook_service.entitlements.State"),
    Column("session_id", String(255), unique=True),
    Column("session_url", Text, comment="where an open session is paid"),
    Column("session_expires_at", UTCDateTime),
    Column("payment_intent", String(255), index=True),
    Column("invoice_url", Text, comment="Stripe's page of the invoice; personal"),
    Column("buyer_country", String(2), comment="billing country at Stripe"),
    Column("amount_total", BigInteger, comment="minor units of currency"),
    Column("currency", String(3)),
    Column("country_mismatch", Boolean, nullable=False, server_default=text("false")),
    Column("paid_twice", Boolean, nullable=False, server_default=text("false"), comment="for a refund by hand"),
    Column("problem", Text, comment="why a person must look at it"),
    Column("created_at", UTCDateTime, nullable=False),
    Column("updated_at", UTCDateTime, nullable=False),
    Column("paid_at", UTCDateTime, comment="when this service saw it paid first"),
    Column("unlocked_at", UTCDateTime),
    Column("read_at", UTCDateTime, comment="when Stripe was last asked"),
    Column("erased_at", UTCDateTime),
)
Index("ix_orders_learner_course", orders.c.learner, orders.c.course_id)
Index("ix_orders_state_updated", orders.c.state, orders.c.updated_at)
Index(
    "uq_orders_open",  # a double click meets here
    orders.c.learner,
    orders.c.course,
    orders.c.account,
    unique=True,
    sqlite_where=text("state = 'pending'"),
    postgresql_where=text("state = 'pending'"),
)

access = Table(
    "access",
    metadata,
    Column("learner", String(255), primary_key=True),
    Column("course_id", String(255), primary_key=True, comment="FlockJay's id of the course"),
    Column("wanted", Boolean, nullable=False, comment="whether any order covers it now"),
    Column("sequence", Integer, nullable=False, comment="of the wanted change; part of the idempotency key"),
    Column("delivered", Integer, nullable=False, comment="sequence of the newest change that FlockJay confirmed"),
    Column("updated_at", UTCDateTime, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("account", String(10), nullable=False),
    Column("type", String(120), nullable=False),
    Column("object_id", String(255), nullable=False),
    Column("created", UTCDateTime, nullable=False),
    Column("received_at", UTCDateTime, nullable=False),
    Column("source", String(10), nullable=False, comment="webhook or sweep"),
    Column("subject", String(255), comment="what was read again because of it"),
    Column("payload", LargeBinary, comment="as Stripe sent it; personal; null after service.payload_days"),
)
Index("ix_events_account_created", events.c.account, events.c.created)
Index("ix_events_subject", events.c.subject)
Index("ix_events_received", events.c.received_at)

jobs = Table(
    "jobs",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("key", String(400), nullable=False, unique=True, comment="refresh:…, or the unlock's idempotency key"),
    Column("kind", String(10), nullable=False, comment="refresh or unlock"),
    Column("account", String(10), nullable=False),
    Column("subject", String(255), nullable=False, comment="refresh: Stripe's id; unlock: FlockJay's course id"),
    Column("order_id", String(40), index=True),
    Column("learner", String(255)),
    Column("action", String(10), comment="unlock: grant or revoke"),
    Column("sequence", Integer, nullable=False, server_default=text("0"), comment="unlock: of the wanted change"),
    Column("reason", String(120), nullable=False, comment="the event's type, page, sweep, or the state reached"),
    Column("state", String(10), nullable=False, comment="due, leased, done, dead or superseded"),
    Column("due_at", UTCDateTime, nullable=False),
    Column("lease_until", UTCDateTime),
    Column("lease_token", String(32)),
    Column("version", Integer, nullable=False, comment="refresh: asked again while it ran"),
    Column("attempts", Integer, nullable=False, comment="spent of the schedule; a breaker's probe spends none"),
    Column("last_error", Text),
    Column("created_at", UTCDateTime, nullable=False),
    Column("done_at", UTCDateTime),
)
Index("ix_jobs_due", jobs.c.kind, jobs.c.state, jobs.c.due_at)
Index("ix_jobs_access", jobs.c.learner, jobs.c.subject)

attempts = Table(
    "attempts",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("job_id", BigInteger, nullable=False, index=True),
    Column("started_at", UTCDateTime, nullable=False, comment="written before the call"),
    Column("finished_at", UTCDateTime, comment="null: the process ended before the answer was noted"),
    Column("probe", Boolean, nullable=False, comment="a call that only asks whether FlockJay is back"),
    Column("status", Integer, comment="HTTP status; null without an answer"),
    Column("detail", Text),
)

gates = Table(
    "gates",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("state", String(10), nullable=False, comment="closed (all is well), open, or stopped (401/403)"),
    Column("failures", Integer, nullable=False, comment="one after the other"),
    Column("probes", Integer, nullable=False, comment="since it opened"),
    Column("since", UTCDateTime, nullable=False),
    Column("not_before", UTCDateTime, comment="next probe, or the end of a Retry-After"),
    Column("reason", Text),
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("account", String(10), primary_key=True),
    Column("events_until", UTCDateTime, nullable=False, comment="every event created before is stored"),
    Column("swept_at", UTCDateTime, nullable=False),
    Column("hurry_until", UTCDateTime, comment="sweeps come every 2 minutes until then"),
)
