"""Runs migrations on the connection of `opsdb.migrate`, inside its transaction; there is no alembic.ini."""

from alembic import context

from redisu_pipeline.common.opsdb.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite can, once BEGIN is ours
)
with context.begin_transaction():
    context.run_migrations()
