"""Rename the audit events of damaged and repaired models, and the leases of two jobs, to the terms of the API."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE audit_events SET action = 'model.corrupted' WHERE action = 'model.rotten'")
    op.execute("UPDATE audit_events SET action = 'model.repaired' WHERE action = 'model.healed'")
    op.execute("UPDATE job_leases SET name = 'thorough clean-up' WHERE name = 'sweep'")
    op.execute("UPDATE job_leases SET name = 'offline machines' WHERE name = 'absences'")
