"""The table of what was imported from repositories at Hugging Face."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import Row, now


class ImportedFileRow(Row):
    """A file of a repository at Hugging Face whose content a model has, in the version with this hash.

    It outlives its import. A model may have imported the same content at several repository revisions.
    """

    __tablename__ = "imported_files"
    __table_args__ = (Index("ix_imported_files_revision", "team_id", "repository_key", "repository_revision", "path"),)

    model_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    repository_key: Mapped[str] = mapped_column(primary_key=True)  # the repository in lower case
    repository_revision: Mapped[str] = mapped_column(primary_key=True)  # the commit, as 40 hex digits
    path: Mapped[str] = mapped_column(primary_key=True)  # of the file in the repository
    team_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey("teams.id"))
    repository: Mapped[str]
    file_hash: Mapped[str]
    imported_at: Mapped[datetime] = mapped_column(default=now)
