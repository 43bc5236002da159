"""One reconciliation: scan the folders, compute the plan, start its actions, and check with ComfyUI what was placed.

The steps are those of ``modelyard.sync``, as ``modelyard sync`` runs them once. Actions run in the background: the next
plan may be made meanwhile, and replaces this one.
"""

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from modelyard.agent.reconcile_result import (
    PAUSED,
    EndedActions,
    ProgressListener,
    ReconcileOptions,
    ReconcileResult,
    list_planned_states,
)
from modelyard.agent.reconciliation.comfyui_hooks import QueueBlocker, add_load_problems, free_comfyui_memory
from modelyard.agent.reconciliation.purge_after_revocation import purge_placed_files
from modelyard.agent.registry.connection import RegistryCalls
from modelyard.agent.roots import FoundRoots, RootFinder
from modelyard.agent.settings import AgentSettings
from modelyard.client.api.download_urls import DownloadUrls
from modelyard.client.api.urls import check_download_url
from modelyard.comfyui.layout import Install
from modelyard.comfyui.quoting import in_bytes
from modelyard.sync.apply.downloads import ApplyOptions
from modelyard.sync.apply.executor import Executor
from modelyard.sync.apply.queue import list_expected_downloads
from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.sync.desired import DesiredModel, DesiredState, FolderFiles
from modelyard.sync.folder_sources import FolderSources
from modelyard.sync.inventory.deadlines import StallDeadline
from modelyard.sync.inventory.file_hashes import ScanOptions
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.planning.actions import Plan, Remove, Replace
from modelyard.sync.planning.planner import Policy
from modelyard.sync.reconcile import ReconcileRequest, reconcile_once
from modelyard.sync.scrub import Scrubber
from modelyard.transfer.options import BandwidthLimit, TransferOptions
from modelyard.transfer.thread_pool import ThreadPool
from modelyard.wire.agents.manifests import ManifestEntry

# At this rate a machine with ten terabytes is verified in three days.
_SCRUB_BYTES_PER_SECOND = 50_000_000.0
# Shorter than for a command: the next plan retries by itself, and other models can be downloaded meanwhile.
_GIVE_UP_SECONDS = 60.0


