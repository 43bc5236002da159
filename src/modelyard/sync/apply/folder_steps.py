"""Place or remove a folder model, from getting its files to placing it as one folder."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from modelyard.sync.apply.downloads import Downloads
from modelyard.sync.apply.files.dir_handles import OpenFolder, open_work_folder
from modelyard.sync.apply.files.folder_leftovers import clear_leftovers
from modelyard.sync.apply.files.folder_placement import FolderPlacer, StagedFolder, check_disk
from modelyard.sync.apply.files.folder_staging import FolderStaging, build_file_model, list_local_files
from modelyard.sync.apply.replica_states import (
    OnReplicaState,
    ReplicaState,
    build_ready_state,
    build_replica_state,
)
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.inventory.work_folders import TRASH_FOLDER
from modelyard.sync.planning.actions import Fetch, Remove, Replace
from modelyard.transfer.thread_pool import Result, ThreadPool
from modelyard.wire.folders.manifest import FolderFile


@dataclass(frozen=True)
class FolderSteps:
    """Runs one action on a folder model; raises what ``steps.ActionRunner`` raises."""

    machine: MachineState
    downloads: Downloads
    pool: ThreadPool
    stopped: threading.Event
    on_progress: OnReplicaState

    @property
    def placer(self) -> FolderPlacer:
        """Return a placer that stops when this action is stopped."""
        return FolderPlacer(self.machine, self.stopped)

    async def place(self, action: Fetch | Replace, check: Callable[[], None]) -> ReplicaState:
        """Complete a folder in the work folder and place it, or replace the one there; return the ready state.

        ``check`` is called in the thread just before, and raises if a folder may not be replaced now.
        """
        desired, target = action.desired, action.target

        def place_staged(staged: StagedFolder) -> None:
            """Give the staged folder its name."""
            if isinstance(action, Replace):
                check()
                self.placer.replace(staged, desired, target, action.old_placement)
            else:
                self.placer.place(staged, desired, target)

        with await self._run_in_thread(lambda: open_work_folder(target.root.work_folder, make=True)) as work:
            await self._run_in_thread(lambda: self._prepare_work_folder(work, action))
            local_files = await self._run_in_thread(lambda: list_local_files(self.machine.journal, work))
            replaced = [action.old_placement.path] if isinstance(action, Replace) else []
            linked_folders = (work.path / TRASH_FOLDER, *replaced)
            staging = FolderStaging(work, desired, self.machine.agent_id, self.stopped, local_files, linked_folders)
            await self._run_in_thread(staging.prepare)
            done = 0
            for file in desired.files:
                await self._stage(action, staging, file, done)
                done += file.size
            await self._run_in_thread(lambda: place_staged(staging.finish()))
        return build_ready_state(desired, target.path, "fetched")

    def remove(self, action: Remove) -> None:
        """Move a folder to the trash and delete its row; see ``FolderPlacer.remove``. Blocking."""
        with open_work_folder(action.target.root.work_folder, make=True) as work:
            self.placer.remove(work, action.target, action.placement)

    def _prepare_work_folder(self, work: OpenFolder, action: Fetch | Replace) -> None:
        """Check that the folder can be placed from the work folder, and move left-overs of this action to the trash.

        The files there are used again. Blocking.
        """
        check_disk(work, action.target)
        clear_leftovers(work, self.machine.agent_id, self.machine.journal.folder_lists, action.desired.sha256)

    async def _stage(self, action: Fetch | Replace, staging: FolderStaging, file: FolderFile, done: int) -> None:
        """Get one file of the folder, of which ``done`` bytes are there; the progress is that of the folder."""
        desired = action.desired
        self.on_progress(build_replica_state(desired, "downloading", done))
        if await self._run_in_thread(lambda: staging.stage_local(file)):
            return

        def report(state: ReplicaState) -> None:
            """Report a file's progress as that of the folder."""
            of_folder = build_replica_state(desired, "downloading", done + state.bytes_done, state.reason)
            self.on_progress(replace(of_folder, hindrance=state.hindrance))

        await self.downloads.download(
            build_file_model(desired, file),
            action.target,
            staging.work,
            lambda partial: staging.place_partial(file, partial),
            report,
            desired.size - done - file.size,
        )

    async def _run_in_thread(self, work: Callable[[], Result]) -> Result:
        """Run ``work`` in a thread; cancelling sets ``stopped`` and waits until it has ended."""
        return await self.pool.run(work, self.stopped.set, timeout_seconds=None)
