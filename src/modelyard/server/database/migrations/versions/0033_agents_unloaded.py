"""On how many machines ComfyUI does not load a model that is there."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("models", sa.Column("agents_unloaded", sa.BigInteger(), server_default="0", nullable=False))
    unloaded = "SELECT model_id, count(*) AS number FROM agent_models WHERE state = 'ready' AND reason IS NOT NULL"
    op.execute(
        f"UPDATE models SET agents_unloaded = counted.number FROM ({unloaded} GROUP BY model_id) AS counted "  # noqa: S608 - no part of it is from outside
        "WHERE counted.model_id = models.id"
    )
