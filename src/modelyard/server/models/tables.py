"""Tables of models, their versions and their tags.

models.current_version ── the version that machines get; null until a first one is verified
models.pending_version ── the version that becomes current once it is verified; stays if it failed, until the next one
folder_files ──────────── the files of each version of a folder model
model_versions ────────── every content of a model, numbered from 1; the highest number is ``models.latest_version``
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    TextClause,
    Uuid,
    event,
    false,
    func,
    inspect,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from modelyard.server.database.base import SORTED_TEXT, Row, new_id, now
from modelyard.server.models.search_text import SEARCHED_COLUMNS, build_search_text
from modelyard.wire.versions import build_preview_url

LIVING = text("deleted_at IS NULL")
TRASHED = text("deleted_at IS NOT NULL")
# The models that machines should hold, see ``replicas.desired``. SQLite uses the index only for this exact condition.
DESIRED = text("deleted_at IS NULL AND model_status = 'active' AND verified_at IS NOT NULL")
ASSIGNED = text("deleted_at IS NULL AND model_status = 'active' AND verified_at IS NOT NULL AND agents_assigned > 0")
SEVERAL_VERSIONS = text("version_count > 1")
HAS_PREVIEW = text("preview_sha256 IS NOT NULL")
# Versions whose file was not searched for a picture yet.
UNPREVIEWED = text("verification = 'verified' AND preview_source IS NULL")
# Columns of a version that its model has too, as a copy of the version that the record shows: a list reads one table.
CONTENT_COLUMNS = (
    *("storage_key", "blob_id", "file_size", "file_hash", "blake3_hash", "facts"),
    *("verification", "verification_error", "verified_at", "derived_from", "total_size", "file_count"),
)


def _living(name: str, *columns: str | TextClause, unique: bool = False) -> Index:
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
        _living("ix_models_team_id_content_size", "team_id", text("coalesce(total_size, file_size)"), "id"),
        _living("ix_models_team_id_last_used", "team_id", "last_used_second", "id"),
        _living("ix_models_team_id_type", "team_id", "canonical_type", "created_at", "id", "deleted_at"),
        _living("ix_models_team_id_status", "team_id", "model_status", "created_at", "id", "deleted_at"),
        _living("ix_models_team_id_base_model", "team_id", "base_model", "created_at", "id", "deleted_at"),
        _living("ix_models_team_id_verification", "team_id", "verification", "created_at", "id", "deleted_at"),
        Index(
            "ix_models_desired",
            *("team_id", "label_set", "verification", "agents_ready"),
            sqlite_where=DESIRED,
            postgresql_where=DESIRED,
        ),
        # Few models are on machines that their labels exclude: see ``replicas.missing``.
        Index(
            "ix_models_assigned",
            *("team_id", "label_set", "verification", "agents_assigned", "agents_ready"),
            sqlite_where=ASSIGNED,
            postgresql_where=ASSIGNED,
        ),
        # The retention of versions reads those of a team with more versions than it keeps.
        Index(
            "ix_models_several_versions",
            *("team_id", "version_count", "id"),
            sqlite_where=SEVERAL_VERSIONS,
            postgresql_where=SEVERAL_VERSIONS,
        ),
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
    path_key: Mapped[str] = mapped_column(SORTED_TEXT)
    storage_key: Mapped[str]
    blob_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey("blobs.id"), index=True)
    file_size: Mapped[int]  # of a folder, that of its manifest
    file_hash: Mapped[str]
    total_size: Mapped[int | None]  # bytes of all files of a folder; null for a model of one file
    file_count: Mapped[int | None]  # of a folder; null for a model of one file
    current_version: Mapped[int | None]
    pending_version: Mapped[int | None]
    latest_version: Mapped[int] = mapped_column(default=1, server_default="1")  # numbers are never used again
    version_count: Mapped[int] = mapped_column(default=1, server_default="1")  # without deleted and purged ones
    model_status: Mapped[str] = mapped_column(default="active")
    verification: Mapped[str]
    verification_error: Mapped[str | None]
    # Of the version that it shows, or of the newest earlier one that has a picture; see ``versions.previews``.
    preview_sha256: Mapped[str | None]
    preview_color: Mapped[str | None]
    verified_at: Mapped[datetime | None]  # see ``ModelVersionRow``; null if and only if no version is current
    blake3_hash: Mapped[str | None]
    creator_kind: Mapped[str]
    creator_id: Mapped[UUID | None]
    creator_name: Mapped[str]
    description: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(default=list)
    source_url: Mapped[str | None]
    newer_at_source: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # see ``wire.models``
    required_labels: Mapped[list[str]] = mapped_column(default=list)
    label_set: Mapped[str] = mapped_column(
        default="", server_default=text("''")
    )  # see ``labels.build_model_label_set``
    agents_ready: Mapped[int] = mapped_column(default=0, server_default="0")  # written by ``replicas.states``
    agents_unloaded: Mapped[int] = mapped_column(default=0, server_default="0")  # of them; written there too
    agents_assigned: Mapped[int] = mapped_column(default=0, server_default="0")  # by ``replicas.assignments``
    # Seconds since 1970, 0 without a known use: so each model has a place in the order. Written by ``replicas.uses``.
    last_used_second: Mapped[int] = mapped_column(default=0, server_default="0")
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # without the training tags
    # The columns below the overrides, which are a person's values, are derived by ``details.update_details``.
    base_model_override: Mapped[str | None]
    trigger_words_override: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    license_override: Mapped[str | None]
    author_override: Mapped[str | None]
    license: Mapped[str | None]
    license_source: Mapped[str | None]
    author: Mapped[str | None]
    author_source: Mapped[str | None]
    base_model: Mapped[str | None] = mapped_column(SORTED_TEXT)
    base_source: Mapped[str | None]
    trigger_words: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))  # null for none
    derived_from: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    searched: Mapped[str]  # what `q` looks in, see ``search_text``
    etag_counter: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None]

    @property
    def preview_url(self) -> str | None:
        """The path of its picture in the API, or None."""
        return build_preview_url(self.preview_sha256)

    @property
    def last_used_at(self) -> datetime | None:
        """When a machine used it last, or None if no use is known."""
        return datetime.fromtimestamp(self.last_used_second, UTC) if self.last_used_second else None

    @property
    def content_size(self) -> int:
        """Bytes of its file, or of all files of a folder; in queries ``CONTENT_SIZE``."""
        return self.file_size if self.total_size is None else self.total_size

    @property
    def is_folder(self) -> bool:
        """Whether it is a model of many files."""
        return self.file_count is not None

    @property
    def has_own_trigger_words(self) -> bool:
        """Whether its trigger words are those that a person entered, perhaps none."""
        return self.trigger_words_override is not None

    @property
    def shown_version(self) -> int:
        """The number of the version whose content the record shows: the current one, or else the pending one.

        A model has at least one of both: a version of neither kind is removed only beside a current one.
        """
        version = self.current_version or self.pending_version
        assert version is not None  # noqa: S101 - see above
        return version


# SQLite uses the index of sizes only for this exact expression.
CONTENT_SIZE = func.coalesce(ModelRow.total_size, ModelRow.file_size)


class ModelVersionRow(Row):
    """One content of a model. Its bytes never change; its blob does if damaged content is repaired."""

    __tablename__ = "model_versions"
    __table_args__ = (
        # Includes the trash: a new upload of the same content repairs damaged versions there too.
        Index("ix_model_versions_team_id_file_hash", "team_id", "file_hash"),
        # A lookup of a thousand hashes reads only this index of versions, and in it only those outside the trash.
        Index("ix_model_versions_blob_id", "blob_id", "deleted_at", "is_model_deleted", "model_id", "number"),
        Index("ix_model_versions_deleted_at", "deleted_at", sqlite_where=TRASHED, postgresql_where=TRASHED),
        Index(
            "ix_model_versions_team_id_preview",
            *("team_id", "preview_sha256"),
            sqlite_where=HAS_PREVIEW,
            postgresql_where=HAS_PREVIEW,
        ),
        Index("ix_model_versions_unpreviewed", "created_at", sqlite_where=UNPREVIEWED, postgresql_where=UNPREVIEWED),
    )

    model_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    team_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey("teams.id"))
    storage_key: Mapped[str]
    blob_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey("blobs.id"))
    file_size: Mapped[int]
    file_hash: Mapped[str]
    total_size: Mapped[int | None]  # see ``ModelRow``
    file_count: Mapped[int | None]
    blake3_hash: Mapped[str | None]
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    verification: Mapped[str]
    verification_error: Mapped[str | None]
    verified_at: Mapped[datetime | None]  # for the first time; stays if the content is damaged later
    note: Mapped[str | None]
    # The version that it was converted from, ``wire.pickles.conversions.DerivedFrom`` in JSON.
    derived_from: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    sidecar: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True)
    )  # see ``wire.model_details.Sidecar``
    creator_kind: Mapped[str]
    creator_id: Mapped[UUID | None]
    creator_name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    promoted_at: Mapped[datetime | None]  # when it became current for the first time
    history_position: Mapped[int | None]  # see ``versions.history``
    kept_from: Mapped[datetime] = mapped_column(default=now)  # from when the days of its retention count
    deleted_at: Mapped[datetime | None]  # moved to the trash by itself, not with its model
    is_model_deleted: Mapped[bool] = mapped_column(default=False, server_default=false())  # its model is in the trash
    # The picture of the table ``previews``, with a copy of its colour.
    preview_sha256: Mapped[str | None]
    preview_color: Mapped[str | None]
    # "person" who set or removed it, "file" that has it, "none" if the file has none; null: not searched for yet.
    preview_source: Mapped[str | None]
    preview_retry_at: Mapped[datetime | None]  # searching its file failed: not to be tried before

    @property
    def is_folder(self) -> bool:
        """Whether it is the content of a model of many files: its blob is the manifest."""
        return self.file_count is not None

    @property
    def preview_url(self) -> str | None:
        """The path of its picture in the API, or None."""
        return build_preview_url(self.preview_sha256)


class FolderFileRow(Row):
    """One file of one version of a folder model; its content is a blob of the team, which other files may share."""

    __tablename__ = "folder_files"
    __table_args__ = (
        ForeignKeyConstraint(
            ["model_id", "number"], ["model_versions.model_id", "model_versions.number"], ondelete="CASCADE"
        ),
        Index("ix_folder_files_blob_id", "blob_id", "model_id", "number"),
        Index("ix_folder_files_team_id_file_hash", "team_id", "file_hash"),
    )

    model_id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # in the manifest, from 0
    team_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey("teams.id"))
    path: Mapped[str]  # within the folder
    blob_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey("blobs.id"))
    file_size: Mapped[int]
    file_hash: Mapped[str]
    kind: Mapped[str]  # ``wire.folders.names.FileKind``, as which its content was or will be checked
    # The metadata of a model file, or the facts of its refusal; null for other kinds, and before verification.
    facts: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class ModelTagRow(Row):
    """One tag of one model, with copies of the model's columns that the index of the tag filter needs."""

    __tablename__ = "model_tags"
    __table_args__ = (Index("ix_model_tags_team_id_tag", "team_id", "tag", "is_deleted", "created_at", "model_id"),)

    model_id: Mapped[UUID] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    team_id: Mapped[UUID]
    created_at: Mapped[datetime]
    is_deleted: Mapped[bool] = mapped_column(default=False)


def find_shown_version(session: Session, model: ModelRow) -> ModelVersionRow:
    """Return the version whose content the model's record shows: the current one, or else the pending one."""
    return session.get_one(ModelVersionRow, (model.id, model.shown_version))


@event.listens_for(ModelRow, "before_update")
def _update_searched(_mapper: object, _connection: object, model: ModelRow) -> None:
    """Set the searched text of a changed model; whatever changes its columns by SQL has to do that too."""
    changed = inspect(model).attrs
    if any(changed[name].history.has_changes() for name in SEARCHED_COLUMNS if name in changed):
        model.searched = build_search_text({name: getattr(model, name, None) for name in SEARCHED_COLUMNS})
