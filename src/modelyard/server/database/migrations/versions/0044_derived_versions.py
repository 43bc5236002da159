"""What a version was converted from; until now a model had it, for all of its versions."""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("derived_from", sa.JSON(), nullable=True))
    op.execute(
        "UPDATE model_versions SET derived_from = (SELECT models.derived_from FROM models WHERE models.id = model_id) "
        "WHERE EXISTS (SELECT 1 FROM models WHERE models.id = model_id AND models.derived_from IS NOT NULL "
        "AND number = COALESCE(models.current_version, models.pending_version))"
    )
