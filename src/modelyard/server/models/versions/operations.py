"""Operations of people on the versions of a model: list, annotate, activate, delete, restore."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.audit import operations as audit
from modelyard.server.database.base import now
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.models.details import build_record_metadata
from modelyard.server.models.operations import check_may_change, find_model
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.models.versions.access import (
    build_version_damaged,
    build_version_not_found,
    find_readable_model,
    get_readable_version,
)
from modelyard.server.models.versions.folder_states import has_doubtful_content
from modelyard.server.models.versions.history import load_previous_version
from modelyard.server.models.versions.previews import update_shown_preview
from modelyard.server.models.versions.promotion import promote_version
from modelyard.server.models.versions.states import get_version_status
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.versions import Creator, ModelVersion, VersionList, VersionUpdate

# Fields of the API's version that have the same name as their column.
_SAME_NAMES = set(ModelVersion.model_fields) - {
    *("version", "version_status", "is_previous", "created_by", "metadata", "restorable_until")
}


def parse_version_number(text: str) -> int:
    """Return the version number of a request path.

    Raises:
        VersionNotFound: it is not a number that a version may have.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise build_version_not_found()
    return int(text)


def list_versions(
    session: Session, team: TeamContext, model_id: UUID, page: Page, trash_days: int, *, deleted: bool
) -> VersionList:
    """List the versions of a model, newest first; those in the trash only with ``deleted``, which lists only them.

    For a machine, only the version that its manifest names.

    Raises:
        ModelNotFound: see ``find_readable_model``.
    """
    model = find_readable_model(session, team, model_id)
    is_deleted = ModelVersionRow.deleted_at.is_not(None)
    query = select(ModelVersionRow).where(ModelVersionRow.model_id == model.id, is_deleted if deleted else ~is_deleted)
    if team.caller.kind == "agent":
        query = query.where(ModelVersionRow.number == model.shown_version)
    rows, meta = list_page(session, query, page, Order((ModelVersionRow.number,), is_descending=True))
    previous = load_previous_version(session, model)
    listed = [_build_version(model, row[0], previous, trash_days) for row in rows]
    return VersionList(version_list=listed, page_meta=meta)


def get_version(session: Session, team: TeamContext, model_id: UUID, number: int, trash_days: int) -> ModelVersion:
    """Return one version of a model.

    Raises:
        ModelNotFound, VersionNotFound: see ``find_readable_model`` and ``get_readable_version``.
    """
    model = find_readable_model(session, team, model_id)
    version = get_readable_version(session, team, model, number)
    return _build_version(model, version, load_previous_version(session, model), trash_days)


def _build_version(model: ModelRow, version: ModelVersionRow, previous: int | None, trash_days: int) -> ModelVersion:
    """Return the API's representation of a version; ``previous`` is the one that a roll-back makes current."""
    return ModelVersion(
        version=version.number,
        version_status=get_version_status(model, version),
        is_previous=version.number == previous,
        created_by=Creator(kind=version.creator_kind, id=version.creator_id, display_name=version.creator_name),
        metadata=build_record_metadata(version.facts),
        restorable_until=version.deleted_at and version.deleted_at + timedelta(days=trash_days),
        **{name: getattr(version, name) for name in _SAME_NAMES},
    )


def update_version(session: Session, team: TeamContext, model_id: UUID, number: int, change: VersionUpdate) -> UUID:
    """Set the note of a version if the request has one, and record a change in the audit log; return the model's id.

    None clears the note.

    Raises:
        ModelNotFound, VersionNotFound, RoleTooLow
    """
    model, version = get_version_to_change(session, team, model_id, number)
    if "note" in change.model_fields_set and version.note != change.note:
        version.note = change.note
        facts = {"version": version.number, "note": change.note}
        audit.record(session, team.actor, team.team_id, "version.changed", model.id, **facts)
    return model.id


def activate_version(session: Session, team: TeamContext, model_id: UUID, number: int) -> None:
    """Make a verified version the current one, older or newer than the one before; a pending version is superseded.

    Increments the team's revision, and records an audit event. Does nothing if the version is current already.

    Raises:
        ModelNotFound, VersionNotFound, RoleTooLow
        ModelNotVerified: the version is not verified yet, or its stored content is doubtful.
        ModelDamaged: its verification failed, or its stored content is damaged.
    """
    model, version = get_version_to_change(session, team, model_id, number)
    if version.verification == "pending":
        raise problems.ModelNotVerified(
            version.verification_error
            or "This version is not verified yet, so machines cannot get it. Try again later.",
            verification="pending",
        )
    if version.verification == "failed":
        raise build_version_damaged(model, version, version.verification_error)
    if number == model.current_version:
        return
    if has_doubtful_content(session, version):
        raise problems.ModelNotVerified(
            "A stored file of this version was changed since its verification and waits to be read again. Try again "
            "later, or push the file or folder as a new version.",
            verification="pending",
        )
    facts = {"version": number, "before": model.current_version, "model_path": model.model_path}
    promote_version(session, model, version)
    revisions.increment_revision(session, team.team_id)
    audit.record(session, team.actor, team.team_id, "version.activated", model.id, **facts)


def delete_version(session: Session, team: TeamContext, model_id: UUID, number: int) -> None:
    """Move a version to the trash, and record that in the audit log; its content stays for the trash days.

    A pending version is not pending any more. The model shows another picture if its picture was that of the version.

    Raises:
        ModelNotFound, VersionNotFound, RoleTooLow
        VersionInUse: the model's record shows it: it is the current version, or the only one that is left.
    """
    model, version = get_version_to_change(session, team, model_id, number)
    if number == model.shown_version:
        raise problems.VersionInUse(
            f"Version {number} is the one that the model has now. Activate another version first, or delete the model.",
            previous_version=load_previous_version(session, model),
        )
    version.deleted_at = now()
    model.version_count -= 1
    model.etag_counter += 1
    if model.pending_version == number:
        model.pending_version = None
    session.flush()
    update_shown_preview(session, model)
    audit.record(session, team.actor, team.team_id, "version.deleted", model.id, version=number)


def restore_version(session: Session, team: TeamContext, model_id: UUID, number: int) -> None:
    """Move a version from the trash back to its model's history; it does not become current or pending by that.

    The days of its retention begin again. Recorded in the audit log; the model may show its picture again.

    Raises:
        ModelNotFound, RoleTooLow
        VersionNotFound: it is not in the trash.
    """
    model = find_model(session, team, model_id)
    check_may_change(team, model)
    version = session.get(ModelVersionRow, (model.id, number))
    if version is None or version.deleted_at is None:
        raise problems.VersionNotFound("The trash has no such version of this model.")
    version.deleted_at = None
    version.kept_from = now()
    model.version_count += 1
    model.etag_counter += 1
    session.flush()
    update_shown_preview(session, model)
    audit.record(session, team.actor, team.team_id, "version.restored", model.id, version=number)


def get_version_to_change(
    session: Session, team: TeamContext, model_id: UUID, number: int
) -> tuple[ModelRow, ModelVersionRow]:
    """Return a model that the caller may change, and one of its versions outside the trash.

    Raises:
        ModelNotFound, VersionNotFound, RoleTooLow
    """
    model = find_model(session, team, model_id)
    check_may_change(team, model)
    return model, get_readable_version(session, team, model, number)
