"""Replace a file by another in one step: the name always has one of the two, even after a kill.

The two files exchange names; if the old file is not the one checked before, they are exchanged back. The staged file is
renamed first, since its name belongs to the old content for a moment: no later download may take that for a partial
file.
"""

from contextlib import suppress

from modelyard.sync.apply.files.dir_handles import OpenFolder
from modelyard.sync.apply.files.rename import StagedFile, exchange_names, rename_without_replacing
from modelyard.sync.apply.files.trash import OwnedFile, choose_trash_name
from modelyard.sync.inventory.work_folders import TRASH_FOLDER


def exchange_with_staged(staged: StagedFile, owned: OwnedFile, work: OpenFolder, temporary_name: str) -> None:
    """Exchange a staged file with an owned one, which goes to the trash; ``temporary_name`` must be unused.

    Raises:
        ExchangeUnsupported: the file system cannot exchange names; nothing has changed.
        OSError: with EXDEV, if the work folder is on another file system; with ENOENT, if the owned file is missing.
            Nothing has changed.
        NotPlaced: another file got the name meanwhile; it has the name as before.
    """
    with work.open_subfolder(TRASH_FOLDER, make=True) as trash:
        staged.folder.replace_file(staged.name, work, temporary_name)
        try:
            exchange_owned_file(work, temporary_name, owned)
        except BaseException:
            work.replace_file(temporary_name, staged.folder, staged.name)
            raise
        rename_without_replacing(work, temporary_name, trash, choose_trash_name(trash, owned.sha256))


def exchange_owned_file(folder: OpenFolder, name: str, owned: OwnedFile) -> None:
    """Exchange the names of the file ``name`` and an owned one, if that is still the same file, and sync both folders.

    The owned file then has ``name``. Raises what ``exchange_with_staged`` raises.
    """
    exchange_names(folder, name, owned.folder, owned.path.name)
    try:
        if not owned.is_at(folder, name):
            raise owned.build_conflict()
        _sync_folders(owned.folder, folder)
    except BaseException:
        # Exchange back even if syncing failed, so that the staged file's name does not keep another file.
        exchange_names(folder, name, owned.folder, owned.path.name)
        with suppress(OSError):
            _sync_folders(owned.folder, folder)
        raise


def _sync_folders(*folders: OpenFolder) -> None:
    """Make the names in these folders durable."""
    for folder in folders:
        folder.sync_to_disk()
