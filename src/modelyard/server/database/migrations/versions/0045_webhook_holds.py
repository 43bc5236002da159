"""Until when the deliveries of a webhook are held after a failure, and which ones people have requested."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("failing_since", base.UtcTime(timezone=True), nullable=True))
    op.add_column("webhooks", sa.Column("held_until", base.UtcTime(timezone=True), nullable=True))
    requested: sa.Column[bool] = sa.Column("is_requested", sa.Boolean(), server_default=sa.false(), nullable=False)
    op.add_column("webhook_deliveries", requested)
    pending = sa.text("delivery_state = 'pending'")
    op.create_index(
        "ix_webhook_deliveries_waiting",
        "webhook_deliveries",
        ["webhook_id"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
