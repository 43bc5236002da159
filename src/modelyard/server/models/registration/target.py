"""The existing model that an upload or a registration is about."""

from uuid import UUID

from sqlalchemy.orm import Session

from modelyard.server.models.paths import find_model_at_path
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.paths import ModelPath


def find_target(session: Session, team: TeamContext, path: ModelPath, replaces: UUID | None) -> ModelRow | None:
    """Return the model whose next version is meant (``replaces``), or without one the model at the path, if any.

    Raises:
        ModelNotFound: the team has no such model outside the trash.
        InvalidRequest: the request has another path than the model.
    """
    if replaces is None:
        return find_model_at_path(session, team.team_id, path)
    model = session.get(ModelRow, replaces)
    if model is None or model.team_id != team.team_id or model.deleted_at is not None:
        raise problems.ModelNotFound("The model that should get a new version does not exist.", field="replaces")
    if model.path_key != path.key:
        raise problems.InvalidRequest.for_field(
            "model_path", f"A new version stays at the model's path, '{model.model_path}'. Change the path separately"
        )
    return model
