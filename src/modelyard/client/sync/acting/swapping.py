"""A file in the place of another in one step: the name always has one of the two, and a kill leaves it one of them.

Each gets the other's name; unless what came out is what was looked at before, all goes back. The staged file has a name
of its own then, since for a moment it is that of the old bytes: no later download takes them for half a file.
"""

import os
from contextlib import suppress

from modelyard.client.sync.acting.folders import Folder
from modelyard.client.sync.acting.moving import exchange, move
from modelyard.client.sync.acting.staging import Staged
from modelyard.client.sync.acting.trash import Ours, free_name
from modelyard.client.sync.holding.holdings import TRASH_FOLDER


def swap_in(staged: Staged, ours: Ours, work: Folder, apart: str) -> None:
    """Give a staged file the name of one of ours, which goes to the trash; ``apart`` is a name nobody else has.

    Raises:
        CannotExchange: the file system does not do that; nothing has changed.
        OSError: with EXDEV, if the work folder is on another file system; with ENOENT, if the name is gone. Nothing has
            changed.
        NotPlaced: another file got the name meanwhile, and has it again.
    """
    with work.below(TRASH_FOLDER, make=True) as trash:
        os.rename(staged.name, apart, src_dir_fd=staged.folder.descriptor, dst_dir_fd=work.descriptor)
        try:
            exchange_ours(work, apart, ours)
        except BaseException:
            os.rename(apart, staged.name, src_dir_fd=work.descriptor, dst_dir_fd=staged.folder.descriptor)
            raise
        move(work, apart, trash, free_name(trash, ours.sha256))


def exchange_ours(beside: Folder, name: str, ours: Ours) -> None:
    """Exchange the names of a file and of one of ours, if that is still it; see ``swap_in`` for what is raised."""
    exchange(beside, name, ours.folder, ours.path.name)
    try:
        if not ours.is_at(beside, name):
            raise ours.lost()
        _sync(ours.folder, beside)
    except BaseException:
        # A disk that cannot say that it is done is no reason to leave another file under the name of a staged one.
        exchange(beside, name, ours.folder, ours.path.name)
        with suppress(OSError):
            _sync(ours.folder, beside)
        raise


def _sync(*folders: Folder) -> None:
    for folder in folders:
        folder.sync()
