"""Removal of everything that an agent placed on its machine, after the machine's key was revoked."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

from modelyard.comfyui.layout import Install
from modelyard.sync.apply.apply_plan import apply_plan
from modelyard.sync.apply.downloads import ApplyOptions
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.files.dir_handles import open_work_folder
from modelyard.sync.apply.files.trash import purge_trash
from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.sync.desired import DesiredState
from modelyard.sync.inventory.file_hashes import ScanOptions
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.planning.planner import Policy, plan_sync
from modelyard.sync.previews.apply import remove_all_previews
from modelyard.sync.reconcile import scan_folders
from modelyard.transfer.thread_pool import ThreadPool


async def purge_placed_files(
    machine: MachineState, installs: Sequence[Install], scan_options: ScanOptions, apply_options: ApplyOptions
) -> tuple[ReplicaState, ...]:
    """Remove every unchanged file and picture that this agent placed, and empty the trash for good.

    Returns the states of the removed models. A file that cannot be removed stays and is left out. Neither the removal
    limit nor ComfyUI's queue holds the removals up.

    Raises:
        StateFileError: see ``StateFile``.
    """
    inventory = await scan_folders(machine, installs, DesiredState(), scan_options)
    policy = Policy(datetime.now().astimezone(), has_removal_limit=False)
    apply_options = replace(apply_options, get_blocked_reason=lambda _: None)
    work_folders = {root.work_folder for install in inventory.installs for root in install if root.is_listed}
    async with ThreadPool(1) as thread_pool:
        plan = await thread_pool.run(lambda: plan_sync(DesiredState(), inventory, policy), timeout_seconds=None)
        replica_states = await apply_plan(plan.with_removals_only(), machine, _refuse_download, apply_options)
        await thread_pool.run(
            lambda: remove_all_previews(machine.for_previews(), installs, scan_options), timeout_seconds=None
        )
        await thread_pool.run(lambda: _empty_trash(work_folders), timeout_seconds=None)
    return tuple(each for each in replica_states if each.origin == "removed")


async def _refuse_download(model_id: UUID, version: int) -> str:
    """Raise ValueError, because a plan with removals only downloads nothing."""
    raise ValueError(f"A purge does not download, and was asked for version {version} of the model {model_id}.")


def _empty_trash(work_folders: set[Path]) -> None:
    """Delete everything in the trash of these work folders for good; skip folders that are missing or not writable."""
    for path in work_folders:
        try:
            with open_work_folder(path) as folder:
                purge_trash(folder, keep_seconds=0)
        except (NotPlaced, OSError):
            continue  # nothing of this agent is in such a folder
