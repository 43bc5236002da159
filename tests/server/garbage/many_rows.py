"""Databases with much garbage of one kind, inserted as rows: each function inserts so many of them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, update

from modelyard.server.collections.tables import CollectionEntryRow, CollectionRow
from modelyard.server.database.base import Row, new_id, now
from modelyard.server.database.session import Database, insert_rows
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.previews.tables import PreviewRow
from modelyard.server.teams.tables import TeamRow
from modelyard.server.uploads.tables import BlobRow, DiscardedRow, UploadRow
from tests.server.garbage.version_rows import AGE, TeamSpec, insert_teams
from tests.server.models.model_factory import build_blob_row

OLD = now() - AGE


def insert_versions(database: Database, count: int, **columns: Any) -> None:
    """Insert a model with so many versions past their retention."""
    insert_teams(database, [TeamSpec(version_counts=(count,), version_columns=columns)])


def insert_unverified_versions(database: Database, count: int) -> None:
    insert_versions(database, count, verification="failed")


def insert_versions_below_trash(database: Database, count: int) -> None:
    """Insert a model whose newer half of versions was moved to the trash just now."""
    insert_versions(database, count)
    is_newer = ModelVersionRow.number.between(count // 2, count - 1)
    _update(database, ModelVersionRow, is_newer, deleted_at=now())


def insert_trashed_versions(database: Database, count: int) -> None:
    insert_versions(database, count)
    _update(database, ModelVersionRow, ModelVersionRow.number < count, deleted_at=OLD)


def insert_versions_of_collection(database: Database, count: int) -> None:
    """Insert a model, half of whose versions are in the trash, and a pinned collection that has had each of them."""
    insert_versions(database, count)
    _update(database, ModelVersionRow, ModelVersionRow.number < count // 2, deleted_at=OLD)
    maker = {"creator_kind": "user", "creator_name": "Ada Lovelace"}
    collection_id = new_id()
    with database.writing() as session:
        model = session.scalars(select(ModelRow)).one()
        named = {"id": collection_id, "team_id": model.team_id, "name": "Winter", "name_key": "winter"}
        numbers = {"latest_version": count, "rolled_out_version": count, "is_pinned": True}
        insert_rows(session, CollectionRow, [named | numbers | maker])
        entry = {"collection_id": collection_id, "position": 0, "model_id": model.id, "model_path": model.model_path}
        entry |= {"file_size": model.file_size, "file_hash": model.file_hash}
        entries = [entry | {"number": number, "model_version": number} for number in range(1, count + 1)]
        insert_rows(session, CollectionEntryRow, entries)


def insert_trashed_models(database: Database, count: int) -> None:
    insert_teams(database, [TeamSpec(version_counts=(1,) * count)])
    _update(database, ModelRow, deleted_at=OLD)


def insert_models_of_deleted_team(database: Database, count: int) -> None:
    insert_teams(database, [TeamSpec(version_counts=(1,) * count)])
    _update(database, TeamRow, deleted_at=OLD)


def insert_unused_blobs(database: Database, count: int) -> None:
    _insert_for_team(database, BlobRow, count, _build_unused_blob)


def insert_unused_previews(database: Database, count: int) -> None:
    _insert_for_team(database, PreviewRow, count, _build_unused_preview)


def insert_discarded(database: Database, count: int) -> None:
    _insert_for_team(
        database,
        DiscardedRow,
        count,
        lambda team_id: {"team_id": team_id, "store_key": _build_key(team_id), "since": OLD},
    )


def insert_old_uploads(database: Database, count: int) -> None:
    moments = (OLD - timedelta(seconds=number) for number in range(count))
    _insert_for_team(database, UploadRow, count, lambda team_id: _build_upload(team_id) | {"touched_at": next(moments)})


def insert_uploads_of_unused_blob(database: Database, count: int) -> None:
    """Insert a blob that nothing uses, with so many registered uploads of it."""
    insert_unused_blobs(database, 1)
    with database.reading() as session:
        blob = session.scalars(select(BlobRow)).one()
    registered = {"blob_id": blob.id, "registered_at": OLD}
    _insert(database, UploadRow, [_build_upload(blob.team_id) | registered for _ in range(count)])


def insert_trashed_model_with_previews(database: Database, count: int) -> None:
    """Insert a model in the trash with so many versions, each of which shows a picture of its own."""
    insert_versions(database, count)
    _update(database, ModelRow, deleted_at=OLD)
    with database.writing() as session:
        for version in session.scalars(select(ModelVersionRow)):
            version.preview_sha256 = f"{version.number:064}"


def _build_key(team_id: UUID) -> str:
    return f"models/{team_id}/{uuid4()}"


def _build_unused_blob(team_id: UUID) -> dict[str, Any]:
    return build_blob_row(team_id, store_key=_build_key(team_id), unused_since=OLD)


def _build_unused_preview(team_id: UUID) -> dict[str, Any]:
    row = {"id": new_id(), "team_id": team_id, "sha256": uuid4().hex, "color": "#000000", "unused_since": OLD}
    return row | {"store_key": f"previews/{team_id}/{uuid4()}", "small_size": 1, "large_size": 1}


def _build_upload(team_id: UUID) -> dict[str, Any]:
    row = {"id": new_id(), "team_id": team_id, "storage_key": _build_key(team_id), "file_name": "a", "file_size": 1}
    return row | {"creator_kind": "user", "touched_at": OLD}


def _insert_for_team(database: Database, kind: type[Row], count: int, build: Callable[[UUID], dict[str, Any]]) -> None:
    [team_id] = insert_teams(database, [TeamSpec()])
    _insert(database, kind, [build(team_id) for _ in range(count)])


def _insert(database: Database, kind: type[Row], rows: list[dict[str, Any]]) -> None:
    with database.writing() as session:
        insert_rows(session, kind, rows)


def _update(database: Database, kind: type[Row], *conditions: Any, **values: Any) -> None:
    with database.writing() as session:
        session.execute(update(kind).where(*conditions).values(values))
