"""Tags as rows, for the filter: written with the model, and told when it goes to the trash or comes back."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from modelyard.server.models.tables import ModelRow, ModelTagRow


def add_tags(session: Session, model_id: UUID, team_id: UUID, created_at: datetime, tags: list[str]) -> None:
    known = {"model_id": model_id, "team_id": team_id, "created_at": created_at, "is_deleted": False}
    session.add_all(ModelTagRow(tag=tag, **known) for tag in tags)


def replace_tags(session: Session, model: ModelRow) -> None:
    session.execute(delete(ModelTagRow).where(ModelTagRow.model_id == model.id))
    add_tags(session, model.id, model.team_id, model.created_at, model.tags)


def mark_tags(session: Session, model: ModelRow) -> None:
    """Say in the tags' rows whether the model is in the trash now."""
    of_model = update(ModelTagRow).where(ModelTagRow.model_id == model.id)
    session.execute(of_model.values(is_deleted=model.deleted_at is not None))
