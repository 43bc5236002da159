"""Operations on models: find, change, delete, restore."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.audit import operations as audit
from modelyard.server.database.base import now
from modelyard.server.database.decided_writes import write_decided
from modelyard.server.database.session import Database
from modelyard.server.http.params import parse_uuid
from modelyard.server.models.details import OVERRIDES, update_details
from modelyard.server.models.listing.tags import replace_tag_rows, update_tag_rows
from modelyard.server.models.paths import (
    build_path_occupied,
    check_folder_paths,
    check_model_type,
    check_no_folder_overlaps,
    find_latest_folder_version,
    find_model_at_path,
    flush_model,
    load_longest_folder_paths,
    validate_model_path,
)
from modelyard.server.models.replicas import states
from modelyard.server.models.replicas.assignments import recount_model
from modelyard.server.models.replicas.labels import build_model_label_set
from modelyard.server.models.tables import ModelRow, ModelVersionRow, find_shown_version
from modelyard.server.teams.context import TeamContext, reload_team_context
from modelyard.server.teams.permissions import EDIT_EVERY_ROLE, Operation
from modelyard.wire import problems
from modelyard.wire.formats import find_format
from modelyard.wire.models import ModelUpdate


def parse_model_id(text: str) -> UUID:
    """Return the model id of a request path.

    Raises:
        ModelNotFound: it is not a UUID, so no model has it.
    """
    return parse_uuid(text, build_model_not_found())


def build_model_not_found() -> problems.ModelNotFound:
    """Build the problem for a model that does not exist or belongs to another team; both look the same."""
    return problems.ModelNotFound("There is no such model.")


def find_model(session: Session, team: TeamContext, model_id: UUID, *, deleted: bool = False) -> ModelRow:
    """Return a model of the team that is not in the trash, or with ``deleted`` one that is.

    Raises:
        ModelNotFound: there is none, or it belongs to another team.
    """
    model = session.get(ModelRow, model_id)
    if model is None or model.team_id != team.team_id or (model.deleted_at is not None) != deleted:
        raise build_model_not_found()
    return model


def check_may_change(team: TeamContext, model: ModelRow, fields: Iterable[str] = ()) -> None:
    """Check that the caller may change this model: members their own, admins and integration keys every model.

    Raises:
        RoleTooLow: a member's call for a model that someone else registered; names the ``fields`` to change, if given.
    """
    if may_change(team, model):
        return
    errors = [{"field": field, "message": problems.ONLY_OWN_MODELS} for field in sorted(fields)]
    raise problems.RoleTooLow(
        problems.ONLY_OWN_MODELS, needed_role=EDIT_EVERY_ROLE, **({"errors": errors} if errors else {})
    )


def may_change(team: TeamContext, model: ModelRow) -> bool:
    """Return whether ``check_may_change`` allows it."""
    return team.may_change(model.creator_kind, model.creator_id)


def check_may_remove(team: TeamContext) -> None:
    """Check that the caller is not an integration key, which may replace models but not delete or restore them.

    Raises:
        KeyNotAllowed: the caller is an integration key.
    """
    if team.caller.kind == "integration":
        raise problems.KeyNotAllowed(
            "Integration keys can replace models, but not delete or restore them. Sign in as a user."
        )


def build_etag(model: ModelRow) -> str:
    """Return the model's strong ETag, a quoted counter that each change of the record increments."""
    return f'"{model.etag_counter}"'


def check_etag(model: ModelRow, if_match: str | None) -> None:
    """Check the request's ``If-Match`` header against the model's ETag; None and ``*`` match every model.

    Raises:
        RecordStale: none of its ETags matches, so the record has changed since the caller read it.
    """
    if if_match is None or if_match.strip() == "*":
        return
    if build_etag(model) not in [tag.strip() for tag in if_match.split(",")]:
        raise problems.RecordStale("The model has changed since you read it. Read it again.", etag=build_etag(model))


def update_model(
    database: Database, team: TeamContext, model_id: UUID, change: ModelUpdate, if_match: str | None
) -> ModelRow:
    """Set the fields of a model that the request contains, and return it; its content never changes.

    Null clears a field. If all fields have the requested values already, nothing is written. Otherwise see
    ``set_fields``.

    Raises:
        ModelNotFound, RoleTooLow, RecordStale
        NotAMember, KeyNotAllowed, Unauthenticated: see ``reload_team_context``.
        KeyNotAllowed: the request of an integration key contains the status, even an unchanged one.
        ModelPathRefused, ModelPathTaken: the new path or type is not allowed, or another model has the path.
        ModelTypeUnknown: the new type is a near miss of a known one.
    """

    def write(session: Session, folder_paths: Collection[str]) -> ModelRow:
        current = reload_team_context(session, team, Operation.MODELS_EDIT)
        before = find_model(session, current, model_id).model_path
        model = _update_model(session, current, model_id, change, if_match)
        if model.model_path != before:
            check_folder_paths(model, folder_paths)
        return model

    if "model_path" not in change.model_fields_set:
        with database.writing(team.team_id) as session:
            return _update_model(session, team, model_id, change, if_match)
    # A folder has up to 20,000 files in each of its versions.
    return write_decided(
        database,
        partial(database.writing, team.team_id),
        partial(find_latest_folder_version, model_id=model_id),
        partial(load_longest_folder_paths, model_id=model_id),
        write,
    )


