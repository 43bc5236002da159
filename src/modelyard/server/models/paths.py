"""Types and paths of models within a team: validation, the model at a path, and the problem if a path is taken."""

from collections.abc import Callable, Collection
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from modelyard.server.models.tables import FolderFileRow, ModelRow
from modelyard.wire import problems
from modelyard.wire.folders.names import FolderInvalid, build_parent_keys, check_file_path
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
    if suggestion is not None and not _has_model_of_type(session, team_id, model_type):
        raise problems.ModelTypeUnknown.for_type(model_type, suggestion)


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


def check_no_folder_overlaps(
    session: Session, team_id: UUID, path: ModelPath, *, is_folder: bool, model_id: UUID | None = None
) -> None:
    """Check that a path is not inside a folder model, and that no other model is inside a new folder model.

    A folder is placed, replaced and removed as one, with nothing else in it. ``model_id`` is the model itself, if it
    exists already.

    Raises:
        ModelPathTaken: it is so; with the other model.
    """
    of_team = ModelRow.team_id == team_id, ModelRow.deleted_at.is_(None)
    query = select(ModelRow).where(*of_team).limit(1)
    if model_id is not None:
        query = query.where(ModelRow.id != model_id)
    parents = build_parent_keys(path.key)
    holder = session.scalar(query.where(ModelRow.path_key.in_(parents), ModelRow.file_count.is_not(None)))
    if holder is None and is_folder:
        # All keys that begin with the folder and "/": "0" is the character after it.
        is_inside = ModelRow.path_key >= f"{path.key}/", ModelRow.path_key < f"{path.key}0"
        holder = session.scalar(query.where(*is_inside))
    if holder is not None:
        raise problems.ModelPathTaken(
            f"'{path.relative}' and '{holder.model_path}' would be one inside the other. A folder model has its folder "
            "for itself: use another path.",
            model_id=str(holder.id),
            model_path=holder.model_path,
        )


def find_latest_folder_version(session: Session, model_id: UUID) -> int | None:
    """Return the number of a folder's newest version, None of other models: the paths in a version never change."""
    is_folder = ModelRow.id == model_id, ModelRow.file_count.is_not(None)
    return session.scalar(select(ModelRow.latest_version).where(*is_folder))


def load_longest_folder_paths(session: Session, model_id: UUID) -> Collection[str]:
    """Return the paths with the most bytes and segments among those in all versions of a folder; none of other models.

    Where these are allowed, all others are: the other rules are the same wherever the folder is.
    """
    paths = session.scalars(select(FolderFileRow.path).where(FolderFileRow.model_id == model_id).distinct()).all()
    measures: tuple[Callable[[str], int], ...] = (lambda path: len(path.encode()), lambda path: path.count("/"))
    return {max(paths, key=measure) for measure in measures} if paths else set()


def check_folder_paths(model: ModelRow, names: Collection[str]) -> None:
    """Check that these files of a folder have allowed paths where it is now.

    Raises:
        ModelPathRefused: one would have too many bytes or segments.
    """
    folder = f"{model.canonical_type}/{model.model_path.removeprefix('models/').partition('/')[2]}"
    for name in sorted(names):
        try:
            check_file_path(model.canonical_type, folder, name)
        except FolderInvalid as invalid:
            errors = [{"field": "model_path", "message": str(invalid)}]
            raise problems.ModelPathRefused(str(invalid), errors=errors) from None


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


def build_path_occupied(
    session: Session, holder: ModelRow, path: ModelPath, model: ModelRow
) -> problems.ModelPathTaken:
    """Build the problem for a model that exists, or is in the trash, and that cannot be moved to a path of ``holder``.

    Its facts are the holder, the model, both hashes and a free path.
    """
    return problems.ModelPathTaken(
        f"'{holder.model_path}' is taken by another model. Move or remove that one, or use another path.",
        model_id=str(holder.id),
        model_path=holder.model_path,
        held_hash=holder.file_hash,
        sent_hash=model.file_hash,
        free_path=_find_free_path(session, holder.team_id, path),
        **{"moved_id" if model.deleted_at is None else "restored_id": str(model.id)},
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
