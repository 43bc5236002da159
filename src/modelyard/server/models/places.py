"""Where a model stands in its team: one path, which is refused, held, taken or free."""

from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from modelyard.server.models.tables import ModelRow
from modelyard.wire import problems
from modelyard.wire.paths import ModelPath, PathRefused, checked_path

MOST_SUGGESTIONS = 50
_AT_PATH = select(ModelRow).where(
    ModelRow.team_id == bindparam("team"), ModelRow.path_key == bindparam("path_key"), ModelRow.deleted_at.is_(None)
)


def path_or_problem(model_type: str, model_path: str) -> ModelPath:
    """The path by the one rule of ``wire.paths``.

    Raises:
        ModelPathRefused: with the field and the reason.
    """
    try:
        return checked_path(model_type, model_path)
    except PathRefused as refused:
        errors = [{"field": refused.field, "message": str(refused)}]
        raise problems.ModelPathRefused(str(refused), errors=errors) from None


def held_path(session: Session, team_id: UUID, path: ModelPath) -> ModelRow | None:
    """The living model at this path or at one that is the same file somewhere."""
    return session.scalar(_AT_PATH, {"team": team_id, "path_key": path.key})


def path_taken(session: Session, holder: ModelRow, path: ModelPath, file_hash: str | None) -> problems.ModelPathTaken:
    """The conflict with what helps: whose it is, both hashes, a path that is free."""
    return problems.ModelPathTaken(
        f"'{holder.model_path}' is taken. Replace that model, or use another path.",
        model_id=str(holder.id),
        model_path=holder.model_path,
        held_hash=holder.file_hash,
        sent_hash=file_hash,
        free_path=_free_path(session, holder.team_id, path),
    )


def _free_path(session: Session, team_id: UUID, path: ModelPath) -> str | None:
    """The same path with ``_2``, ``_3``, … before its extension; None if all of these are taken or too long."""
    stem, dot, extension = path.relative.rpartition(".")
    for number in range(2, MOST_SUGGESTIONS):
        try:
            suggestion = checked_path(path.relative.split("/")[0], f"{stem}_{number}{dot}{extension}")
        except PathRefused:
            return None
        if held_path(session, team_id, suggestion) is None:
            return suggestion.relative
    return None


def flush_path(session: Session, model: ModelRow) -> None:
    """Write the row; another server may have taken the path since we looked.

    Raises:
        ModelPathTaken: it has.
    """
    try:
        session.flush()
    except IntegrityError:
        raise problems.ModelPathTaken(
            f"'{model.model_path}' was taken just now.", model_path=model.model_path
        ) from None
