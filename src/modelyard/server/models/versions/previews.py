"""The preview pictures of versions, and the copy of one in the model's row.

A model shows the picture of the version that its record shows, or else of the newest earlier version that has one.
"""

from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.models.tables import ModelRow, ModelVersionRow

PreviewSource = Literal["person", "source", "file", "none"]


def set_version_preview(
    session: Session,
    model: ModelRow,
    version: ModelVersionRow,
    picture: tuple[str, str] | None,
    source: PreviewSource,
) -> None:
    """Set the picture of a version, its hash and its colour, or remove it with None.

    A new revision of the team is counted if the model's own picture changes by that.
    """
    version.preview_sha256, version.preview_color = picture or (None, None)
    version.preview_source = source
    session.flush()
    update_shown_preview(session, model)


def update_shown_preview(session: Session, model: ModelRow) -> None:
    """Copy the picture that the model shows into its row; if it changes, count a change of the record and of the team.

    To be called after each change of the model's versions that does not end in ``promotion.update_shown_content``.
    """
    if copy_shown_preview(session, model):
        model.etag_counter += 1
        revisions.increment_revision(session, model.team_id)


def copy_shown_preview(session: Session, model: ModelRow) -> bool:
    """Copy the picture that the model shows into its row; return whether it is another one than before."""
    shown = (
        select(ModelVersionRow.preview_sha256, ModelVersionRow.preview_color)
        .where(
            ModelVersionRow.model_id == model.id,
            ModelVersionRow.number <= model.shown_version,
            ModelVersionRow.deleted_at.is_(None),
            ModelVersionRow.preview_sha256.is_not(None),
        )
        .order_by(ModelVersionRow.number.desc())
    )
    row = session.execute(shown.limit(1)).first()
    picture = (None, None) if row is None else (row.preview_sha256, row.preview_color)
    is_changed = (model.preview_sha256, model.preview_color) != picture
    model.preview_sha256, model.preview_color = picture
    return is_changed
