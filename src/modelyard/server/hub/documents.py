"""The JSON documents that clients of Hugging Face read. Pure."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from modelyard.server.hub.operations import Repository, RepositoryFile
from modelyard.server.hub.revisions import build_object_id, build_pointer, build_revision
from modelyard.server.teams.context import TeamContext

Document = dict[str, Any]
# Asked by each process of a client; without an answer, each process asks again.
NO_HARNESSES: Document = {"standardEnvVars": [], "harnesses": {}}


def build_info(repository: Repository, *, with_blobs: bool) -> Document:
    """Build the info of a repository, with sizes and hashes of its files if asked for."""
    siblings = [_build_sibling(file, with_blobs=with_blobs) for file in repository.files]
    return build_list_entry(repository) | {"siblings": siblings}


def build_list_entry(repository: Repository) -> Document:
    """Build the entry of a repository in a list: its info without files."""
    changed_at = _format_time(repository.changed_at)
    return {
        "_id": repository.revision[:24],
        "id": repository.id,
        "modelId": repository.id,
        "author": repository.id.rpartition("/")[0] or None,
        "sha": repository.revision,
        "createdAt": changed_at,
        "lastModified": changed_at,
        "private": True,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
    }


def _build_sibling(file: RepositoryFile, *, with_blobs: bool) -> Document:
    """Build the entry of a file in the info of its repository."""
    if not with_blobs:
        return {"rfilename": file.path}
    pointer = build_pointer(file)
    lfs = {"sha256": file.sha256, "size": file.size, "pointerSize": len(pointer)}
    return {"rfilename": file.path, "size": file.size, "blobId": build_object_id(pointer), "lfs": lfs}


def build_tree(repository: Repository, folder: str, *, is_recursive: bool) -> list[Document]:
    """Build the entries of a folder, of the whole repository if it is empty; those of sub-folders if recursive.

    Raises:
        RepositoryFileNotFound: the repository has no such folder.
    """
    folders = _group_by_folder(repository.files)
    if folder and folder not in folders:
        raise repository.build_file_not_found()
    prefix = f"{folder}/" if folder else ""

    def is_listed(path: str) -> bool:
        return path.startswith(prefix) and (is_recursive or "/" not in path[len(prefix) :])

    entries = [_build_folder_entry(path, files) for path, files in folders.items() if is_listed(path)]
    return entries + [_build_file_entry(file) for file in repository.files if is_listed(file.path)]


def build_paths_info(repository: Repository, paths: Collection[str]) -> list[Document]:
    """Build the entries of those paths that are files or folders of the repository; others are left out."""
    folders = _group_by_folder(repository.files)
    entries = [_build_folder_entry(path, files) for path, files in folders.items() if path in paths]
    return entries + [_build_file_entry(file) for file in repository.files if file.path in paths]


def _group_by_folder(files: Iterable[RepositoryFile]) -> dict[str, list[RepositoryFile]]:
    """Return the files below each folder, with those of its sub-folders; sorted by folder."""
    found: dict[str, list[RepositoryFile]] = {}
    for file in files:
        segments = file.path.split("/")
        for length in range(1, len(segments)):
            found.setdefault("/".join(segments[:length]), []).append(file)
    return dict(sorted(found.items()))


def _build_folder_entry(path: str, files: Iterable[RepositoryFile]) -> Document:
    """Build the entry of a folder in a tree, which has these files below it."""
    return {"type": "directory", "oid": build_revision(files), "size": 0, "path": path}


def _build_file_entry(file: RepositoryFile) -> Document:
    """Build the entry of a file in a tree."""
    pointer = build_pointer(file)
    lfs = {"oid": file.sha256, "size": file.size, "pointerSize": len(pointer)}
    return {"type": "file", "oid": build_object_id(pointer), "size": file.size, "path": file.path, "lfs": lfs}


def build_whoami(team: TeamContext) -> Document:
    """Build what a client shows of the key that it signs in with."""
    name = team.caller.display_name
    token = {"displayName": name, "role": "read"}
    return {
        "type": "user",
        "id": str(team.user_id or team.caller.credential_id),
        "name": name,
        "fullname": name,
        "orgs": [],
        "auth": {"type": "access_token", "accessToken": token},
    }


def _format_time(moment: datetime) -> str:
    """Return a time in the one form that all clients read."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
