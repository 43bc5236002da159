"""The repositories of a team: imported from Hugging Face, and one for each model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from modelyard.server.hub.addresses import MAIN
from modelyard.server.hub.revisions import build_revision, get_folder_revision
from modelyard.server.models.repositories.names import NAMESPACE, build_repository_name, parse_repository_name
from modelyard.server.models.repositories.operations import CONTENT, SERVED, has_repository, select_imported_files
from modelyard.server.models.repositories.tables import ImportedFileRow
from modelyard.server.models.tables import FolderFileRow, ModelRow, ModelVersionRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems

_id = re.compile(r"(?:[A-Za-z0-9._-]{1,96}/)?[A-Za-z0-9._-]{1,96}")
_commit = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class RepositoryFile:
    """A file of a repository, and the version of a model that has its content; ``sha256`` is hex.

    ``model_id`` is None for a file that Hugging Face has, and the registry perhaps not. ``position`` is that of a file
    of a folder in its manifest, None for a model of one file.
    """

    path: str
    size: int
    sha256: str
    model_id: UUID | None = None
    version: int = 0
    position: int | None = None


@dataclass(frozen=True)
class Repository:
    """A repository at one repository revision, 40 hex digits, with its files by path."""

    id: str
    revision: str
    changed_at: datetime
    files: Sequence[RepositoryFile]

    def get_file(self, path: str) -> RepositoryFile:
        """Return the file with this path.

        Raises:
            RepositoryFileNotFound: there is none; the fact ``revision`` says in which repository revision.
        """
        found = next((file for file in self.files if file.path == path), None)
        if found is None:
            raise self.build_file_not_found()
        return found

    def build_file_not_found(self) -> problems.RepositoryFileNotFound:
        """Build the problem for a path that is not in this repository revision."""
        return problems.RepositoryFileNotFound(
            "The registry has no such file of this repository.", revision=self.revision
        )


def find_repository(
    session: Session, team: TeamContext, repository_id: str, revision: str, path: str | None = None
) -> Repository:
    """Return a repository with the files whose content is verified and whose models are enabled.

    ``main`` is the current version of a model; of an imported repository, the file that was imported last of each path.
    With ``path``, other files may be left out.

    Raises:
        RepositoryNotFound: the team has no such repository, or nothing of it that can be downloaded.
        RepositoryRevisionNotFound: it has nothing of this revision.
    """
    if not is_repository_id(repository_id):
        raise _build_not_found()
    namespace, _, name = repository_id.rpartition("/")
    if namespace.lower() == NAMESPACE:
        found = _find_model_repository(session, _get_model(session, team, name), revision, path)
    else:
        found = _find_imported_repository(session, team, repository_id, revision, path)
    if found is None:
        raise problems.RepositoryRevisionNotFound("The registry has nothing of this revision of the repository.")
    return found


def is_repository_id(text: str) -> bool:
    """Return whether a text may be the id of a repository."""
    return _id.fullmatch(text) is not None


def is_commit(revision: str) -> bool:
    """Return whether a repository revision is a commit, and no branch."""
    return _commit.fullmatch(revision) is not None


def _build_not_found() -> problems.RepositoryNotFound:
    """Build the problem for a repository that does not exist, is of another team, or has nothing to download."""
    return problems.RepositoryNotFound("The registry has no such repository for your team.")


def _get_model(session: Session, team: TeamContext, name: str) -> ModelRow:
    """Return the enabled model whose repository has this name in the namespace of the team's models.

    Raises:
        RepositoryNotFound: there is none, or no version of it is verified.
    """
    meant = parse_repository_name(name)
    is_meant = ModelRow.id == meant if isinstance(meant, UUID) else ModelRow.path_key == meant
    query = select(ModelRow).where(ModelRow.team_id == team.team_id, is_meant, ModelRow.deleted_at.is_(None))
    model = session.scalar(query)
    if model is None or not has_repository(model):
        raise _build_not_found()
    return model


def _find_model_repository(session: Session, model: ModelRow, revision: str, path: str | None) -> Repository | None:
    """Return the repository of a model at its newest verified version of a revision; ``main`` is the current one.

    With ``path``, other files of a folder are left out.
    """
    query = select(*CONTENT, ModelVersionRow.created_at).where(ModelVersionRow.model_id == model.id, *SERVED)
    if revision == MAIN:
        query = query.where(ModelVersionRow.number == model.current_version)
    for row in session.execute(query.order_by(ModelVersionRow.number.desc())):
        repository = build_model_repository(model, row)
        if revision in (MAIN, repository.revision):
            files = _list_folder_files(session, row, path) if model.is_folder else repository.files
            return replace(repository, files=files)
    return None


def build_model_repository(model: ModelRow, version: Row[*tuple[Any, ...]]) -> Repository:
    """Return the repository of a model at a version; of a folder, without its files."""
    repository_id = f"{NAMESPACE}/{build_repository_name(model.model_path, model.id)}"
    if model.is_folder:
        return Repository(repository_id, get_folder_revision(version.file_hash), version.created_at, [])
    files = [_build_file(model.model_path.rpartition("/")[2], version)]
    return Repository(repository_id, build_revision(files), version.created_at, files)


def _list_folder_files(session: Session, version: Row[*tuple[Any, ...]], path: str | None) -> list[RepositoryFile]:
    """Return the files of a version of a folder, sorted by path; with ``path`` at most that one."""
    if path is not None and "\0" in path:
        return []  # PostgreSQL takes no text with a NUL, and no file has one
    columns = (FolderFileRow.path, FolderFileRow.file_size, FolderFileRow.file_hash, FolderFileRow.position)
    query = select(*columns).where(FolderFileRow.model_id == version.model_id, FolderFileRow.number == version.number)
    if path is not None:
        query = query.where(FolderFileRow.path == path)
    return [
        RepositoryFile(
            path=row.path,
            size=row.file_size,
            sha256=row.file_hash.removeprefix("sha256:"),
            model_id=version.model_id,
            version=version.number,
            position=row.position,
        )
        for row in session.execute(query.order_by(FolderFileRow.position))
    ]


def _find_imported_repository(
    session: Session, team: TeamContext, repository_id: str, revision: str, path: str | None
) -> Repository | None:
    """Return an imported repository at a commit, or at ``main`` or the repository revision that this has now.

    Raises:
        RepositoryNotFound: nothing was imported from it that can be downloaded.
    """
    query = select_imported_files(team.team_id, repository_id)
    if is_commit(revision):
        at_commit = query.where(ImportedFileRow.repository_revision == revision)
        # PostgreSQL takes no text with a NUL, and no file has one.
        if path is not None and "\0" not in path:
            found = load_imported_repository(session, at_commit.where(ImportedFileRow.path == path))
            if found is not None:
                return found
        found = load_imported_repository(session, at_commit)
        if found is not None:
            return found
    main = load_imported_repository(session, query)
    if main is None:
        raise _build_not_found()
    return main if revision in (MAIN, main.revision) else None


def load_imported_repository(session: Session, query: Select[Any]) -> Repository | None:
    """Return the repository with the last import of each path; None if there is none.

    Files of several commits have a repository revision that is made from their content.
    """
    places = query.subquery()
    rows = session.execute(select(places).where(places.c.place == 1)).all()
    if not rows:
        return None
    files = sorted((_build_file(row.path, row) for row in rows), key=lambda file: file.path)
    commits = {row.repository_revision for row in rows}
    newest = max(rows, key=lambda row: row.imported_at)
    revision = newest.repository_revision if len(commits) == 1 else build_revision(files)
    return Repository(newest.repository, revision, newest.imported_at, files)


def _build_file(path: str, version: Row[*tuple[Any, ...]]) -> RepositoryFile:
    """Return the file of a repository that has the content of a version."""
    sha256 = version.file_hash.removeprefix("sha256:")
    return RepositoryFile(path, version.file_size, sha256, version.model_id, version.number)
