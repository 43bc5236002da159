"""Alembic's entry point: configures it with our tables and the connection that ``migrate`` provides."""

from alembic import context

from modelyard.server.database.base import Row
from modelyard.server.database.search import is_row_table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    render_as_batch=True,
    transaction_per_migration=True,
    compare_type=True,
    include_name=is_row_table,
    user_module_prefix="base.",
)
with context.begin_transaction():
    context.run_migrations()
