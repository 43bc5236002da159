"""Which models and versions a caller may read: a machine's key those that a manifest of its machines names."""

from uuid import UUID

from sqlalchemy.orm import Session

from modelyard.server.models.operations import build_model_not_found, find_model
from modelyard.server.models.replicas.key_access import is_in_any_manifest
from modelyard.server.models.replicas.pins import is_pinned_for_key
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems


def find_readable_model(session: Session, team: TeamContext, model_id: UUID) -> ModelRow:
    """Return a model that is not in the trash; for a machine, one that its manifest lists or will list once verified.

    Raises:
        ModelNotFound: there is no such model for this caller.
    """
    model = find_model(session, team, model_id)
    if team.caller.kind == "agent" and not is_in_any_manifest(session, team, model):
        raise build_model_not_found()
    return model


def get_readable_version(session: Session, team: TeamContext, model: ModelRow, number: int) -> ModelVersionRow:
    """Return a version of the model that is not in the trash; for a machine, one that its manifests may name.

    Raises:
        VersionNotFound: there is no such version for this caller.
    """
    is_hidden = (
        team.caller.kind == "agent"
        and number != model.shown_version
        and not is_pinned_for_key(session, team.caller.credential_id, model.id, number)
    )
    version = None if is_hidden else session.get(ModelVersionRow, (model.id, number))
    if version is None or version.deleted_at is not None:
        raise build_version_not_found()
    return version


def build_version_not_found() -> problems.VersionNotFound:
    """Build the problem for a version that does not exist, is in the trash, or is not visible to the caller."""
    return problems.VersionNotFound("The model has no such version.")


def build_model_damaged(error: str | None, **facts: object) -> problems.ModelDamaged:
    """Build the problem for content that is wrong or missing, with its ``verification_error``."""
    return problems.ModelDamaged(f"This content cannot be used: {error}", verification="failed", **facts)


def build_version_damaged(model: ModelRow, version: ModelVersionRow, error: str | None) -> problems.ModelDamaged:
    """Build the problem for a version whose content is wrong or missing, with the facts that a repair depends on."""
    return build_model_damaged(
        error,
        model_path=model.model_path,
        version=version.number,
        is_current=version.number == model.current_version,
        is_folder=version.is_folder,
        was_verified=version.verified_at is not None,
    )
