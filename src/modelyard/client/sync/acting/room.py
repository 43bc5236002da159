"""The room that downloads need: counted together, and made by emptying the trash before one is refused."""

import os
from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

from modelyard.client.sync.acting.budget import room_lacking
from modelyard.client.sync.acting.folders import Folder
from modelyard.client.sync.acting.trash import empty
from modelyard.client.sync.acting.troubles import NoRoom
from modelyard.client.sync.planning.refusals import no_room
from modelyard.client.sync.wanted import Wanted


class Room:
    """What the downloads under way still need of each disk; two that would fit alone need not fit together."""

    def __init__(self, floor: int) -> None:
        self._floor = floor
        self._left: dict[int, dict[UUID, int]] = defaultdict(dict)

    def promise(self, device: int, model_id: UUID, left: int) -> None:
        """Note what a download still needs."""
        self._left[device][model_id] = left

    def forget(self, device: int, model_id: UUID) -> None:
        """The download has ended."""
        self._left[device].pop(model_id, None)

    def kept_beside(self, device: int, model_id: UUID) -> int:
        """The bytes that one download must leave free: the operator's floor, and what the others need."""
        return self._floor + sum(left for other, left in self._left[device].items() if other != model_id)


def make_room(work: Folder, partial: str, wanted: Wanted, keep_free: int, spare: Collection[str]) -> None:
    """See to it that a download fits beside ``keep_free`` bytes; blocking.

    The oldest files in the trash go first, except those with a hash in ``spare``.

    Raises:
        NoRoom: it does not fit even so.
    """
    status = work.status(partial)
    needed = max(0, wanted.size - (status.st_blocks * 512 if status is not None else 0))
    if lacking := room_lacking(needed, _free(work), keep_free):
        empty(work, lacking=lacking, spare=spare)
    if room_lacking(needed, free := _free(work), keep_free):
        raise NoRoom(no_room(needed, free, keep_free, work.path.parent))


def _free(work: Folder) -> int:
    status = os.fstatvfs(work.descriptor)
    return status.f_bavail * status.f_frsize
