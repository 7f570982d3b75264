"""What alembic runs: migrations on the connection it is given, inside that connection's transaction."""

from __future__ import annotations

from alembic import context

from airflow_monitoring_provider.store.migrations import VERSION_TABLE
from airflow_monitoring_provider.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
