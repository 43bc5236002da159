"""Clean a work folder: delete expired files of the trash and partial files that no download will resume."""

import os
import re
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.files.dir_handles import OpenFolder, open_work_folder
from modelyard.sync.apply.files.trash import TRASH_SECONDS, purge_trash
from modelyard.transfer import filesystem

STALE_SECONDS = 24 * 60 * 60.0


def clean_work_folder(
    work: Path, agent_id: str, desired: Collection[str], trash_seconds: float = TRASH_SECONDS
) -> None:
    """Delete expired files of the trash and this agent's stale partial files that will not be resumed; blocking.

    Stale means older than a day; partial downloads of a ``desired`` hash will be resumed. A missing folder is skipped;
    an error ends the cleaning and is ignored.
    """
    with suppress(NotPlaced, OSError), open_work_folder(work) as folder:
        purge_trash(folder, keep_seconds=trash_seconds)
        delete_stale_partial_files(folder, agent_id, desired, older_than_seconds=STALE_SECONDS)


def delete_stale_partial_files(
    work: OpenFolder, agent_id: str, desired: Collection[str], *, older_than_seconds: float
) -> list[str]:
    """Delete the agent's own partial files that no process has locked and that are older; return their names.

    Partial downloads of a ``desired`` hash are kept, since they will be resumed; copies are never resumed. A checkpoint
    without its partial file, which was placed just before a kill, is deleted. Age is the time since the last change of
    the file or its attributes.
    """
    own = re.compile(rf"([0-9a-f]{{64}})\.{re.escape(agent_id)}(\.[0-9a-f]+)?(\.link)?\.part(\.journal)?")
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
        if match[4] is not None:
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
