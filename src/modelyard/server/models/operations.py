"""Models as records: find, show, change, delete, restore, hand out their bytes."""

from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from modelyard.server import changes
from modelyard.server.audit import operations as audit
from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.identity.asked import uuid_of
from modelyard.server.models.content import EXTENSIONS
from modelyard.server.models.holders import states, succession
from modelyard.server.models.holders.keys import may_fetch
from modelyard.server.models.holders.labels import label_set
from modelyard.server.models.holders.wanting import Machines
from modelyard.server.models.listing.tags import mark_tags, replace_tags
from modelyard.server.models.places import flush_path, held_path, path_or_problem, path_taken
from modelyard.server.models.tables import ModelRow, searched_text
from modelyard.server.storage.blob_store import BlobStore, SignedRequest
from modelyard.server.teams.acting import Acting
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire import problems
from modelyard.wire.models import Creator, Model, ModelChange
from modelyard.wire.teams import Role

GET_LIFE = timedelta(minutes=15)
# What a record and its row call by the same name.
_SAME_NAMES = set(Model.model_fields) - {"created_by", "agents_wanted", "metadata", "restorable_until"}


def id_of(text: str) -> UUID:
    """The id in an address.

    Raises:
        ModelNotFound: what is no UUID is answered as what does not exist.
    """
    return uuid_of(text, model_not_found())


def model_not_found() -> problems.ModelNotFound:
    return problems.ModelNotFound("There is no such model.")


def find_model(session: Session, acting: Acting, model_id: UUID, *, deleted: bool = False) -> ModelRow:
    """A living model of the team, or with ``deleted`` one in its trash.

    Raises:
        ModelNotFound: not there, or another team's.
    """
    model = session.get(ModelRow, model_id)
    if model is None or model.team_id != acting.team_id or (model.deleted_at is not None) != deleted:
        raise model_not_found()
    return model


def may_change(acting: Acting, model: ModelRow) -> None:
    """Check that this caller may change this model: members their own, admins every one.

    Raises:
        RoleTooLow: somebody else's model.
    """
    if (
        acting.caller.kind == "integration"
        or acting.is_at_least(Role.ADMIN)
        or acting.owns(model.creator_kind, model.creator_id)
    ):
        return
    raise problems.RoleTooLow("Members change the models that they registered; ask an admin.", needed_role=Role.ADMIN)


def may_remove(acting: Acting) -> None:
    """Check that this kind of caller may delete and restore at all: an integration key may only replace.

    Raises:
        KeyNotAllowed: an integration key.
    """
    if acting.caller.kind == "integration":
        raise problems.KeyNotAllowed("An integration key may replace models, not delete or restore them.")


def as_wire(model: ModelRow, machines: Machines, trash_days: int) -> Model:
    """The record as the API shows it, beside the machines of its team."""
    # The days of what stands in for a successor have not begun.
    began = model.deleted_at if model.stands_in_for is None else None
    return Model(
        created_by=Creator(kind=model.creator_kind, id=model.creator_id, display_name=model.creator_name),
        agents_wanted=machines.wanted_for(model),
        metadata=model.facts,
        restorable_until=began and began + timedelta(days=trash_days),
        **{name: getattr(model, name) for name in _SAME_NAMES},
    )


def etag_of(model: ModelRow) -> str:
    return f'"{model.version}"'


def check_version(model: ModelRow, if_match: str | None) -> None:
    """Check the caller's ``If-Match``, if it sent one.

    Raises:
        VersionStale: the record has changed since the caller read it.
    """
    if if_match is None or if_match.strip() == "*":
        return
    if etag_of(model) not in [tag.strip() for tag in if_match.split(",")]:
        raise problems.VersionStale("The model has changed since you read it. Read it again.", etag=etag_of(model))


def change_model(
    session: Session, acting: Acting, model_id: UUID, change: ModelChange, if_match: str | None
) -> ModelRow:
    """The model with the fields that were sent; the bytes never change under a record.

    Raises:
        ModelNotFound, RoleTooLow, VersionStale
        KeyNotAllowed: an integration key may not enable or disable.
        ModelPathRefused, ModelPathTaken: of a new path or type.
    """
    model = find_model(session, acting, model_id)
    sent = {name: getattr(change, name) for name in change.model_fields_set}
    if acting.caller.kind == "integration" and "model_status" in sent:
        raise problems.KeyNotAllowed("An integration key may not enable or disable models.", field="model_status")
    may_change(acting, model)
    check_version(model, if_match)

    sent = {name: _cleared(name) if value is None else value for name, value in sent.items()}
    changed = {name: value for name, value in sent.items() if getattr(model, name) != value}
    if not changed:
        return model
    named = {"moved_from" if "model_path" in changed else "model_path": model.model_path}
    _apply(session, model, changed)
    changes.raise_revision(session, acting.team_id)
    audit.record(session, acting.actor, acting.team_id, _action(changed), str(model.id), **(named | changed))
    return model


def _cleared(name: str) -> Any:
    return [] if name in ("tags", "required_labels") else None


