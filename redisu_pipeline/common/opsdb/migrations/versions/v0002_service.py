"""Orders, access, events, jobs, attempts: the webhook service."""

import sqlalchemy as sa
from alembic import op

from redisu_pipeline.common.opsdb.schema import UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _orders()
    _access()
    _events()
    _jobs()
    _attempts()
    _gates()
    _sweeps()
    op.create_index("ix_orders_payment_intent", "orders", ["payment_intent"])
    op.create_index("ix_jobs_order_id", "jobs", ["order_id"])
    op.create_index("ix_attempts_job_id", "attempts", ["job_id"])
    op.create_index("ix_orders_learner_course", "orders", ["learner", "course_id"])
    op.create_index("ix_orders_state_updated", "orders", ["state", "updated_at"])
    op.create_index("ix_events_account_created", "events", ["account", "created"])
    op.create_index("ix_events_subject", "events", ["subject"])
    op.create_index("ix_events_received", "events", ["received_at"])
    op.create_index("ix_jobs_due", "jobs", ["kind", "state", "due_at"])
    op.create_index("ix_jobs_access", "jobs", ["learner", "subject"])
    pending = sa.text("state = 'pending'")
    op.create_index(
        "uq_orders_open",
        "orders",
        ["learner", "course", "account"],
        unique=True,
        sqlite_where=pending,
        postgresql_where=pending,
    )


