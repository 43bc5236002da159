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

    Those of a ``wanted`` hash stay: their download goes on some day.
    """
    own = re.compile(rf"([0-9a-f]{{64}})\.{re.escape(agent_id)}(\.[0-9a-f]+)?(\.link)?\.part")
    swept: list[str] = []
    for name in work.names():
        named = own.fullmatch(name)
        if named is None or (named[1] in wanted and named[2] is None):
            continue
        status = work.status(name)
        # Not the time of writing, which is set by hand on a whole file.
        if status is None or time.time() - status.st_ctime < older_than_seconds:
            continue
        if (descriptor := disk.locked(work.path / name, work.descriptor)) is None:
            continue
        work.remove(f"{name}.journal")
        work.remove(name)
        os.close(descriptor)
        swept.append(name)
    return swept