def _action(changed: dict[str, Any]) -> str:
    if set(changed) == {"model_status"}:
        return "model.enabled" if changed["model_status"] == "active" else "model.disabled"
    return "model.changed"


def _apply(session: Session, model: ModelRow, changed: dict[str, Any]) -> None:
    if "model_path" in changed:
        _check_format(model, changed["model_path"])
    for name, value in changed.items():
        setattr(model, name, value)
    if "model_path" in changed or "model_type" in changed:
        path = path_or_problem(model.model_type, model.model_path)
        with session.no_autoflush:
            holder = held_path(session, model.team_id, path)
            if holder is not None and holder.id != model.id:
                raise path_taken(session, holder, path, model.file_hash)
        model.path_key, model.canonical_type = path.key, path.canonical_type
    model.searched = searched_text(model.display_name, model.model_path, model.tags)
    model.label_set = label_set(model.required_labels)
    model.version += 1
    model.updated_at = now()
    flush_path(session, model)
    if "tags" in changed:
        replace_tags(session, model)
    if "model_status" in changed or "required_labels" in changed:
        states.drop_unwanted(session, model)
    succession.let_go(session, model)


def _check_format(model: ModelRow, model_path: str) -> None:
    """The bytes stay, and were checked against the extension: the new one must promise the same.

    Raises:
        ModelPathRefused: it promises another format, or none.
    """
    before, after = (EXTENSIONS.get(PurePosixPath(path).suffix.lower()) for path in (model.model_path, model_path))
    if before != after:
        message = f"The bytes stay as they are, and they are {before}: keep an extension that says so."
        raise problems.ModelPathRefused(message, errors=[{"field": "model_path", "message": message}])


def delete_model(session: Session, acting: Acting, model_id: UUID, if_match: str | None) -> None:
    """Put a model into the trash: gone from lists and machines at once, its bytes kept for the grace time.

    Raises:
        KeyNotAllowed: see ``may_remove``.
        ModelNotFound, RoleTooLow, VersionStale
    """
    may_remove(acting)
    model = find_model(session, acting, model_id)
    may_change(acting, model)
    check_version(model, if_match)
    trash_model(session, model)
    changes.raise_revision(session, acting.team_id, models=-1)
    audit.record(session, acting.actor, acting.team_id, "model.deleted", str(model.id), model_path=model.model_path)


def trash_model(session: Session, model: ModelRow, successor: UUID | None = None) -> None:
    """Mark it as deleted; whoever does so counts it and raises the revision.

    With a ``successor`` machines keep it until that one is verified; whoever makes that one lets it go, if it is.
    """
    model.deleted_at = now()
    model.version += 1
    if successor is not None:
        succession.stand_in(session, model, successor)
    session.flush()
    mark_tags(session, model)
    succession.let_go(session, model)
    states.drop_unwanted(session, model)


def restore_model(session: Session, acting: Acting, model_id: UUID) -> ModelRow:
    """The model, back from the trash.

    Raises:
        KeyNotAllowed: see ``may_remove``.
        ModelNotFound: it is not in the trash (any more).
        RoleTooLow
        ModelPathTaken: somebody has taken its path meanwhile.
    """
    may_remove(acting)
    model = find_model(session, acting, model_id, deleted=True)
    may_change(acting, model)
    path = path_or_problem(model.model_type, model.model_path)
    holder = held_path(session, acting.team_id, path)
    if holder is not None:
        raise path_taken(session, holder, path, model.file_hash)
    model.deleted_at = model.stands_in_for = None
    model.version += 1
    model.updated_at = now()
    flush_path(session, model)
    mark_tags(session, model)
    succession.let_go(session, model)
    changes.raise_revision(session, acting.team_id, models=1)
    audit.record(session, acting.actor, acting.team_id, "model.restored", str(model.id), model_path=model.model_path)
    return model


def _downloadable(session: Session, acting: Acting, model_id: UUID) -> ModelRow:
    """A living model; for a machine one that its manifest names, or will: also what stands in for another.

    Raises:
        ModelNotFound
    """
    if acting.caller.kind != "agent":
        return find_model(session, acting, model_id)
    model = session.get(ModelRow, model_id)
    if model is None or model.team_id != acting.team_id or not may_fetch(session, acting, model):
        raise model_not_found()
    return model


def download_request(database: Database, store: BlobStore, acting: Acting, model_id: UUID) -> SignedRequest:
    """A signed GET for a verified model.

    Raises:
        ModelNotFound: nor does a machine get what its manifest does not name.
        ModelNotVerified: the registry has not read the bytes yet.
        ModelDamaged: it has, and they are wrong.
    """
    with database.reading() as session:
        model = _downloadable(session, acting, model_id)
        blob = session.get_one(BlobRow, model.blob_id)
    if model.verification == "pending":
        raise problems.ModelNotVerified("The registry is still reading these bytes. Try again.", verification="pending")
    if model.verification == "failed":
        raise problems.ModelDamaged(f"These bytes are refused: {model.verification_error}", verification="failed")
    file_name = model.model_path.rsplit("/", 1)[-1]
    return store.download_request(blob.store_key, file_name, blob.sha256, GET_LIFE)
