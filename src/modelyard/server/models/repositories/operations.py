"""Recording of which file of a repository at Hugging Face a model is, and what the endpoint serves of a model."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, bindparam, func, select
from sqlalchemy.orm import Session

from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import get_table
from modelyard.server.models.repositories.names import NAMESPACE, build_repository_name
from modelyard.server.models.repositories.tables import ImportedFileRow
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.wire.models import HubFile

# What a version that may be downloaded fulfils, and what of it is served: not its facts, which are large.
SERVED = (ModelVersionRow.verification == "verified", ModelVersionRow.deleted_at.is_(None))
CONTENT = (ModelVersionRow.model_id, ModelVersionRow.number, ModelVersionRow.file_size, ModelVersionRow.file_hash)
_imports = get_table(ImportedFileRow)
# Each record of a model that is read needs it, so it is built once.
_SELECT_IMPORTS_OF_CONTENT = (
    select(_imports.c.repository, _imports.c.repository_key, _imports.c.path)
    .where(
        _imports.c.model_id == bindparam("of_model", type_=Uuid()),
        _imports.c.file_hash == bindparam("of_hash"),
    )
    .order_by(_imports.c.imported_at.desc(), _imports.c.path)
)


def record_repository_file(session: Session, file: ImportedFileRow) -> None:
    """Record that a model has the content of a file of a repository. Idempotent."""
    session.merge(file)


def record_held_file(session: Session, file: ImportedFileRow) -> None:
    """Record that a model has the content of a file of a repository without an import of this commit. Idempotent.

    ``imported_at`` is set to a time before all imports of the path, so that `main` stays at the last of them.
    """
    key = (file.model_id, file.repository_key, file.repository_revision, file.path)
    if session.get(ImportedFileRow, key) is not None:
        return
    query = select(func.min(ImportedFileRow.imported_at)).where(
        ImportedFileRow.team_id == file.team_id,
        ImportedFileRow.repository_key == file.repository_key,
        ImportedFileRow.path == file.path,
    )
    first = session.scalar(query)
    file.imported_at = get_database_time(session) if first is None else first - timedelta(microseconds=1)
    session.add(file)


def find_served_model(session: Session, team_id: UUID, file_hash: str) -> UUID | None:
    """Return an enabled model of one file that has a verified version with this content; None if there is none."""
    query = (
        select(ModelVersionRow.model_id)
        .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
        .where(
            ModelVersionRow.team_id == team_id,
            ModelVersionRow.file_hash == file_hash,
            ModelRow.file_count.is_(None),
            ModelRow.deleted_at.is_(None),
            ModelRow.model_status == "active",
            *SERVED,
        )
    )
    return session.scalar(query.order_by(ModelVersionRow.model_id).limit(1))


def list_models_of_file(
    session: Session, team_id: UUID, repository_key: str, path: str, file_hash: str
) -> Sequence[UUID]:
    """Return the models that imported this content of a file, at any commit; also those that are not served."""
    query = select(ImportedFileRow.model_id).where(
        ImportedFileRow.team_id == team_id,
        ImportedFileRow.repository_key == repository_key,
        ImportedFileRow.path == path,
        ImportedFileRow.file_hash == file_hash,
    )
    return session.scalars(query.distinct().order_by(ImportedFileRow.model_id)).all()


def has_repository(model: ModelRow) -> bool:
    """Return whether the endpoint has a repository for a model: it may be used, and has a current version."""
    return model.deleted_at is None and model.model_status == "active" and model.current_version is not None


def find_hub_file(session: Session, model: ModelRow) -> HubFile | None:
    """Return where the Hugging Face endpoint has the current version of a model; None if it has not.

    That is the file that it was imported from last if `main` of that repository has this version, else the model's own
    repository; of a folder with an empty path, since its files are in it at theirs.
    """
    if not has_repository(model) or model.verification != "verified":
        return None
    content = {"of_model": model.id, "of_hash": model.file_hash}
    imported = session.connection().execute(_SELECT_IMPORTS_OF_CONTENT, content).all()
    # Of several commits, only the last import of a path is at `main`.
    last = {(row.repository_key, row.path): row.repository for row in reversed(imported)}
    for (key, path), repository in reversed(last.items()):
        if _is_at_main(session, model, key, path):
            return HubFile(repository=repository, path=path)
    repository = f"{NAMESPACE}/{build_repository_name(model.model_path, model.id)}"
    return HubFile(repository=repository, path="" if model.is_folder else model.model_path.rpartition("/")[2])


def _is_at_main(session: Session, model: ModelRow, repository_key: str, path: str) -> bool:
    """Return whether `main` of an imported repository has the current version of a model at a path."""
    if repository_key.rpartition("/")[0] == NAMESPACE:
        return False  # the endpoint has the team's models there
    places = select_imported_files(model.team_id, repository_key).where(ImportedFileRow.path == path).subquery()
    found = session.execute(select(places.c.model_id, places.c.file_hash).where(places.c.place == 1)).one_or_none()
    return found is not None and (found.model_id, found.file_hash) == (model.id, model.file_hash)


def select_imported_files(team_id: UUID, repository_id: str) -> Select[Any]:
    """Return a query for files of a repository that may be downloaded; of each path, the last import is at place 1."""
    last = (ImportedFileRow.imported_at.desc(), ModelVersionRow.number.desc(), ModelVersionRow.model_id)
    order = func.row_number().over(partition_by=ImportedFileRow.path, order_by=last)
    imported = (ImportedFileRow.repository, ImportedFileRow.repository_revision, ImportedFileRow.imported_at)
    files = select(*CONTENT, ImportedFileRow.path, *imported, order.label("place"))
    return _join_served(files, team_id).where(ImportedFileRow.repository_key == repository_id.lower())


def select_imported_keys(team_id: UUID, *conditions: ColumnElement[bool]) -> Select[Any]:
    """Return a query for the keys, sorted, of repositories of which files were imported that may be downloaded."""
    key = ImportedFileRow.repository_key
    keys = _join_served(select(key).select_from(ModelVersionRow), team_id)
    return keys.where(*conditions).distinct().order_by(key)


def _join_served(query: Select[Any], team_id: UUID) -> Select[Any]:
    """Join versions with their models and with imports of their content; only what may be downloaded is left."""
    return (
        query.join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
        .join(ImportedFileRow, ImportedFileRow.model_id == ModelRow.id)
        .where(
            ImportedFileRow.team_id == team_id,
            ImportedFileRow.file_hash == ModelVersionRow.file_hash,
            ModelRow.deleted_at.is_(None),
            ModelRow.model_status == "active",
            *SERVED,
        )
    )
