"""Tables of the operations database. A change here comes with a migration in `migrations/versions/`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Column, DateTime, Dialect, Integer, MetaData, String, Table
from sqlalchemy.types import TypeDecorator

REVISIONS: Final = ("0001",)
"""Every migration in order; alembic need not be imported to know whether a database is current."""

HEAD: Final = REVISIONS[-1]


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime, always UTC: SQLite drops the zone, PostgreSQL answers in the session's."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone cannot be stored: {value!r}")
        return value.astimezone(UTC)

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
