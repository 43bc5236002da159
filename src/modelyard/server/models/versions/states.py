"""The state of a version, and finding versions."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import bindparam, select, tuple_
from sqlalchemy.orm import Session

from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.wire.versions import PendingVersion, VersionStatus

_NEWEST = (
    select(ModelVersionRow)
    .where(ModelVersionRow.model_id == bindparam("model"), ModelVersionRow.deleted_at.is_(None))
    .order_by(ModelVersionRow.number.desc())
    .limit(1)
)


def get_version_status(model: ModelRow, version: ModelVersionRow) -> VersionStatus:
    """Return the state of one of the model's versions.

    A version that was current once is ``replaced``, even if its content is damaged now. One that failed verification is
    ``failed``, also while it is the model's pending version.
    """
    if version.number == model.current_version:
        return "current"
    if version.promoted_at is not None:
        return "replaced"
    if version.verification == "failed":
        return "failed"
    return "pending" if version.number == model.pending_version else "superseded"


def find_newest_version(session: Session, model_id: UUID) -> ModelVersionRow:
    """Return the version of a model with the highest number, without those in the trash."""
    return session.scalars(_NEWEST, {"model": model_id}).one()


def find_version_with_hash(
    session: Session, model_id: UUID, file_hash: str, *, with_trash: bool = False
) -> ModelVersionRow | None:
    """Return the newest version of a model with this content; None if there is none.

    One in the trash is returned only ``with_trash``, and only if no other has the content.
    """
    is_in_trash = ModelVersionRow.deleted_at.is_not(None)
    query = select(ModelVersionRow).where(ModelVersionRow.model_id == model_id, ModelVersionRow.file_hash == file_hash)
    if not with_trash:
        query = query.where(~is_in_trash)
    return session.scalars(query.order_by(is_in_trash, ModelVersionRow.number.desc()).limit(1)).first()


def load_pending_versions(session: Session, models: Iterable[ModelRow]) -> Mapping[UUID, PendingVersion]:
    """Return the pending version of each model that has one, by the model's id; one query at most."""
    keys = [(model.id, model.pending_version) for model in models if model.pending_version is not None]
    if not keys:
        return {}
    rows = session.execute(
        select(
            ModelVersionRow.model_id,
            ModelVersionRow.number,
            ModelVersionRow.verification,
            ModelVersionRow.verification_error,
        ).where(tuple_(ModelVersionRow.model_id, ModelVersionRow.number).in_(keys))
    )
    return {
        row.model_id: PendingVersion(
            version=row.number, verification=row.verification, verification_error=row.verification_error
        )
        for row in rows
    }
