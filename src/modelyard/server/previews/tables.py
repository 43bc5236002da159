"""The table of stored pictures.

previews.store_key ─────────────── one object: the small WebP, then the large one
previews.png_key ───────────────── an object with the large picture as PNG, once it was asked for
model_versions.preview_sha256 ──── the picture that a version shows, by the hash of its large WebP
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import Row, new_id, now


class PreviewRow(Row):
    """A picture, stored once for a team. It never changes."""

    __tablename__ = "previews"
    __table_args__ = (
        UniqueConstraint("sha256", "team_id", name="uq_previews_sha256_team_id"),
        Index("ix_previews_unused_since", "unused_since", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), index=True)
    sha256: Mapped[str]  # of the large WebP, in lower-case hex
    color: Mapped[str]  # the average, "#rrggbb"
    store_key: Mapped[str] = mapped_column(unique=True)
    small_size: Mapped[int]  # in bytes
    large_size: Mapped[int]
    # Rendered from the large WebP when a program asks for a PNG for the first time.
    png_key: Mapped[str | None] = mapped_column(unique=True)
    png_size: Mapped[int | None]
    # Part of so many models of the team that it says nothing about them: not taken from files any more.
    is_stock: Mapped[bool] = mapped_column(default=False, server_default=false())
    unused_since: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)

    @property
    def size(self) -> int:
        """The bytes of its stored objects."""
        return self.small_size + self.large_size + (self.png_size or 0)
