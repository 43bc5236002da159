"""Rename the audit events of damaged and repaired models to the terms of the API."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE audit_events SET action = 'model.corrupted' WHERE action = 'model.rotten'")
    op.execute("UPDATE audit_events SET action = 'model.repaired' WHERE action = 'model.healed'")
