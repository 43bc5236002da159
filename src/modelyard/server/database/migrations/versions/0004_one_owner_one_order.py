"""What both databases have to agree on: a team has one owner, and names sort by their characters."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

OWNER = sa.text("role = 'owner'")


def upgrade() -> None:
    op.create_index(
        "uq_members_team_id_owner", "members", ["team_id"], unique=True, sqlite_where=OWNER, postgresql_where=OWNER
    )
    # SQLite compares characters anyway; what PostgreSQL does is up to whoever made the database.
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("models", "display_name", type_=base.SORTED_TEXT)
