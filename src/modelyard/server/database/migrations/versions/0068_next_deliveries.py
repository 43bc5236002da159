"""The next delivery of a webhook is found without reading those that wait behind it."""

import sqlalchemy as sa
from alembic import op

revision = "0068"
down_revision = "0067"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pending = sa.text("delivery_state = 'pending'")
    op.create_index(
        "ix_webhook_deliveries_next",
        "webhook_deliveries",
        ["webhook_id", "is_requested", "next_attempt_at", "id"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
    op.drop_index("ix_webhook_deliveries_waiting", "webhook_deliveries")
