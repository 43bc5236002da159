"""Rows of the tags table, which the tag filter reads: inserted, compared and updated together with their model."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from modelyard.server.database.session import execute_and_count, get_table, insert_rows
from modelyard.server.models.tables import ModelRow, ModelTagRow

_tags = get_table(ModelTagRow)


def insert_tag_rows(session: Session, model_id: UUID, team_id: UUID, created_at: datetime, tags: Iterable[str]) -> None:
    """Insert a row for each tag of a model that is not in the trash; ``created_at`` is the model's time of creation."""
    values = {"model_id": model_id, "team_id": team_id, "created_at": created_at, "is_deleted": False}
    insert_rows(session, ModelTagRow, [values | {"tag": tag} for tag in tags])


def replace_tag_rows(session: Session, model: ModelRow) -> None:
    """Delete and insert the tag rows in which a model that is not in the trash differs from its current tags."""
    of_model = _tags.c.model_id == model.id
    stored = set(session.scalars(select(_tags.c.tag).where(of_model)))
    if removed := stored.difference(model.tags):
        execute_and_count(session, delete(_tags).where(of_model, _tags.c.tag.in_(removed)))
    insert_tag_rows(
        session, model.id, model.team_id, model.created_at, [tag for tag in model.tags if tag not in stored]
    )


def update_tag_rows(session: Session, model: ModelRow) -> None:
    """Set ``is_deleted`` of a model's tag rows to whether the model is in the trash now."""
    of_model = update(ModelTagRow).where(ModelTagRow.model_id == model.id)
    session.execute(of_model.values(is_deleted=model.deleted_at is not None))
