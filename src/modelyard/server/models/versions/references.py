"""Which versions must not be purged, whatever a team's retention says."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from modelyard.server.models.tables import ModelRow, ModelVersionRow


def list_referenced_versions(session: Session, model_ids: Collection[UUID]) -> set[tuple[UUID, int]]:
    """Return the versions of these models that something refers to, by model and number.

    The current and the pending version, and the newest verified one, which a team would activate after going back. A
    capability that refers to versions adds its own here. The models are at most as many as one statement can name.
    """
    newest_verified = (
        select(func.max(ModelVersionRow.number))
        .where(
            ModelVersionRow.model_id == ModelRow.id,
            ModelVersionRow.verification == "verified",
            ModelVersionRow.deleted_at.is_(None),
        )
        .scalar_subquery()
    )
    query = select(ModelRow.id, ModelRow.current_version, ModelRow.pending_version, newest_verified)
    rows = session.execute(query.where(ModelRow.id.in_(model_ids)))
    return {(model_id, number) for model_id, *numbers in rows for number in numbers if number is not None}
