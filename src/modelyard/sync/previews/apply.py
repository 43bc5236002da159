"""Write and remove the pictures beside models, with the placement of models. Blocking."""

import hashlib
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

from modelyard.comfyui.layout import Install
from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.errors import DiskSpaceLacking, NotPlaced
from modelyard.sync.apply.files.dir_handles import open_work_folder
from modelyard.sync.apply.files.file_ops import set_time_and_sync
from modelyard.sync.apply.files.placement import Placer
from modelyard.sync.apply.files.rename import StagedFile
from modelyard.sync.apply.housekeeping import update_journal
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.file_hashes import ScanOptions
from modelyard.sync.inventory.filesystem import get_filesystem_space
from modelyard.sync.inventory.scan import MachineState, scan_roots
from modelyard.sync.planning.actions import Remove
from modelyard.sync.planning.blockers import LOWER_KEEP_FREE
from modelyard.sync.previews.planner import WritePreview, get_picture_id, plan_previews
from modelyard.transfer.errors import FREE_SPACE
from modelyard.transfer.portable.files import write_at
from modelyard.wire.formats import LARGE_BOX

# A PNG of the largest picture without any compression has 2 MiB.
MAX_PNG_BYTES = 4 * 1024 * 1024
_PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


def require_space(action: WritePreview, keep_free: int) -> None:
    """Raise ``DiskSpaceLacking`` if a picture may not fit on its disk while ``keep_free`` bytes stay free."""
    space = get_filesystem_space(action.target.root.path)
    if space is not None and space.free_bytes < keep_free + MAX_PNG_BYTES:
        remedy = LOWER_KEEP_FREE if space.total_bytes < keep_free + MAX_PNG_BYTES else FREE_SPACE
        raise DiskSpaceLacking(f"There is not enough disk space for {quoted(action.target.path)}. {remedy}")


def _is_preview_png(content: bytes) -> bool:
    """Return whether the content begins as a PNG file no larger than the registry's pictures."""
    if not content.startswith(_PNG_START) or len(content) > MAX_PNG_BYTES:
        return False
    size = content[len(_PNG_START) : len(_PNG_START) + 8]
    width, height = int.from_bytes(size[:4]), int.from_bytes(size[4:])
    return 0 < width <= LARGE_BOX[0] and 0 < height <= LARGE_BOX[1]


def write_preview(machine: MachineState, action: WritePreview, content: bytes) -> None:
    """Place a picture, or replace an own one by it; a user's file that got the name meanwhile stays.

    ``machine`` has the journal of previews.

    Raises:
        NotPlaced: the content is no such picture; or see ``Placer``.
        OSError: see ``Placer``; a kill at any point is as safe as there.
    """
    if not _is_preview_png(content):
        raise NotPlaced("failed", f"The registry sent no PNG of a preview for {quoted(action.target.path)}.")
    target, old = action.target, action.old_placement
    desired = _describe_file(action, content)
    placer = Placer(machine, threading.Event())
    with open_work_folder(target.root.work_folder, make=True) as work:
        name = f"{desired.sha256}.{machine.agent_id}.{uuid4().hex}.part"
        descriptor = work.create_file(name)
        try:
            _write_all(descriptor, content)
            set_time_and_sync(descriptor, desired)
            staged = StagedFile(work, name, descriptor)
            if old is None:
                placer.place(staged, desired, target)
            else:
                placer.replace(staged, desired, target, old, work)
        finally:
            os.close(descriptor)
            work.remove_file(name)


def remove_preview(machine: MachineState, action: Remove) -> None:
    """Move an own picture to the trash.

    ``machine`` has the journal of previews.

    Raises:
        NotPlaced, OSError: see ``Placer``.
    """
    with open_work_folder(action.target.root.work_folder, make=True) as work:
        Placer(machine, threading.Event()).remove(work, action.target, action.placement)


def remove_all_previews(machine: MachineState, installs: Iterable[Install], options: ScanOptions) -> None:
    """Move every unchanged picture that the agent wrote to the trash; one that cannot be removed stays.

    Scans the installs, and writes what it finds to the journal of previews, which ``machine`` has.

    Raises:
        StateFileError: see ``StateFile``.
    """
    if not machine.journal.list_placements():
        return
    plan = plan_previews((), (), scan_roots(installs, (), machine, options))
    update_journal(plan.journal_changes, machine, ())
    for action in plan.remove:
        with suppress(NotPlaced, OSError):
            remove_preview(machine, action)


def _describe_file(action: WritePreview, content: bytes) -> DesiredModel:
    """Describe a picture's file as the placement of models needs it; every machine gives it the same time."""
    name, key = action.target.name, action.target.root.key
    sha256 = hashlib.sha256(content).hexdigest()
    picture_id = get_picture_id(action.picture_sha256)
    return DesiredModel(picture_id, 1, f"{key}/{name}", key, len(content), sha256, False, datetime.now(UTC), name)


def _write_all(descriptor: int, content: bytes) -> None:
    """Write the content at the beginning of an open file."""
    written = 0
    while written < len(content):
        written += write_at(descriptor, content[written:], written)
