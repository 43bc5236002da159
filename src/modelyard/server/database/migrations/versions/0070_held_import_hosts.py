"""Until when imports send no request to a host that limits how often it is asked."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0070"
down_revision = "0069"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("imports", sa.Column("held_until", base.UtcTime(timezone=True), nullable=True))
    is_held = sa.text("held_until IS NOT NULL")
    op.create_index("ix_imports_held_until", "imports", ["held_until"], sqlite_where=is_held, postgresql_where=is_held)
