"""Versions have their place in the history of current versions, so that a roll-back goes back along it.

Which versions were left by going back before is not known: those up to the current one count in the order of their
numbers, as roll-backs did until now.
"""

import sqlalchemy as sa
from alembic import op

revision = "0061"
down_revision = "0060"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("history_position", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE model_versions SET history_position = number WHERE promoted_at IS NOT NULL AND number <= "
        "(SELECT current_version FROM models WHERE models.id = model_versions.model_id)"
    )
