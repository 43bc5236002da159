"""Which versions must not be purged, whatever a team's retention says."""

from sqlalchemy import ColumnElement, and_, func, or_, select

from modelyard.server.models.tables import ModelRow, ModelVersionRow


def build_referenced_condition() -> ColumnElement[bool]:
    """Build the condition that something refers to a version; for a query of ``ModelVersionRow`` with its ``ModelRow``.

    The current and the pending version, and the newest verified one, which a team would activate after going back. A
    capability that refers to versions adds its condition here.
    """
    other = ModelVersionRow.__table__.alias("other")
    newest_verified = (
        select(func.max(other.c.number))
        .where(
            other.c.model_id == ModelVersionRow.model_id,
            other.c.verification == "verified",
            other.c.deleted_at.is_(None),
        )
        .correlate(ModelVersionRow)
        .scalar_subquery()
    )
    number = ModelVersionRow.number
    return or_(
        and_(ModelRow.current_version.is_not(None), number == ModelRow.current_version),
        and_(ModelRow.pending_version.is_not(None), number == ModelRow.pending_version),
        number == func.coalesce(newest_verified, 0),
    )
