"""The API's representation of models."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_dict

from modelyard.server.models.details import build_record_metadata, load_training_tags
from modelyard.server.models.replicas.desired import MachineCounts
from modelyard.server.models.repositories.operations import find_hub_file
from modelyard.server.models.tables import ModelRow
from modelyard.server.models.versions.states import load_pending_versions
from modelyard.server.teams.context import TeamContext
from modelyard.wire.models import Model

_MODELS = TypeAdapter(list[Model])
# Fields of the API model that have the same name as their column.
_SAME_NAMES = set(Model.model_fields) - {
    *("created_by", "agents_desired", "metadata", "restorable_until", "version", "pending_version"),
    *("trigger_words", "training_tags", "details", "hub_file"),
}


def build_models(
    session: Session,
    team: TeamContext,
    models: Sequence[ModelRow],
    trash_days: int,
    machines: MachineCounts | None = None,
) -> list[Model]:
    """Return the API's representation of some of the team's models, in the same order.

    ``machines`` are those of the team, if they are loaded already.
    """
    machines = machines or MachineCounts.load(session, team.team_id)
    pending = load_pending_versions(session, models)
    # One validation of all, which is faster than one for each record and each part of it.
    return _MODELS.validate_python(
        [
            _get_columns(model)
            | {
                "version": model.shown_version,
                "pending_version": pending.get(model.id),
                "created_by": {
                    "kind": model.creator_kind,
                    "id": model.creator_id,
                    "display_name": model.creator_name,
                },
                "agents_desired": machines.count_for_model(model),
                "metadata": build_record_metadata(model.facts),
                "trigger_words": model.trigger_words or [],
                "training_tags": [],
                "hub_file": None,
                "details": model.facts.get("details", {}),
                "restorable_until": model.deleted_at and model.deleted_at + timedelta(days=trash_days),
            }
            for model in models
        ]
    )


def _get_columns(model: ModelRow) -> dict[str, Any]:
    """Return the fields of the record that are columns; reading all at once is faster than one by one."""
    loaded = instance_dict(model)
    return {name: loaded[name] if name in loaded else getattr(model, name) for name in _SAME_NAMES}


def build_model(session: Session, team: TeamContext, model: ModelRow, trash_days: int) -> Model:
    """Return the API's representation of one of the team's models, with training tags and ``hub_file``."""
    [record] = build_models(session, team, [model], trash_days)
    own = {"training_tags": load_training_tags(session, model), "hub_file": find_hub_file(session, model)}
    return record.model_copy(update=own)
