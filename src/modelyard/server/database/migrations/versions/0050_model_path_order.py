"""The keys of model paths are sorted by code point on PostgreSQL, so that an index finds those inside a folder."""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite sorts by code point already.
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("models", "path_key", type_=sa.String(collation="C"), existing_nullable=False)
