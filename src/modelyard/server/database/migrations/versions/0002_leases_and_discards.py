"""Leases, and rows that prove bytes useless: several processes verify, read again and clean up."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PENDING = sa.text("verification = 'pending'")


def upgrade() -> None:
    op.create_table(
        "chore_leases",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=True),
        sa.Column("leased_until", base.UtcTime(timezone=True), nullable=True),
        sa.Column("done_at", base.UtcTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_chore_leases")),
    )
    op.create_table(
        "discarded",
        sa.Column("store_key", sa.String(), nullable=False),
        sa.Column("multipart_id", sa.String(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("since", base.UtcTime(timezone=True), nullable=False),
        sa.Column("taken_at", base.UtcTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("store_key", "multipart_id", name=op.f("pk_discarded")),
    )
    with op.batch_alter_table("discarded", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_discarded_since"), ["since"], unique=False)

    with op.batch_alter_table("blobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("lease", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("tries", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("verified_at", base.UtcTime(timezone=True), nullable=True))
        batch_op.drop_index("ix_blobs_verification")
        batch_op.create_index("ix_blobs_verification_checked_at", ["verification", "checked_at"], unique=False)
    op.create_index(
        "ix_blobs_pending", "blobs", ["tries", "created_at"], sqlite_where=PENDING, postgresql_where=PENDING
    )
    with op.batch_alter_table("models", schema=None) as batch_op:
        batch_op.add_column(sa.Column("verified_at", base.UtcTime(timezone=True), nullable=True))

    # Nothing rotted unnoticed before: whatever is verified was so since somebody first read it.
    op.execute("UPDATE blobs SET verified_at = checked_at WHERE verification = 'verified'")
    op.execute("UPDATE models SET verified_at = created_at WHERE verification = 'verified'")
