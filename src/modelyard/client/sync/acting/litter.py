"""What earlier runs left in a work folder and nobody will use: removed files that have rested, dead partial files."""

import os
import re
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from modelyard.client.sync.acting.folders import Folder, open_work
from modelyard.client.sync.acting.trash import REST_SECONDS, empty
from modelyard.client.sync.acting.troubles import NotPlaced
from modelyard.transfer import disk

DEAD_SECONDS = 24 * 60 * 60.0


def tidy(work: Path, agent_id: str, wanted: Collection[str], rest_seconds: float = REST_SECONDS) -> None:
    """Empty the trash of what has rested, and delete this agent's partial files of what is not wanted; blocking.

    A folder that is away or cannot be written stays as it is.
    """
    with suppress(NotPlaced, OSError), open_work(work) as folder:
        empty(folder, rest_seconds=rest_seconds)
        sweep(folder, agent_id, wanted, older_than_seconds=DEAD_SECONDS)


def sweep(work: Folder, agent_id: str, wanted: Collection[str], *, older_than_seconds: float) -> list[str]:
    """Delete the agent's own partial files that no process has and nobody has touched for so long; gives the names.

    Those of a ``wanted`` hash stay: their download goes on some day. A journal without its file, which was placed just
    before a kill, is of no use to anybody.
    """
    own = re.compile(rf"([0-9a-f]{{64}})\.{re.escape(agent_id)}(\.[0-9a-f]+)?(\.link)?\.part(\.journal)?")
    names = set(work.names())
    swept: list[str] = []
    for name in sorted(names):
        named = own.fullmatch(name)
        # Not the time of writing, which is set by hand on a whole file.
        if named is None or (status := work.status(name)) is None or time.time() - status.st_ctime < older_than_seconds:
            continue
        if named[4] is not None:
            if is_swept := name.removesuffix(named[4]) not in names:
                work.remove(name)
        else:
            is_swept = (named[1] not in wanted or named[2] is not None) and _remove_dead(work, name)
        if is_swept:
            swept.append(name)
    return swept


def _remove_dead(work: Folder, name: str) -> bool:
    """Delete a partial file and its journal; False if a process has it."""
    if (descriptor := disk.locked(work.path / name, work.descriptor)) is None:
        return False
    work.remove(f"{name}.journal")
    work.remove(name)
    os.close(descriptor)
    return True
