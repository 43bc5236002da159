"""Rows of the tags table, which the tag filter reads: inserted, replaced and updated together with their model."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from modelyard.server.models.tables import ModelRow, ModelTagRow


def insert_tag_rows(session: Session, model_id: UUID, team_id: UUID, created_at: datetime, tags: list[str]) -> None:
    """Insert a row for each tag of a model that is not in the trash; ``created_at`` is the model's time of creation."""
    values = {"model_id": model_id, "team_id": team_id, "created_at": created_at, "is_deleted": False}
    session.add_all(ModelTagRow(tag=tag, **values) for tag in tags)


def replace_tag_rows(session: Session, model: ModelRow) -> None:
    """Delete the tag rows of a model that is not in the trash, and insert one for each of its current tags."""
    session.execute(delete(ModelTagRow).where(ModelTagRow.model_id == model.id))
    insert_tag_rows(session, model.id, model.team_id, model.created_at, model.tags)


def update_tag_rows(session: Session, model: ModelRow) -> None:
    """Set ``is_deleted`` of a model's tag rows to whether the model is in the trash now."""
    of_model = update(ModelTagRow).where(ModelTagRow.model_id == model.id)
    session.execute(of_model.values(is_deleted=model.deleted_at is not None))