def _update_model(
    session: Session, team: TeamContext, model_id: UUID, change: ModelUpdate, if_match: str | None
) -> ModelRow:
    """Set the fields of a model, without a check of the files of a folder; see ``update_model``.

    Raises:
        KeyNotAllowed: an integration key sent the status.
    """
    model = find_model(session, team, model_id)
    sent = {name: getattr(change, name) for name in change.model_fields_set}
    if team.caller.kind == "integration" and "model_status" in sent:
        raise problems.KeyNotAllowed(
            "Integration keys cannot enable or disable models. Sign in as a user.", field="model_status"
        )
    check_may_change(team, model)
    check_etag(model, if_match)

    set_fields(session, team, model, sent)
    return model


def set_fields(
    session: Session, team: TeamContext, model: ModelRow, sent: Mapping[str, Any], *, with_version: bool = False
) -> None:
    """Set fields of a model that the caller may change; None clears a field.

    If all fields have these values already, nothing is written. Otherwise increments the team's revision, records an
    audit event, and updates what follows from the fields, see ``_apply_change``. ``with_version``: the fields came with
    a new version, whose source says nothing about the current one, so what is newer than that one stays.

    Raises:
        ModelPathRefused, ModelPathTaken: the new path or type is not allowed, or another model has the path.
    """
    changed = get_changed_fields(model, sent)
    if not changed:
        return
    path_fact = {"moved_from" if "model_path" in changed else "model_path": model.model_path}
    is_other_source = "source_url" in changed and not with_version
    _apply_change(session, model, changed | ({"newer_at_source": None} if is_other_source else {}))
    revisions.increment_revision(session, team.team_id)
    audit.record(session, team.actor, team.team_id, _get_audit_action(changed), str(model.id), **(path_fact | changed))


def set_newer_at_source(model: ModelRow, newer: dict[str, Any] | None) -> None:
    """Set what the source of a model has that is newer, as ``NewerAtSource`` in JSON; None if it has nothing newer.

    Counts a change of the record, unless only the time of the check differs.
    """
    before, after = ((each or {}) | {"checked_at": None} for each in (model.newer_at_source, newer))
    model.newer_at_source = newer
    if before != after:
        model.etag_counter += 1


