"""The models of a team with many ids."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.models.tables import ModelRow


def load_models_by_id(session: Session, team_id: UUID, ids: Collection[UUID]) -> dict[UUID, ModelRow]:
    """Return those of the models that the team has, also in the trash, by their ids; one query.

    The team is not a condition of the query: beside several ids, SQLite prefers an index of the team to that of the
    ids, and reads all of its entries.
    """
    models = session.scalars(select(ModelRow).where(ModelRow.id.in_(ids)))
    return {model.id: model for model in models if model.team_id == team_id}
