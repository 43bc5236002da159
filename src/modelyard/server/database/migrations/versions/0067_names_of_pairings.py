"""Names that machines announce when their pairing begins, so that its confirmation can say which ones are in use."""

import sqlalchemy as sa
from alembic import op

revision = "0067"
down_revision = "0066"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pairings", sa.Column("agent_id", sa.String(), nullable=True))
