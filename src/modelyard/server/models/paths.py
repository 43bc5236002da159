"""Types and paths of models within a team: validation, the model at a path, and the problem if a path is taken."""

from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from modelyard.server.models.tables import ModelRow
from modelyard.wire import problems
from modelyard.wire.model_folders import suggest_folder
from modelyard.wire.paths import ModelPath, ModelPathInvalid, get_canonical_type, parse_model_path

MAX_SUGGESTIONS = 50
_AT_PATH = select(ModelRow).where(
    ModelRow.team_id == bindparam("team"), ModelRow.path_key == bindparam("path_key"), ModelRow.deleted_at.is_(None)
)


def validate_model_path(model_type: str, model_path: str) -> ModelPath:
    """Return the parsed path of a model.

    Raises:
        ModelPathRefused: the type or path is not allowed by ``wire.paths``; names the field and the reason.
    """
    try:
        return parse_model_path(model_type, model_path)
    except ModelPathInvalid as refused:
        errors = [{"field": refused.field, "message": str(refused)}]
        raise problems.ModelPathRefused(str(refused), errors=errors) from None


def check_model_type(session: Session, team_id: UUID, model_type: str) -> None:
    """Check that a model type is not a near miss of a known one, unless the team has a model of this type already.

    Raises:
        ModelTypeUnknown: it is; with the suggested type.
    """
    suggestion = suggest_folder(model_type)
    if suggestion is None or _has_model_of_type(session, team_id, model_type):
        return
    message = f"'{model_type}' is no folder that ComfyUI or a known node reads. Did you mean '{suggestion}'?"
    raise problems.ModelTypeUnknown(
        f"{message} Use it as the model type and as the first folder of the path.",
        suggestion=suggestion,
        errors=[{"field": "model_type", "message": message}],
    )


def _has_model_of_type(session: Session, team_id: UUID, model_type: str) -> bool:
    """Return whether a model of the team outside the trash has exactly this type."""
    of_type = select(ModelRow.id).where(
        ModelRow.team_id == team_id,
        ModelRow.canonical_type == get_canonical_type(model_type),
        ModelRow.model_type == model_type,
        ModelRow.deleted_at.is_(None),
    )
    return session.scalar(of_type.limit(1)) is not None


def find_model_at_path(session: Session, team_id: UUID, path: ModelPath) -> ModelRow | None:
    """Return the team's model at this path, or at one that is the same file on some machine; None if there is none.

    Models in the trash do not count.
    """
    return session.scalar(_AT_PATH, {"team": team_id, "path_key": path.key})


def build_path_taken(
    session: Session, holder: ModelRow, path: ModelPath, file_hash: str | None
) -> problems.ModelPathTaken:
    """Build the problem for a path that ``holder`` has; its facts are the holder, both hashes and a free path."""
    return problems.ModelPathTaken(
        f"'{holder.model_path}' is taken. Upload the file as a new version of that model, or use another path.",
        model_id=str(holder.id),
        model_path=holder.model_path,
        held_hash=holder.file_hash,
        sent_hash=file_hash,
        free_path=_find_free_path(session, holder.team_id, path),
    )


def _find_free_path(session: Session, team_id: UUID, path: ModelPath) -> str | None:
    """Return the same path with ``_2``, ``_3``, … below ``MAX_SUGGESTIONS`` before its extension.

    None if all are taken or one is not allowed.
    """
    stem, dot, extension = path.relative.rpartition(".")
    for number in range(2, MAX_SUGGESTIONS):
        try:
            suggestion = parse_model_path(path.relative.split("/")[0], f"{stem}_{number}{dot}{extension}")
        except ModelPathInvalid:
            return None
        if find_model_at_path(session, team_id, suggestion) is None:
            return suggestion.relative
    return None


def flush_model(session: Session, model: ModelRow) -> None:
    """Write the session's changes, with those of ``model``, to the database in this transaction.

    Raises:
        ModelPathTaken: another server took the path since it was checked.
    """
    try:
        session.flush()
    except IntegrityError:
        raise problems.ModelPathTaken(
            f"'{model.model_path}' was taken a moment ago. Use another path.", model_path=model.model_path
        ) from None
