"""Tables of models, their versions and their tags.

models.current_version ── the version that machines get; null until a first one is verified
models.pending_version ── the version that becomes current once it is verified; stays if it failed, until the next one
model_versions ────────── every content of a model, numbered from 1; the highest number is ``models.latest_version``
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import SORTED_TEXT, Row, new_id, now

LIVING = text("deleted_at IS NULL")
TRASHED = text("deleted_at IS NOT NULL")
# The models that machines should hold, see ``replicas.desired``. SQLite uses the index only for this exact condition.
DESIRED = text("deleted_at IS NULL AND model_status = 'active' AND verified_at IS NOT NULL")
SEVERAL_VERSIONS = text("latest_version > 1")
# Columns of a version that its model has too, as a copy of the version that the record shows: a list reads one table.
CONTENT_COLUMNS = (
    *("storage_key", "blob_id", "file_size", "file_hash", "blake3_hash", "facts"),
    *("verification", "verification_error", "verified_at"),
)


def _living(name: str, *columns: str, unique: bool = False) -> Index:
    """Return an index that contains only models outside the trash."""
    return Index(name, *columns, unique=unique, sqlite_where=LIVING, postgresql_where=LIVING)


def _trashed(name: str, *columns: str) -> Index:
    """Return an index that contains only models in the trash."""
    return Index(name, *columns, sqlite_where=TRASHED, postgresql_where=TRASHED)


class ModelRow(Row):
    """A model of a team, with a copy of the ``CONTENT_COLUMNS`` of the version that it shows.

    That is the current version, and before there is one, the pending version. ``versions.promotion`` keeps the copy.
    """

    __tablename__ = "models"
    __table_args__ = (
        # A path is unique among the team's models outside the trash.
        _living("uq_models_team_id_path_key", "team_id", "path_key", unique=True),
        # One index for each sort, and one for each filter in the order of creation, so that lists need no sorting. With
        # deleted_at, which is NULL in all of their rows, SQLite can count in the index alone.
        _living("ix_models_team_id_created_at", "team_id", "created_at", "id"),
        _living("ix_models_team_id_display_name", "team_id", "display_name", "id"),
        _living("ix_models_team_id_file_size", "team_id", "file_size", "id"),
        _living("ix_models_team_id_type", "team_id", "canonical_type", "created_at", "id", "deleted_at"),
        _living("ix_models_team_id_status", "team_id", "model_status", "created_at", "id", "deleted_at"),
        _living("ix_models_team_id_verification", "team_id", "verification", "created_at", "id", "deleted_at"),
        Index(
            "ix_models_desired",
            *("team_id", "label_set", "verification", "agents_ready"),
            sqlite_where=DESIRED,
            postgresql_where=DESIRED,
        ),
        # Few models have more than one version: the retention of versions reads only those.
        Index("ix_models_several_versions", "id", sqlite_where=SEVERAL_VERSIONS, postgresql_where=SEVERAL_VERSIONS),
        Index("ix_models_team_id_file_hash", "team_id", "file_hash", "created_at", "id"),
        _trashed("ix_models_team_id_trash", "team_id", "created_at", "id"),
        _trashed("ix_models_deleted_at", "deleted_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    # The type is given because SQLAlchemy takes it from the other table only once that is imported.
    team_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey("teams.id"))
    display_name: Mapped[str] = mapped_column(SORTED_TEXT)
    model_type: Mapped[str]
    canonical_type: Mapped[str]
    model_path: Mapped[str]
    path_key: Mapped[str]
    storage_key: Mapped[str]
    blob_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey("blobs.id"), index=True)
    file_size: Mapped[int]
    file_hash: Mapped[str]
    current_version: Mapped[int | None]
    pending_version: Mapped[int | None]
    latest_version: Mapped[int] = mapped_column(default=1, server_default="1")  # numbers are never used again
    version_count: Mapped[int] = mapped_column(default=1, server_default="1")  # without deleted and purged ones
    model_status: Mapped[str] = mapped_column(default="active")
    verification: Mapped[str]
    verification_error: Mapped[str | None]
    verified_at: Mapped[datetime | None]  # see ``ModelVersionRow``; null if and only if no version is current
    blake3_hash: Mapped[str | None]
    creator_kind: Mapped[str]
    creator_id: Mapped[UUID | None]
    creator_name: Mapped[str]
    description: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(default=list)
    license: Mapped[str | None]
    source_url: Mapped[str | None]
    required_labels: Mapped[list[str]] = mapped_column(default=list)
    label_set: Mapped[str] = mapped_column(default="", server_default=text("''"))  # the required labels as one text
    agents_ready: Mapped[int] = mapped_column(default=0, server_default="0")  # written by ``replicas.states``
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    searched: Mapped[str]  # name, path and tags, casefolded: what `q` looks in
    etag_counter: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None]

    @property
    def shown_version(self) -> int:
        """The number of the version whose content the record shows: the current one, or else the pending one.

        A model has at least one of both: a version of neither kind is removed only beside a current one.
        """
        version = self.current_version or self.pending_version
        assert version is not None  # noqa: S101 - see above
        return version


class ModelVersionRow(Row):
    """One content of a model. Its bytes never change; its blob does if damaged content is repaired."""

    __tablename__ = "model_versions"
    __table_args__ = (
        # Includes the trash: a new upload of the same content repairs damaged versions there too.
        Index("ix_model_versions_team_id_file_hash", "team_id", "file_hash"),
        Index("ix_model_versions_deleted_at", "deleted_at", sqlite_where=TRASHED, postgresql_where=TRASHED),
    )

    model_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    team_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey("teams.id"))
    storage_key: Mapped[str]
    blob_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey("blobs.id"), index=True)
    file_size: Mapped[int]
    file_hash: Mapped[str]
    blake3_hash: Mapped[str | None]
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    verification: Mapped[str]
    verification_error: Mapped[str | None]
    verified_at: Mapped[datetime | None]  # for the first time; stays if the content is damaged later
    note: Mapped[str | None]
    creator_kind: Mapped[str]
    creator_id: Mapped[UUID | None]
    creator_name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    promoted_at: Mapped[datetime | None]  # when it became current for the first time
    kept_from: Mapped[datetime] = mapped_column(default=now)  # from when the days of its retention count
    deleted_at: Mapped[datetime | None]  # moved to the trash by itself, not with its model


class ModelTagRow(Row):
    """One tag of one model, with copies of the model's columns that the index of the tag filter needs."""

    __tablename__ = "model_tags"
    __table_args__ = (Index("ix_model_tags_team_id_tag", "team_id", "tag", "is_deleted", "created_at", "model_id"),)

    model_id: Mapped[UUID] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    team_id: Mapped[UUID]
    created_at: Mapped[datetime]
    is_deleted: Mapped[bool] = mapped_column(default=False)


def build_search_text(display_name: str, model_path: str, tags: list[str]) -> str:
    """Return the text that the filter ``q`` searches: name, path and tags, casefolded, one a line.

    The line ends keep a search word from matching across two of them.
    """
    return "\n".join([display_name, model_path, *tags]).casefold()
