"""The API's representation of collections and their versions."""

from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from modelyard.server.collections.tables import CollectionEntryRow, CollectionRow, CollectionVersionRow
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.wire.collections import (
    Collection,
    CollectionModel,
    CollectionSummary,
    CollectionVersion,
    CollectionVersionSummary,
)
from modelyard.wire.versions import Creator


def build_summary(collection: CollectionRow, model_count: int) -> CollectionSummary:
    """Return a collection whose newest version has so many models, without the models."""
    return CollectionSummary(
        id=collection.id,
        name=collection.name,
        note=collection.note,
        version=collection.latest_version,
        rolled_out_version=collection.rolled_out_version,
        is_pinned=collection.is_pinned,
        is_held=collection.is_held,
        model_count=model_count,
        created_by=_build_creator(collection),
        created_at=collection.created_at,
        updated_at=collection.updated_at,
    )


def build_collection(session: Session, collection: CollectionRow) -> Collection:
    """Return a collection with the models of its newest version."""
    models = list_models(session, collection.id, collection.latest_version)
    return Collection(model_list=models, **dict(build_summary(collection, len(models))))


def build_version_summary(version: CollectionVersionRow) -> CollectionVersionSummary:
    """Return a version of a collection without its models."""
    return CollectionVersionSummary(
        version=version.number,
        note=version.note,
        model_count=version.model_count,
        created_by=_build_creator(version),
        created_at=version.created_at,
    )


def build_version(session: Session, version: CollectionVersionRow) -> CollectionVersion:
    """Return a version of a collection with its models."""
    models = list_models(session, version.collection_id, version.number)
    return CollectionVersion(model_list=models, **dict(build_version_summary(version)))


def _build_creator(row: CollectionRow | CollectionVersionRow) -> Creator:
    """Return who created a collection or a version."""
    return Creator(kind=row.creator_kind, id=row.creator_id, display_name=row.creator_name)


def list_models(session: Session, collection_id: UUID, number: int) -> list[CollectionModel]:
    """Return the models of a version of a collection in their order, with what became of each; one query."""
    entry = CollectionEntryRow
    is_model = and_(ModelRow.id == entry.model_id, ModelRow.deleted_at.is_(None))
    is_version = and_(
        ModelVersionRow.model_id == ModelRow.id,
        ModelVersionRow.number == entry.model_version,
        ModelVersionRow.deleted_at.is_(None),
    )
    rows = session.execute(
        select(entry, ModelRow.model_path, ModelRow.current_version, ModelRow.pending_version, ModelVersionRow.number)
        .outerjoin(ModelRow, is_model)
        .outerjoin(ModelVersionRow, is_version)
        .where(entry.collection_id == collection_id, entry.number == number)
        .order_by(entry.position)
    )
    return [
        CollectionModel(
            model_id=stored.model_id,
            version=stored.model_version,
            model_path=path or stored.model_path,
            file_size=stored.file_size,
            file_hash=stored.file_hash,
            current_version=current or pending,
            is_available=found is not None,
        )
        for stored, path, current, pending, found in rows
    ]
