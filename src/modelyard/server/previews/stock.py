"""Stock pictures: those that so many models of a team have in their files that they say nothing about them."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.models.versions.previews import set_version_preview
from modelyard.server.previews.pictures import find_picture

# A picture in the files of so many models of a team is a stock picture.
STOCK_MODELS = 5


def remove_if_stock(session: Session, team_id: UUID, sha256: str, model_id: UUID) -> bool:
    """Return whether a picture that is in the file of one more model is a stock picture of the team; mark it if it is.

    If it becomes one with this model, it is removed from the others, except where it was set by a user or a key.
    """
    row = find_picture(session, team_id, sha256)
    if row is None or row.is_stock:
        return row is not None
    from_files = session.scalars(
        select(ModelVersionRow).where(
            ModelVersionRow.team_id == team_id,
            ModelVersionRow.preview_sha256 == sha256,
            ModelVersionRow.preview_source == "file",
        )
    ).all()
    if len({version.model_id for version in from_files} | {model_id}) < STOCK_MODELS:
        return False
    row.is_stock = True
    for version in from_files:
        set_version_preview(session, session.get_one(ModelRow, version.model_id), version, None, "none")
    return True
