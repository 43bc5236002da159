"""The temporary names that folders have in a work folder while they are replaced or removed.

<work folder>/<sha256 of the new manifest>.<agent id>.<random hex>.folder

A kill or a failed disk can leave such a name, for a folder that was never checked for files of a user. It becomes trash
only once it has nothing but files that known lists name.
"""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.files.dir_handles import OpenFolder
from modelyard.sync.apply.files.folder_trees import FolderTree, find_foreign_entry
from modelyard.sync.apply.files.rename import rename_folder_without_replacing
from modelyard.sync.apply.files.trash import choose_trash_name
from modelyard.sync.inventory.folder_lists import FolderLists
from modelyard.sync.inventory.work_folders import TRASH_FOLDER

# The end of the name of a folder in the work folder.
STAGING_SUFFIX = ".folder"


@dataclass(frozen=True)
class KeptFolder:
    """A folder in a work folder that is not deleted, because of the entry at ``foreign_path`` below it."""

    path: Path
    foreign_path: str

    def describe(self) -> str:
        """Return a sentence that says what to do."""
        return (
            f"{quoted(self.path)} was left when its model was replaced or removed, and contains"
            f" {quoted(self.foreign_path)}, which does not belong to the model. Move that away, and delete the folder."
        )


def build_temporary_name(sha256: str, agent_id: str) -> str:
    """Return an unused temporary name for a folder that is replaced by, or has, the manifest with this hash."""
    return f"{sha256}.{agent_id}.{uuid4().hex}{STAGING_SUFFIX}"


def put_into_trash(work: OpenFolder, temporary_name: str, sha256: str) -> None:
    """Move a folder that was checked for files of a user to the trash; after an error it keeps its temporary name."""
    with suppress(NotPlaced, OSError), work.open_subfolder(TRASH_FOLDER, make=True) as trash:
        rename_folder_without_replacing(work, temporary_name, trash, choose_trash_name(trash, sha256))


def clear_leftovers(
    work: OpenFolder,
    agent_id: str,
    lists: FolderLists,
    sha256: str | None = None,
    list_used: Callable[[], Collection[Path | str]] = tuple,
) -> list[KeptFolder]:
    """Move this agent's folders under temporary names, of one manifest or of all, to the trash; return those that stay.

    A folder stays if it has an entry that none of the lists names. One whose manifest has a hash in ``list_used()`` is
    left out: an action that runs may have given it its name. That is called once the names are known, so a name that is
    given later is not among them.

    Raises:
        NotPlaced, OSError: the disk failed.
        StateFileError: see ``StateFile``.
    """
    kept: list[KeptFolder] = []
    names = list(_list_leftovers(work, agent_id, sha256))
    used = list_used()
    if not (names := [name for name in names if name.partition(".")[0] not in used]):
        return kept
    tree = FolderTree.from_files(lists.list_all_files())
    for name in names:
        try:
            with work.open_subfolder(name) as folder:
                foreign = find_foreign_entry(folder, tree)
        except FileNotFoundError:
            continue  # an action that began meanwhile has moved it
        if foreign is None:
            put_into_trash(work, name, name.partition(".")[0])
        else:
            kept.append(KeptFolder(work.path / name, foreign))
    return kept


def has_leftovers(work: OpenFolder, agent_id: str) -> bool:
    """Return whether a work folder has a folder of this agent under a temporary name.

    Raises:
        OSError: the disk failed.
    """
    return next(_list_leftovers(work, agent_id, None), None) is not None


def _list_leftovers(work: OpenFolder, agent_id: str, sha256: str | None) -> Iterator[str]:
    """Yield the temporary names in a work folder, of one manifest or of all."""
    own = re.compile(rf"{sha256 or '[0-9a-f]{64}'}\.{re.escape(agent_id)}\.[0-9a-f]+{re.escape(STAGING_SUFFIX)}")
    yield from sorted(filter(own.fullmatch, work.list_names()))
