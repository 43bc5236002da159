"""Why no canary of a roll-out can get ready, as a code instead of a text that says what to do."""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

_TEXTS = {
    "canaries_offline": "All canaries are offline.%",
    "canaries_gone": "No subscribed machine has the label of the canaries any more.%",
}


def upgrade() -> None:
    op.add_column("collection_rollouts", sa.Column("obstacle", sa.String(), nullable=True))
    rollouts = sa.table(
        "collection_rollouts", sa.column("state"), sa.column("reason"), sa.column("obstacle", sa.String())
    )
    for obstacle, text in _TEXTS.items():
        has_text = rollouts.c.reason.like(text)
        op.execute(rollouts.update().where(has_text, rollouts.c.state == "canary").values(obstacle=obstacle))
        op.execute(rollouts.update().where(has_text).values(reason=None))
