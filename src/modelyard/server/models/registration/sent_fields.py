"""The fields that a registration has for a model that exists already."""

from typing import Any

from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.audit import operations as audit
from modelyard.server.database.base import now
from modelyard.server.models.details import build_sidecar, update_details
from modelyard.server.models.operations import check_may_change, get_changed_fields, may_change, set_fields
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire.models import IgnoredField, ModelNotes, NewModel
from modelyard.wire.paths import ModelPath

# Fields of the record that every registration sets, also one that adds a version or is repeated, if it has them.
_RECORD_FIELDS = {"display_name", "tags", "required_labels", *ModelNotes.model_fields}


def set_sent_fields(session: Session, team: TeamContext, model: ModelRow, new: NewModel, version: int | None) -> None:
    """Set the fields of the record that the request has and that differ, and the note and sidecar of ``version``.

    The name stays if the request keeps it. ``version`` is None if the registration has added one. Each change is
    recorded in the audit log.

    Raises:
        RoleTooLow: the caller may not change the model; names the fields.
    """
    names = _RECORD_FIELDS - {"display_name"} if new.keeps_name else _RECORD_FIELDS
    values = {name: getattr(new, name) for name in new.model_fields_set & names}
    # Null means nothing here: clients send it for fields that they do not know.
    sent = {name: value for name, value in values.items() if value is not None}
    changed = get_changed_fields(model, sent)
    existing = None if version is None else session.get_one(ModelVersionRow, (model.id, version))
    if existing is not None:
        _set_sidecar(session, team, model, existing, build_sidecar(new.sidecar))
    is_note_changed = existing is not None and new.note is not None and new.note != existing.note
    if not changed and not is_note_changed:
        return
    check_may_change(team, model, fields=[*changed, *(["note"] if is_note_changed else [])])
    set_fields(session, team, model, sent, with_version=version is None)
    if existing is not None and is_note_changed:
        existing.note = new.note
        facts = {"version": version, "note": new.note}
        audit.record(session, team.actor, team.team_id, "version.changed", model.id, **facts)


def find_ignored_fields(
    model: ModelRow, version: ModelVersionRow, path: ModelPath, new: NewModel
) -> list[IgnoredField]:
    """Return path, type and file size of the request if they differ, since no registration changes these of a model.

    The optional ``models/`` before a path does not count: ``path`` is that of the request without it.
    """
    kept: dict[str, str | int] = {"model_type": model.model_type, "file_size": version.file_size}
    if model.model_path not in (path.relative, f"models/{path.relative}"):
        kept = {"model_path": model.model_path, **kept}
    fields = ((name, getattr(new, name), value) for name, value in kept.items())
    return [IgnoredField(field=name, sent=sent, kept=value) for name, sent, value in fields if sent != value]


def _set_sidecar(
    session: Session, team: TeamContext, model: ModelRow, version: ModelVersionRow, sidecar: dict[str, Any] | None
) -> None:
    """Set the sidecar of an existing version, and record that; do nothing if the caller may not change the model.

    If the model's row shows the version, its details are updated, and the team's revision is incremented. Programs send
    sidecars by themselves, so a member who pushes a file again is not refused for one.
    """
    if sidecar is None or sidecar == version.sidecar or not may_change(team, model):
        return
    version.sidecar = sidecar
    if version.number == model.shown_version:
        update_details(model, version)
        model.etag_counter += 1
        model.updated_at = now()
        revisions.increment_revision(session, team.team_id)
    facts = {"version": version.number, "sidecar": sidecar}
    audit.record(session, team.actor, team.team_id, "version.changed", model.id, **facts)
