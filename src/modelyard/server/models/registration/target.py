"""The existing model that an upload or a registration is about, and what is done with it."""

from uuid import UUID

from sqlalchemy.orm import Session

from modelyard.server.models.operations import check_may_change
from modelyard.server.models.paths import build_path_taken, find_model_at_path
from modelyard.server.models.registration.decide import (
    ExistingModel,
    ExistingVersion,
    RegistrationAction,
    RegistrationDecision,
    RequestedContent,
    decide_registration,
)
from modelyard.server.models.tables import ModelRow, ModelVersionRow, find_shown_version
from modelyard.server.models.versions.folder_states import has_doubtful_content, has_unverified_content
from modelyard.server.models.versions.states import find_newest_version
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


def decide_on_target(
    session: Session, team: TeamContext, model: ModelRow, path: ModelPath, requested: RequestedContent
) -> RegistrationDecision:
    """Return what the registration of content does with an existing model, if it may.

    Raises:
        ModelPathTaken: the model has other content, and the request does not replace it.
        RoleTooLow: it would change the model, and the caller may not.
        VersionConflict: the newest version of the model is not the one that the caller expects.
        SizeMismatch: see ``check_size_of_hash``.
    """
    newest = find_newest_version(session, model.id)
    shown = find_shown_version(session, model)
    versions = [_build_existing(session, model, version, requested) for version in (shown, newest)]
    existing = ExistingModel(versions[0], versions[1], model.latest_version)
    decision = decide_registration(existing, requested)
    if decision.action is RegistrationAction.REFUSE_PATH:
        raise build_path_taken(session, model, path, requested.file_hash)
    if decision.needs_change_right:
        check_may_change(team, model)
    if decision.action is RegistrationAction.REFUSE_VERSION:
        raise _build_version_conflict(newest, requested.expected_version)
    return decision


def _build_existing(
    session: Session, model: ModelRow, version: ModelVersionRow, requested: RequestedContent
) -> ExistingVersion:
    """Build the view of a version that decisions need; its blobs are looked at only if it has the requested content."""
    has_content = version.file_hash == requested.file_hash
    is_failed, is_verified = (version.verification == state for state in ("failed", "verified"))
    return ExistingVersion(
        version.number,
        version.file_hash,
        version.file_size,
        version.verification,
        was_verified=version.verified_at is not None,
        was_current=version.promoted_at is not None,
        is_pending=version.number == model.pending_version,
        is_damaged=has_content and is_failed and not has_unverified_content(session, version),
        is_doubtful=has_content and is_verified and has_doubtful_content(session, version),
    )


def _build_version_conflict(newest: ModelVersionRow, expected: int | None) -> problems.VersionConflict:
    """Build the problem for a new version that is based on another one than the newest."""
    happened = f"{newest.creator_name} has uploaded version {newest.number} meanwhile."
    if expected is not None and expected > newest.number:
        happened = f"The model has no version {expected}: its newest is {newest.number}, by {newest.creator_name}."
    return problems.VersionConflict(
        f"{happened} Look at it, and push again if your file should follow it.",
        version=newest.number,
        created_by=newest.creator_name,
        file_hash=newest.file_hash,
    )