class Reconciler:
    """Makes plans and starts their actions. Belongs to one event loop; one plan is made at a time.

    ``actions_changed`` is set when an action ends or becomes blocked. ``bandwidth_limit`` is that of all downloads.
    """

    def __init__(
        self,
        settings: AgentSettings,
        root_finder: RootFinder,
        machine: MachineState,
        registry: RegistryCalls,
        listener: ProgressListener,
    ) -> None:
        self._settings = settings
        self._root_finder = root_finder
        self.machine = machine
        self._registry, self._download_urls = registry, DownloadUrls(registry)
        self._folder_sources = FolderSources(registry, machine.journal.folder_lists)
        self._listener = listener
        self._deadline = StallDeadline()
        every = timedelta(days=settings.scrub_days)
        self._scrubber = Scrubber(machine, every, _SCRUB_BYTES_PER_SECOND, self._deadline)
        # Shared by all plans, because a new rate limit for each plan would not limit the rate.
        self.bandwidth_limit = None if settings.rate_limit is None else BandwidthLimit(settings.rate_limit)
        self._roots = FoundRoots()
        self._desired = DesiredState()
        self._plan = Plan()
        self._evicted: tuple[ReplicaState, ...] = ()
        self._is_paused = False
        self._approved_token: str | None = None
        self._queue_blocker = QueueBlocker()
        self._load_problems: dict[Path, str] = {}  # why a running ComfyUI does not load a file that is here
        self.actions_changed = asyncio.Event()
        apply_options = self._build_apply_options(ReconcileOptions())
        self.executor = Executor(
            machine, self._get_download_url, apply_options, listener.update_replica, self.actions_changed.set
        )

    async def load_folder_files(self, entries: Iterable[ManifestEntry]) -> FolderFiles:
        """Return the files of the folders among a manifest's entries; raises as ``FolderSources.load_lists``."""
        return await self._folder_sources.load_lists(entries)

    async def reconcile(self, desired: DesiredState, options: ReconcileOptions) -> ReconcileResult:
        """Scan the folders, make a plan, and start its actions in place of earlier ones that have not started.

        Returns once they have started. Then the running ComfyUIs are asked whether they load what is in place. With
        ``options.paused``, only a plan is made. The caller awaits one call before the next.

        Raises:
            RootsNotFound: see ``RootFinder.find``.
            StateFileError: see ``StateFile``.
        """
        self._listener.set_phase("scanning")
        async with ThreadPool(1) as thread_pool:
            self._roots = await thread_pool.run(self._root_finder.find)

        def set_plan(plan: Plan) -> None:
            """Remember the plan, before its actions start."""
            self._plan, self._desired, self._is_paused = plan, desired, options.paused
            self._evicted = options.evicted
            self._approved_token = plan.approved_removal_token or self._approved_token
            self._download_urls.expect(list_expected_downloads(plan))

        await reconcile_once(
            self.executor,
            self.machine,
            self._build_request(desired, options),
            on_scanned=lambda: self._listener.set_phase("planning"),
            on_planned=set_plan,
        )
        self._load_problems.clear()
        await self._check_loading(self.list_replica_states())
        return self.build_result()

    async def process_ended_actions(self) -> EndedActions:
        """Return what was placed and removed since the last call, and report it to the listener.

        If a file was replaced, ComfyUI unloads its models first; then it is asked whether it loads what was placed.
        """
        ended = self.executor.take_finished()
        if any(isinstance(action, Replace) and replica_state.origin != "found" for action, replica_state in ended):
            async with ThreadPool(1) as thread_pool:
                await thread_pool.run(lambda: free_comfyui_memory(self._roots), timeout_seconds=None)
        placed = tuple(replica_state for _, replica_state in ended if replica_state.state == "ready")
        await self._check_loading(placed)
        replica_states = tuple(self._add_load_problem(replica_state) for _, replica_state in ended)
        for replica_state in replica_states:
            self._listener.update_replica(replica_state)
        for action, _ in ended:
            if isinstance(action, Replace):
                self._queue_blocker.forget(action)
        removals = [action for action, _ in ended if isinstance(action, Remove)]
        used_approval = self._approved_token if any(removal.is_approved for removal in removals) else None
        has_removed_folder = any(removal.placement.is_folder for removal in removals)
        return EndedActions(replica_states, bool(removals), used_approval, has_removed_folder)

    def list_replica_states(self) -> tuple[ReplicaState, ...]:
        """Return each model's current state; after a plan made while paused, what it would place is queued.

        Last come the evicted models.
        """
        states = (
            list_planned_states(self._plan, PAUSED) if self._is_paused else self.executor.progress.list_replica_states()
        )
        return (*map(self._add_load_problem, states), *self._evicted)

    def build_result(self) -> ReconcileResult:
        """Return the current state of each model, the plan's held removals and notes, and what blocks its actions.

        ``has_failed`` is True for blocked models too, and for files that cannot be removed.
        """
        replica_states = self.list_replica_states()
        return ReconcileResult(
            replica_states,
            self._plan.held_removals,
            (*self._roots.problems, *self._plan.notes, *self.executor.notes),
            self._roots,
            blockers=self.executor.list_blocked_reasons(),
            is_active=self.executor.is_active,
            has_failed=any(each.is_stuck or each.state in {"failed", "blocked"} for each in replica_states),
        )

    def list_installs(self) -> list[Install]:
        """Return the folders of the last plan, with those of the types of its models."""
        return [install.with_types(self._desired.models) for install in self._roots.installs]

    async def purge(self) -> tuple[ReplicaState, ...]:
        """Stop all actions, and remove the placed files and empty the trash as ``purge_placed_files`` does.

        Raises:
            RootsNotFound: see ``RootFinder.find``.
            StateFileError: see ``StateFile``.
        """
        await self.executor.stop()
        async with ThreadPool(1) as thread_pool:
            roots = await thread_pool.run(self._root_finder.find)
        apply_options = self._build_apply_options(ReconcileOptions())
        return await purge_placed_files(self.machine, roots.installs, self._build_scan_options(), apply_options)

    def have_folders_changed(self) -> bool:
        """Return whether a file was added, renamed or removed since the last scan; blocking."""
        return self.machine.have_folders_changed(self._deadline)

    async def scrub_next_file(self) -> bool | None:
        """Re-read the due file whose last read is oldest; return whether its content is intact, None if none is due.

        True also if it is missing or its disk does not respond. The reading rate is limited.

        Raises:
            StateFileError: see ``StateFile``.
        """
        stopped = threading.Event()
        async with ThreadPool(1) as thread_pool:
            return await thread_pool.run(
                lambda: self._scrubber.scrub_next_file(datetime.now(UTC), stopped), stopped.set, timeout_seconds=None
            )

    async def _check_loading(self, replica_states: tuple[ReplicaState, ...]) -> None:
        """Ask the running ComfyUIs whether they load the ready files; remember the problems, besides earlier ones."""
        async with ThreadPool(1) as thread_pool:
            checked = await thread_pool.run(
                lambda: add_load_problems(self._roots, self._desired, replica_states), timeout_seconds=None
            )
        for before, after in zip(replica_states, checked, strict=True):
            if after.path is not None and after.reason is not None and after.reason != before.reason:
                self._load_problems[after.path] = after.reason

    def _add_load_problem(self, replica_state: ReplicaState) -> ReplicaState:
        """Return the state with the remembered load problem as its reason, if the model is ready."""
        problem = None if replica_state.path is None else self._load_problems.get(replica_state.path)
        if problem is None or replica_state.state != "ready":
            return replica_state
        return replace(replica_state, reason=problem)

    def _build_request(self, desired: DesiredState, options: ReconcileOptions) -> ReconcileRequest:
        """Build the request of a reconciliation from the settings and the roots found last; a dry run if paused."""
        policy = Policy(
            datetime.now().astimezone(),
            keep_free_bytes=self._settings.keep_free,
            disk_budget_bytes=self._settings.find_disk_budget(options.disk_budget),
            approved_removal_tokens=options.approved_tokens,
            are_hard_links_allowed=self._settings.hard_links,
        )
        return ReconcileRequest(
            self._roots.installs,
            desired,
            policy,
            self._build_apply_options(options),
            is_dry_run=options.paused,
            scan_options=self._build_scan_options(),
        )

    def _build_scan_options(self) -> ScanOptions:
        """Build scan options that report the progress of hashing to the listener."""

        def report_hashing(path: Path, done: int, size: int) -> None:
            """Set the listener's detail to how much of a file is read; called from the scan's thread."""
            self._listener.set_detail(f"{path.name}: {in_bytes(done)} of {in_bytes(size)} read")

        return ScanOptions(report_hashing, deadline=self._deadline)

    def _build_apply_options(self, options: ReconcileOptions) -> ApplyOptions:
        """Build apply options from settings and the roots found last; ComfyUI's queue blocks replacing and removing."""
        return ApplyOptions(
            parallel=self._settings.parallel,
            network=TransferOptions(bandwidth_limit=self.bandwidth_limit, no_progress_timeout_seconds=_GIVE_UP_SECONDS),
            keep_free=self._settings.keep_free,
            window=self._settings.window,
            get_blocked_reason=partial(self._queue_blocker.find_reason, self._roots),
            may_remove=options.may_remove,
            get_file_url=self._get_file_url,
        )

    async def _get_file_url(self, desired: DesiredModel) -> str:
        """Request a URL for a file of a folder; raises as ``FolderSources.get_url`` and ``check_download_url``."""
        return check_download_url(await self._folder_sources.get_url(desired), self._registry.url)

    async def _get_download_url(self, model_id: UUID, version: int) -> str:
        """Request a presigned URL for a version; raises as ``DownloadUrls.get`` and ``check_download_url``."""
        return check_download_url(await self._download_urls.get(model_id, version), self._registry.url)
