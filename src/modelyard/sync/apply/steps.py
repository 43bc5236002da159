"""Run one action of a plan, from getting the content to placing the file."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from modelyard.sync.apply.downloads import Downloads
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.files.dir_handles import OpenFolder, open_folder, open_work_folder
from modelyard.sync.apply.files.file_ops import hash_unchanged_file, set_model_time
from modelyard.sync.apply.files.local_copies import StagingArea, build_source_changed
from modelyard.sync.apply.files.placement import Placer
from modelyard.sync.apply.files.rename import StagedFile
from modelyard.sync.apply.folder_steps import FolderSteps
from modelyard.sync.apply.replica_states import OnReplicaState, ReplicaOrigin, ReplicaState, build_ready_state
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.placement_journal import Origin
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.inventory.state_db import StateFileError
from modelyard.sync.planning.actions import Action, CopyLocal, Fetch, Remove, Replace, Source, Target
from modelyard.transfer.download.partial_file import PartialFile
from modelyard.transfer.thread_pool import Result, ThreadPool

# Gives a staged file its name; shared by downloads and local copies.
PlaceStaged = Callable[[StagedFile, OpenFolder], Origin]


class ActionBlocked(NotPlaced):
    """The action cannot run now; call ``ApplyOptions.get_blocked_reason`` again before the next try."""

    def __init__(self, reason: str) -> None:
        super().__init__("queued", reason)


@dataclass(frozen=True)
class ActionRunner:
    """Runs one action.

    Raises:
        ActionBlocked: the action has to wait, from ``replace`` and ``remove``.
        NotPlaced, OSError, TransferFailed, Problem: it failed, from every method.
        ReadStopped: ``stopped`` was set.
    """

    machine: MachineState
    downloads: Downloads
    pool: ThreadPool
    stopped: threading.Event
    on_progress: OnReplicaState

    async def run(self, action: Action) -> ReplicaState:
        """Run the action and return the resulting state of its model."""
        match action:
            case Fetch() | Replace() if action.desired.is_folder:
                return await self.place_folder(action)
            case Fetch():
                return await self.fetch(action)
            case CopyLocal():
                return await self.copy_local(action)
            case Replace():
                return await self.replace(action)
            case Remove():
                return await self.remove(action)

    @property
    def placer(self) -> Placer:
        """Return a placer that stops when this action is stopped."""
        return Placer(self.machine, self.stopped)

    @property
    def folder_steps(self) -> FolderSteps:
        """Return what runs this action if it is about a folder model."""
        return FolderSteps(self.machine, self.downloads, self.pool, self.stopped, self.on_progress)

    async def place_folder(self, action: Fetch | Replace) -> ReplicaState:
        """Place or replace a folder model; raises ``ActionBlocked`` if it may not be replaced now."""
        if not isinstance(action, Replace):
            return await self.folder_steps.place(action, lambda: None)
        await self._run_in_thread(lambda: self._require_not_blocked(action))
        return await self.folder_steps.place(action, lambda: self._require_not_blocked(action))

    async def fetch(self, action: Fetch) -> ReplicaState:
        """Download a model and place it under an unused name; return the ready state.

        Its origin is "found" if another program gave the same content that name meanwhile.
        """

        def place(staged: StagedFile, _: OpenFolder) -> Origin:
            """Place the file under its unused name."""
            return self.placer.place(staged, action.desired, action.target)

        return await self._download(action.desired, action.target, place)

    async def copy_local(self, action: CopyLocal) -> ReplicaState:
        """Copy a file of this machine, or rename one out of the trash, to an unused name; return the ready state.

        Its origin is "found" if another program gave the same content that name meanwhile.

        Raises:
            NotPlaced: the source has changed or is missing, or other content has the name.
        """

        def place(staged: StagedFile, _: OpenFolder) -> Origin:
            """Place the file under its unused name."""
            return self.placer.place(staged, action.desired, action.target)

        return await self._copy_in_thread(action.desired, action.target, action.source, place)

    async def replace(self, action: Replace) -> ReplicaState:
        """Replace a file that the agent placed; raises ``ActionBlocked`` if that is not allowed now."""

        def place(staged: StagedFile, work: OpenFolder) -> Origin:
            """Exchange the file with the old one, unless that is blocked now."""
            self._require_not_blocked(action)
            return self.placer.replace(staged, action.desired, action.target, action.old_placement, work)

        source = action.source
        if source is None:
            return await self._download(action.desired, action.target, place)
        # Checked before copying, which may take minutes, and again just before the exchange.
        await self._run_in_thread(lambda: self._require_not_blocked(action))
        return await self._copy_in_thread(action.desired, action.target, source, place)

    async def remove(self, action: Remove) -> ReplicaState:
        """Remove a file that this agent placed to the trash; raises ``ActionBlocked`` if that is not allowed now.

        A removal without approval is recorded first; if that fails, the file stays.
        """
        await self._run_in_thread(lambda: self._remove(action))
        entry = action.placement
        return ReplicaState(
            entry.model_id, action.target.model_path, None, entry.size, origin="removed", path=entry.path
        )

    def _require_not_blocked(self, action: Remove | Replace) -> None:
        """Raise ``ActionBlocked`` if the file may not be replaced or removed now."""
        if (reason := self.downloads.options.get_blocked_reason(action)) is not None:
            raise ActionBlocked(reason)

    async def _copy_in_thread(
        self, desired: DesiredModel, target: Target, source: Source, place: PlaceStaged
    ) -> ReplicaState:
        """Place a copy of a local file, or a file from the trash, in a thread; see ``_copy_local``."""
        keep_free = self.downloads.count_bytes_to_keep_free(desired, target.root.device)
        return await self._run_in_thread(lambda: self._copy_local(desired, target, source, place, keep_free))

    async def _download(self, desired: DesiredModel, target: Target, place: PlaceStaged) -> ReplicaState:
        """Download a model and place it with ``place``; "found" if its content was at the target meanwhile."""
        result: ReplicaOrigin = "fetched"

        def place_partial(partial: PartialFile) -> None:
            """Set the time of the verified file, sync and place it.

            It is removed if the target has its content already, or on a conflict; after another failure it stays.
            """
            nonlocal result
            set_model_time(partial.descriptor, desired)
            partial.sync()
            try:
                origin = place(StagedFile(work, partial.path.name, partial.descriptor), work)
            except NotPlaced as failure:
                if failure.state == "conflict":
                    partial.remove()  # useless until a user has resolved the conflict
                raise
            if origin == "placed":
                partial.mark_placed()
            else:
                partial.remove()
                result = "found"

        with await self._run_in_thread(lambda: open_work_folder(target.root.work_folder, make=True)) as work:
            await self.downloads.download(desired, target, work, place_partial, self.on_progress)
        return build_ready_state(desired, target.path, result)

    def _copy_local(
        self, desired: DesiredModel, target: Target, source: Source, place: PlaceStaged, keep_free: int
    ) -> ReplicaState:
        """Copy a local file, or take it from the trash, and place it; ``NotPlaced`` if it is missing. Blocking."""
        result: ReplicaOrigin
        try:
            with open_work_folder(target.root.work_folder, make=True) as work:
                if source.kind == "trash":
                    origin, result = self._restore_from_trash(desired, source, place, work), "from trash"
                else:
                    stage = StagingArea(
                        work, self.downloads.agent_id, keep_free, self.stopped, self.downloads.kept_trash_hashes
                    )
                    with stage.stage_copy(source, desired) as (staged, method):
                        origin, result = place(staged, work), method
        except FileNotFoundError:
            raise build_source_changed(source.path) from None
        return build_ready_state(desired, target.path, result if origin == "placed" else "found")

    def _restore_from_trash(
        self, desired: DesiredModel, source: Source, place: PlaceStaged, work: OpenFolder
    ) -> Origin:
        """Verify a file in the trash and rename it into place; raise ``NotPlaced`` if its content has changed."""
        with open_folder(source.path.parent) as trash, trash.open_file(source.path.name) as descriptor:
            if hash_unchanged_file(source.path, descriptor, self.stopped) != desired.sha256:
                raise build_source_changed(source.path)
            return place(StagedFile(trash, source.path.name, descriptor), work)

    def _remove(self, action: Remove) -> None:
        """Move a file or folder to the trash, unless that is blocked now.

        An unapproved removal is recorded in the journal first, for the removal limit; an approved one resets the count
        of recent removals afterwards.

        Raises:
            ActionBlocked: see ``_require_not_blocked``.
        """
        self._require_not_blocked(action)
        if not action.is_approved:
            self.machine.journal.record_removals([action.placement.path])
        if action.placement.is_folder:
            self.folder_steps.remove(action)
        else:
            with open_work_folder(action.target.root.work_folder, make=True) as work:
                self.placer.remove(work, action.target, action.placement)
        if action.is_approved:
            with suppress(StateFileError):  # then earlier removals still count until their hour is over
                self.machine.journal.reset_removal_count()

    async def _run_in_thread(self, work: Callable[[], Result]) -> Result:
        """Run ``work`` in a thread; cancelling sets ``stopped`` and waits until it has ended."""
        return await self.pool.run(work, self.stopped.set, timeout_seconds=None)
