"""Clean a work folder: delete expired files of the trash and partial files that no download will resume."""

import os
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.files.dir_handles import OpenFolder, open_work_folder
from modelyard.sync.apply.files.folder_leftovers import KeptFolder, clear_leftovers, has_leftovers
from modelyard.sync.apply.files.folder_trees import delete_tree
from modelyard.sync.apply.files.trash import purge_trash
from modelyard.sync.inventory.scan import MachineState
from modelyard.transfer import filesystem

STALE_SECONDS = 24 * 60 * 60.0


@dataclass(frozen=True)
class CleanedFolder:
    """What a cleaning left in a work folder: folders that stay, and whether there may be some under temporary names."""

    kept: tuple[KeptFolder, ...] = ()
    may_have_leftovers: bool = False


def clean_work_folder(
    work: Path,
    machine: MachineState,
    desired: Collection[str],
    list_used: Callable[[], Collection[Path | str]] = tuple,
) -> CleanedFolder:
    """Delete expired files of the trash and this agent's stale partial files that will not be resumed; blocking.

    Stale means older than a day; partial downloads of a ``desired`` hash will be resumed. Folders that a kill left
    under temporary names become trash, but see ``clear_leftovers`` for ``list_used``. A missing folder is skipped; an
    error ends the cleaning and is ignored.
    """
    kept: tuple[KeptFolder, ...] = ()
    may_have_leftovers = True
    try:
        with open_work_folder(work) as folder:
            kept = tuple(clear_leftovers(folder, machine.agent_id, machine.journal.folder_lists, list_used=list_used))
            may_have_leftovers = has_leftovers(folder, machine.agent_id)
            purge_trash(folder)
            delete_stale_partial_files(folder, machine.agent_id, desired, older_than_seconds=STALE_SECONDS)
    except (NotPlaced, OSError):
        may_have_leftovers = may_have_leftovers and os.path.lexists(work)
    return CleanedFolder(kept, may_have_leftovers)


def delete_stale_partial_files(
    work: OpenFolder, agent_id: str, desired: Collection[str], *, older_than_seconds: float
) -> list[str]:
    """Delete the agent's own partial files that no process has locked and that are older; return their names.

    Partial downloads and incomplete folders of a ``desired`` hash are kept, since they will be resumed; copies are
    never resumed. A checkpoint without its partial file, which was placed just before a kill, is deleted. Age is the
    time since the last change of the file or its attributes. Folders under temporary names: see ``clear_leftovers``.
    Those are not touched.
    """
    own = re.compile(
        rf"([0-9a-f]{{64}})\.{re.escape(agent_id)}(?:(\.[0-9a-f]+)?(\.link)?\.part(\.journal)?|(\.folder))"
    )
    names = set(work.list_names())
    deleted: list[str] = []
    for name in sorted(names):
        match = own.fullmatch(name)
        # Not st_mtime, which is set explicitly on a complete file.
        if (
            match is None
            or (status := work.get_status(name)) is None
            or time.time() - status.st_ctime < older_than_seconds
        ):
            continue
        if match[5] is not None:
            if is_deleted := match[1] not in desired:
                delete_tree(work, name)
        elif match[4] is not None:
            if is_deleted := name.removesuffix(match[4]) not in names:
                work.remove_file(name)
        else:
            is_deleted = (match[1] not in desired or match[2] is not None) and _delete_unlocked_partial(work, name)
        if is_deleted:
            deleted.append(name)
    return deleted


def _delete_unlocked_partial(work: OpenFolder, name: str) -> bool:
    """Delete a partial file and its checkpoint; return False, deleting nothing, if a process has locked it."""
    if (descriptor := filesystem.open_locked(work.path / name, work.descriptor)) is None:
        return False
    work.remove_file(f"{name}.journal")
    work.remove_file(name)
    os.close(descriptor)
    return True
