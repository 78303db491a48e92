"""Leases: who is writing which table of which account."""

import sqlalchemy as sa
from alembic import op

from redisu_pipeline.common.opsdb.schema import UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.String(400), primary_key=True, comment="what is held: lake, account and table"),
        sa.Column("token", sa.String(32), nullable=False, comment="one acquisition; all its leases share it"),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column(
            "lock_file", sa.String(255), nullable=False, comment="identity of the file lock that the holder has, too"
        ),
        sa.Column("since", UTCDateTime, nullable=False, comment="by the holder's clock; for people"),
        sa.Column("beaten_at", UTCDateTime, nullable=False, comment="by the database's clock"),
    )
    op.create_index("ix_leases_token", "leases", ["token"])


def downgrade() -> None:
    op.drop_table("leases")
