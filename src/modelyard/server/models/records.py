"""The API's representation of models."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy.orm import Session

from modelyard.server.models.replicas.desired import MachineCounts
from modelyard.server.models.tables import ModelRow
from modelyard.server.models.versions.states import load_pending_versions
from modelyard.server.teams.context import TeamContext
from modelyard.wire.models import Model
from modelyard.wire.versions import Creator

# Fields of the API model that have the same name as their column.
_SAME_NAMES = set(Model.model_fields) - {
    *("created_by", "agents_desired", "metadata", "restorable_until", "version", "pending_version")
}


def build_models(session: Session, team: TeamContext, models: Sequence[ModelRow], trash_days: int) -> list[Model]:
    """Return the API's representation of some of the team's models, in the same order."""
    machines = MachineCounts.load(session, team.team_id)
    pending = load_pending_versions(session, models)
    return [
        Model(
            version=model.shown_version,
            pending_version=pending.get(model.id),
            created_by=Creator(kind=model.creator_kind, id=model.creator_id, display_name=model.creator_name),
            agents_desired=machines.count_for_model(model),
            metadata=model.facts,
            restorable_until=model.deleted_at and model.deleted_at + timedelta(days=trash_days),
            **{name: getattr(model, name) for name in _SAME_NAMES},
        )
        for model in models
    ]