def _orders() -> None:
    op.create_table(
        "orders",
        sa.Column("order_id", sa.String(40), primary_key=True),
        sa.Column("correlation_id", sa.String(40), nullable=False, comment="one from the click to FlockJay's answer"),
        sa.Column(
            "origin", sa.String(10), nullable=False, comment="page, or stripe: made from a paid session's metadata"
        ),
        sa.Column("learner", sa.String(255), nullable=False),
        sa.Column("email", sa.String(320), comment="personal; null once erased"),
        sa.Column("name", sa.String(500), comment="personal; null once erased"),
        sa.Column("course", sa.String(100), nullable=False, comment="slug"),
        sa.Column("course_id", sa.String(255), nullable=False, comment="FlockJay's id of the course"),
        sa.Column("account", sa.String(10), nullable=False),
        sa.Column("country", sa.String(2), comment="billing country that the order was routed by"),
        sa.Column("attempt", sa.Integer, nullable=False, comment="sessions made for it; part of the idempotency key"),
        sa.Column("state", sa.String(20), nullable=False, comment="webhook_service.entitlements.State"),
        sa.Column("session_id", sa.String(255)),
        sa.Column("session_url", sa.Text, comment="where an open session is paid"),
        sa.Column("session_expires_at", UTCDateTime),
        sa.Column("payment_intent", sa.String(255)),
        sa.Column("invoice_url", sa.Text, comment="Stripe's page of the invoice; personal"),
        sa.Column("buyer_country", sa.String(2), comment="billing country at Stripe"),
        sa.Column("amount_total", sa.BigInteger, comment="minor units of currency"),
        sa.Column("currency", sa.String(3)),
        sa.Column("country_mismatch", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column(
            "paid_twice", sa.Boolean, nullable=False, server_default=sa.text("false"), comment="for a refund by hand"
        ),
        sa.Column("problem", sa.Text, comment="why a person must look at it"),
        sa.Column("created_at", UTCDateTime, nullable=False),
        sa.Column("updated_at", UTCDateTime, nullable=False),
        sa.Column("paid_at", UTCDateTime, comment="when this service saw it paid first"),
        sa.Column("unlocked_at", UTCDateTime),
        sa.Column("read_at", UTCDateTime, comment="when Stripe was last asked"),
        sa.Column("erased_at", UTCDateTime),
        sa.UniqueConstraint("session_id"),
    )


def _access() -> None:
    op.create_table(
        "access",
        sa.Column("learner", sa.String(255), primary_key=True),
        sa.Column("course_id", sa.String(255), primary_key=True, comment="FlockJay's id of the course"),
        sa.Column("wanted", sa.Boolean, nullable=False, comment="whether any order covers it now"),
        sa.Column("sequence", sa.Integer, nullable=False, comment="of the wanted change; part of the idempotency key"),
        sa.Column(
            "delivered", sa.Integer, nullable=False, comment="sequence of the newest change that FlockJay confirmed"
        ),
        sa.Column("updated_at", UTCDateTime, nullable=False),
    )


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.String(255), primary_key=True),
        sa.Column("account", sa.String(10), nullable=False),
        sa.Column("type", sa.String(120), nullable=False),
        sa.Column("object_id", sa.String(255), nullable=False),
        sa.Column("created", UTCDateTime, nullable=False),
        sa.Column("received_at", UTCDateTime, nullable=False),
        sa.Column("source", sa.String(10), nullable=False, comment="webhook or sweep"),
        sa.Column("subject", sa.String(255), comment="what was read again because of it"),
        sa.Column("payload", sa.LargeBinary, comment="as Stripe sent it; personal; null after service.payload_days"),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", _Id, primary_key=True),
        sa.Column("key", sa.String(400), nullable=False, comment="refresh:…, or the unlock's idempotency key"),
        sa.Column("kind", sa.String(10), nullable=False, comment="refresh or unlock"),
        sa.Column("account", sa.String(10), nullable=False),
        sa.Column(
            "subject", sa.String(255), nullable=False, comment="refresh: Stripe's id; unlock: FlockJay's course id"
        ),
        sa.Column("order_id", sa.String(40)),
        sa.Column("learner", sa.String(255)),
        sa.Column("action", sa.String(10), comment="unlock: grant or revoke"),
        sa.Column(
            "sequence", sa.Integer, nullable=False, server_default=sa.text("0"), comment="unlock: of the wanted change"
        ),
        sa.Column(
            "reason", sa.String(120), nullable=False, comment="the event's type, page, sweep, or the state reached"
        ),
        sa.Column("state", sa.String(10), nullable=False, comment="due, leased, done, dead or superseded"),
        sa.Column("due_at", UTCDateTime, nullable=False),
        sa.Column("lease_until", UTCDateTime),
        sa.Column("lease_token", sa.String(32)),
        sa.Column("version", sa.Integer, nullable=False, comment="refresh: asked again while it ran"),
        sa.Column(
            "attempts", sa.Integer, nullable=False, comment="spent of the schedule; a breaker's probe spends none"
        ),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", UTCDateTime, nullable=False),
        sa.Column("done_at", UTCDateTime),
        sa.UniqueConstraint("key"),
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", _Id, primary_key=True),
        sa.Column("job_id", sa.BigInteger, nullable=False),
        sa.Column("started_at", UTCDateTime, nullable=False, comment="written before the call"),
        sa.Column("finished_at", UTCDateTime, comment="null: the process ended before the answer was noted"),
        sa.Column("probe", sa.Boolean, nullable=False, comment="a call that only asks whether FlockJay is back"),
        sa.Column("status", sa.Integer, comment="HTTP status; null without an answer"),
        sa.Column("detail", sa.Text),
    )


def _gates() -> None:
    op.create_table(
        "gates",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("state", sa.String(10), nullable=False, comment="closed (all is well), open, or stopped (401/403)"),
        sa.Column("failures", sa.Integer, nullable=False, comment="one after the other"),
        sa.Column("probes", sa.Integer, nullable=False, comment="since it opened"),
        sa.Column("since", UTCDateTime, nullable=False),
        sa.Column("not_before", UTCDateTime, comment="next probe, or the end of a Retry-After"),
        sa.Column("reason", sa.Text),
    )


def _sweeps() -> None:
    op.create_table(
        "sweeps",
        sa.Column("account", sa.String(10), primary_key=True),
        sa.Column("events_until", UTCDateTime, nullable=False, comment="every event created before is stored"),
        sa.Column("swept_at", UTCDateTime, nullable=False),
        sa.Column("hurry_until", UTCDateTime, comment="sweeps come every 2 minutes until then"),
    )


def downgrade() -> None:
    for table in ("orders", "access", "events", "jobs", "attempts", "gates", "sweeps"):
        op.drop_table(table)