def get_changed_fields(model: ModelRow, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the column values of those fields that differ from the model's."""
    values = {name: _get_cleared_value(name) if value is None else value for name, value in sent.items()}
    return {name: value for name, value in values.items() if getattr(model, get_column_name(name)) != value}


def get_column_name(field: str) -> str:
    """Return the name of the column that has the value of a request's field."""
    return OVERRIDES.get(field, field)


def _get_cleared_value(name: str) -> Any:
    """Return the column value of a field that a request clears with null."""
    return [] if name in ("tags", "required_labels") else None


def _get_audit_action(changed: dict[str, Any]) -> str:
    """Return the audit action for the changed fields: enabled or disabled if only the status changed, else changed."""
    if set(changed) == {"model_status"}:
        return "model.enabled" if changed["model_status"] == "active" else "model.disabled"
    return "model.changed"


def _apply_change(session: Session, model: ModelRow, changed: dict[str, Any]) -> None:
    """Write changed fields to a model's row, and update everything that is derived from them.

    That is: its details, path and label set, its tag rows, and the count of its assigned machines. Replica states are
    deleted of machines that should not hold it any more, and all of them if its path has changed. Flushes the session.

    Raises:
        ModelPathRefused, ModelPathTaken: the new path or type is not allowed, or another model has the path.
        ModelTypeUnknown: the new type is a near miss of a known one.
    """
    if "model_type" in changed:
        check_model_type(session, model.team_id, changed["model_type"])
    if "model_path" in changed:
        _check_format(model, changed["model_path"])
    # Before the changes: a query after them would write the record, and its search text, once more.
    shown = find_shown_version(session, model) if {*OVERRIDES, "model_path"} & changed.keys() else None
    for name, value in changed.items():
        setattr(model, get_column_name(name), value)
    if shown is not None:
        update_details(model, shown)
    if "model_path" in changed or "model_type" in changed:
        _set_path(session, model)
    model.label_set = build_model_label_set(model.required_labels, is_folder=model.is_folder)
    model.etag_counter += 1
    model.updated_at = now()
    flush_model(session, model)
    if "tags" in changed:
        replace_tag_rows(session, model)
    if "required_labels" in changed:
        recount_model(session, model)
    if "model_status" in changed or "required_labels" in changed:
        states.delete_undesired_states(session, model)
    if "model_path" in changed:
        states.delete_states_of_moved_model(session, model)


def _set_path(session: Session, model: ModelRow) -> None:
    """Set the columns that follow from the new path and type of a model.

    Raises:
        ModelPathRefused, ModelPathTaken: the path or type is not allowed, or another model has the path.
    """
    path = validate_model_path(model.model_type, model.model_path)
    with session.no_autoflush:
        holder = find_model_at_path(session, model.team_id, path)
        if holder is not None and holder.id != model.id:
            raise build_path_occupied(session, holder, path, model)
        check_no_folder_overlaps(session, model.team_id, path, is_folder=model.is_folder, model_id=model.id)
    model.path_key, model.canonical_type = path.key, path.canonical_type


def _check_format(model: ModelRow, model_path: str) -> None:
    """Check that a new path has an extension of the same format, because the content was inspected as that format.

    Raises:
        ModelPathRefused: the extension belongs to another format, or to none.
    """
    old_format, new_format = (find_format(path) for path in (model.model_path, model_path))
    if model.is_folder and new_format is None:
        return
    if model.is_folder:
        message = "A folder model stays one: use a path without the extension of a model file."
        raise problems.ModelPathRefused(message, errors=[{"field": "model_path", "message": message}])
    if old_format != new_format:
        message = f"The content of this model has the format {old_format}. Use a path with an extension of that format."
        raise problems.ModelPathRefused(message, errors=[{"field": "model_path", "message": message}])


def delete_model(
    session: Session, team: TeamContext, model_id: UUID, if_match: str | None, *, pinned_in: Sequence[str] = ()
) -> None:
    """Move a model to the trash: it disappears from lists and manifests at once; its content stays for the trash days.

    Deletes its replica states, increments the team's revision, and records an audit event, which has the names of the
    pinned collections by which machines hold the model.

    Raises:
        KeyNotAllowed: see ``check_may_remove``.
        ModelNotFound, RoleTooLow, RecordStale
    """
    check_may_remove(team)
    model = find_model(session, team, model_id)
    check_may_change(team, model)
    check_etag(model, if_match)
    move_to_trash(session, model)
    revisions.increment_revision(session, team.team_id, models=-1)
    facts = {"model_path": model.model_path, **({"pinned_in": list(pinned_in)} if pinned_in else {})}
    audit.record(session, team.actor, team.team_id, "model.deleted", str(model.id), **facts)


def move_to_trash(session: Session, model: ModelRow) -> None:
    """Mark a model with its versions and tags as deleted, and delete its replica states.

    The caller updates the totals and the team's revision.
    """
    model.deleted_at = now()
    model.etag_counter += 1
    session.flush()
    _update_trash_marks(session, model)
    states.delete_undesired_states(session, model)


def _update_trash_marks(session: Session, model: ModelRow) -> None:
    """Set the marks of a model's versions and tags that say whether the model is in the trash."""
    of_model = update(ModelVersionRow).where(ModelVersionRow.model_id == model.id)
    session.execute(of_model.values(is_model_deleted=model.deleted_at is not None))
    update_tag_rows(session, model)


def restore_model(session: Session, team: TeamContext, model_id: UUID) -> ModelRow:
    """Move a model from the trash back to its path, and return it.

    Increments the team's revision, and records an audit event.

    Raises:
        KeyNotAllowed: see ``check_may_remove``.
        ModelNotFound: it is not in the trash.
        RoleTooLow: see ``check_may_change``.
        ModelPathTaken: another model has its path now.
    """
    check_may_remove(team)
    model = find_model(session, team, model_id, deleted=True)
    check_may_change(team, model)
    path = validate_model_path(model.model_type, model.model_path)
    holder = find_model_at_path(session, team.team_id, path)
    if holder is not None:
        raise build_path_occupied(session, holder, path, model)
    check_no_folder_overlaps(session, team.team_id, path, is_folder=model.is_folder, model_id=model.id)
    model.deleted_at = None
    model.etag_counter += 1
    model.updated_at = now()
    flush_model(session, model)
    _update_trash_marks(session, model)
    revisions.increment_revision(session, team.team_id, models=1)
    audit.record(session, team.actor, team.team_id, "model.restored", str(model.id), model_path=model.model_path)
    return model
