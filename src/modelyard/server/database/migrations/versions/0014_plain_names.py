"""Rename a replica state, a column, an index and a table to the terms of the API."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

DESIRED = sa.text(
    "(deleted_at IS NULL OR stands_in_for IS NOT NULL) AND model_status = 'active' AND verified_at IS NOT NULL"
)


def upgrade() -> None:
    # As statements: a batch would make the table anew and lose the triggers of the search.
    op.execute("ALTER TABLE models RENAME COLUMN version TO etag_counter")
    op.execute("UPDATE agent_models SET state = 'queued' WHERE state = 'wanted'")
    op.drop_index("ix_models_wanted", "models")
    op.create_index(
        "ix_models_desired",
        "models",
        ["team_id", "label_set", "verification", "agents_ready"],
        sqlite_where=DESIRED,
        postgresql_where=DESIRED,
    )
    rename_lease_table()


def rename_lease_table() -> None:
    """Copy the leases into a new table: SQLite cannot rename a constraint."""
    op.create_table(
        "job_leases",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=True),
        sa.Column("leased_until", base.UtcTime(timezone=True), nullable=True),
        sa.Column("done_at", base.UtcTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_job_leases")),
    )
    op.execute(
        "INSERT INTO job_leases (name, holder, leased_until, done_at)"
        " SELECT name, holder, leased_until, done_at FROM chore_leases"
    )
    op.drop_table("chore_leases")
