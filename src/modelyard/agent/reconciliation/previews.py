"""Writes the pictures of models beside them while the agent has nothing else to do, if the machine's settings ask.

Failures are logged once and tried again. They are no problem of the machine, and never change the state of a model.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

from modelyard.agent.reconciliation.failed_pictures import FailedPictures, describe_failure, get_busy_wait
from modelyard.agent.reconciliation.log_deduplication import LoggedLines
from modelyard.agent.reconciliation.picture_models import Basis, PictureModels, load_picture_models
from modelyard.agent.registry.connection import REFUSALS, RegistryCalls
from modelyard.agent.status import AgentStatus
from modelyard.agent.timers import wait_for_event
from modelyard.comfyui.layout import Install
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.housekeeping import update_journal
from modelyard.sync.apply.transfer_window import get_closed_reason
from modelyard.sync.inventory.deadlines import StallDeadline
from modelyard.sync.inventory.file_hashes import ScanOptions
from modelyard.sync.inventory.scan import MachineState, scan_roots
from modelyard.sync.planning.actions import Remove
from modelyard.sync.previews.apply import remove_preview, require_space, write_preview
from modelyard.sync.previews.planner import PreviewPlan, WritePreview, plan_previews
from modelyard.sync.retry_advice import omit_retry_advice
from modelyard.transfer.errors import TransferFailed
from modelyard.transfer.options import BandwidthLimit
from modelyard.transfer.thread_pool import ThreadPool
from modelyard.wire.problems import PreviewNotFound, Problem

log = logging.getLogger("modelyard.agent")

# So many pictures in a row that the registry does not send end an update: it sends none of the others either.
_MAX_FAILURES_IN_ROW = 3
# Folder times may miss a change, such as on some network mounts.
_RESCAN_SECONDS = 3600.0


class PreviewWriter:
    """Writes and removes the pictures of one machine. Belongs to one event loop.

    ``changed`` is to be set after each reconciliation, once none of its actions runs. ``list_installs`` returns the
    folders of the last one.
    """

    def __init__(
        self,
        status: AgentStatus,
        machine: MachineState,
        registry: RegistryCalls,
        list_installs: Callable[[], list[Install]],
        bandwidth_limit: BandwidthLimit | None,
    ) -> None:
        self._status = status
        self._models_journal = machine.journal
        self._machine = machine.for_previews()
        self._registry = registry
        self._list_installs = list_installs
        self._bandwidth_limit = bandwidth_limit
        self._deadline = StallDeadline()
        self._logged_lines = LoggedLines()
        self._failures = FailedPictures()
        self._retry_wait = math.inf
        self._done: tuple[PictureModels, float] | None = None  # what the last complete update was for, and its time
        self.changed = asyncio.Event()

    async def run(self) -> None:
        """Update the pictures after each reconciliation until cancelled; return at once if there is nothing to do.

        Also when a picture that failed is due. Without the setting there is something to do only while pictures are
        left from before.
        """
        while await self.has_work():
            await wait_for_event(self.changed, self._retry_wait)
            await self.update()

    async def has_work(self) -> bool:
        """Return whether the setting is on, or pictures are left from when it was."""
        try:
            return self._status.settings.write_previews or bool(
                await asyncio.to_thread(self._machine.journal.list_placements)
            )
        except OSError:
            return True  # the state file cannot be read now

    async def update(self) -> None:
        """Write and remove pictures as planned, one at a time; end early once the agent has something else to do.

        A failure is logged and not raised.
        """
        self._retry_wait = math.inf
        async with self._status.previews_lock:
            try:
                failures = await self._plan_and_apply()
            except OSError as failure:
                failures = [f"The pictures beside models could not be updated: {failure}"]
            except Exception as failure:
                failures = []
                log.error("The pictures beside models could not be updated: an unexpected error.", exc_info=failure)
        lines = {*failures, *self._failures.list_lines()}
        for line in self._logged_lines.take_new_lines(lines, is_complete=self._is_agent_idle()):
            log.warning("%s", line)

    async def _plan_and_apply(self) -> list[str]:
        """Compute the plan and apply it, unless nothing changed; return what failed besides single pictures' writing.

        Raises:
            StateFileError: see ``StateFile``.
        """
        basis = Basis(self._status.manifest, self._status.result)
        if not self._is_current(basis):
            return []
        installs = tuple(self._list_installs())
        options = ScanOptions(deadline=self._deadline)
        async with ThreadPool(1) as threads:
            models = await threads.run(lambda: self._load_models(basis, installs), timeout_seconds=None)
            if not await threads.run(lambda: self._has_changed(models), timeout_seconds=None):
                self._retry_wait = self._failures.get_wait()
                return []
            self._done = None
            plan = await threads.run(lambda: self._plan(models, options), options.stopped.set, timeout_seconds=None)
            if not self._is_current(basis):
                return []
            failures, is_complete = await self._apply(plan, basis, threads)
        if is_complete and not failures:
            self._done = models, time.monotonic()
        return failures

    async def _apply(self, plan: PreviewPlan, basis: Basis, threads: ThreadPool) -> tuple[list[str], bool]:
        """Apply a plan, and return what failed besides single pictures' writing, and whether all pictures were tried.

        Raises:
            StateFileError: see ``StateFile``.
        """
        await threads.run(lambda: update_journal(plan.journal_changes, self._machine, ()), timeout_seconds=None)
        failures = await self._remove_all(plan, basis, threads)
        try:
            return failures, await self._write_all(plan, basis, threads)
        except (TransferFailed, *REFUSALS) as failure:
            return [
                *failures,
                f"The pictures of models cannot be downloaded now: {omit_retry_advice(str(failure))}",
            ], False
        finally:
            self._failures.keep_only(plan.write)

    def _is_agent_idle(self) -> bool:
        """Return whether the registry is connected, and no reconciliation and no action runs."""
        status = self._status
        is_reconciled = status.manifest is not None and status.error is None and not status.paused
        return is_reconciled and status.is_idle and status.connection.is_up

    def _is_current(self, basis: Basis) -> bool:
        """Return whether the agent is idle, and neither its manifest nor the states of its models changed."""
        is_same = self._status.manifest is basis.manifest and self._status.result is basis.result
        return is_same and self._is_agent_idle()

    def _load_models(self, basis: Basis, installs: tuple[Install, ...]) -> PictureModels:
        """Return the models and their pictures, none without the setting. Blocking; raises ``StateFileError``."""
        if not self._status.settings.write_previews:
            return PictureModels(installs)
        return load_picture_models(basis, installs, self._models_journal)

    def _has_changed(self, models: PictureModels) -> bool:
        """Return whether there may be something to do since the last complete update. Blocking."""
        if self._done is None or self._done[0] != models or self._failures.get_wait() == 0:
            return True
        is_old = time.monotonic() - self._done[1] > _RESCAN_SECONDS
        return is_old or self._machine.have_folders_changed(self._deadline)

    def _plan(self, models: PictureModels, options: ScanOptions) -> PreviewPlan:
        """Scan the folders and compute the plan. Blocking.

        Raises:
            StateFileError: see ``StateFile``.
        """
        inventory = scan_roots(models.installs, (), self._machine, options)
        others = (models.placed & inventory.files.keys()) - {model.path for model in models.ready}
        return plan_previews(models.ready, others, inventory)

    async def _remove_all(self, plan: PreviewPlan, basis: Basis, threads: ThreadPool) -> list[str]:
        """Remove the pictures of a plan while the agent is idle, and return what failed."""
        failures: list[str] = []

        def remove(action: Remove) -> None:
            """Remove one picture. Blocking."""
            try:
                remove_preview(self._machine, action)
            except (NotPlaced, OSError) as failure:
                failures.append(describe_failure(action, "removed", failure))

        for action in plan.remove:
            if self._is_current(basis):
                await threads.run(partial(remove, action), timeout_seconds=None)
        return failures

    async def _write_all(self, plan: PreviewPlan, basis: Basis, threads: ThreadPool) -> bool:
        """Write the pictures of a plan that are due, and record those that fail; return whether all were tried.

        Ends early when the agent may not download any more, or if the registry fails several times in a row.

        Raises:
            TransferFailed, Unauthenticated, NotAMember, KeyNotAllowed: nothing can be downloaded now.
        """
        failures_in_row = 0
        for action in filter(self._failures.is_due, plan.write):
            if not self._is_current(basis) or self._is_window_closed():
                return False
            failure = await self._try_to_write(action, basis, threads)
            is_of_registry = isinstance(failure, Problem) and not isinstance(failure, PreviewNotFound)
            failures_in_row = failures_in_row + 1 if is_of_registry else 0
            if failures_in_row == _MAX_FAILURES_IN_ROW:
                break
            if failure is not None:
                await asyncio.sleep(get_busy_wait(failure))
        self._retry_wait = self._failures.get_wait()
        # A picture that was downloaded too late was not written.
        return failures_in_row < _MAX_FAILURES_IN_ROW and self._is_current(basis)

    async def _try_to_write(self, action: WritePreview, basis: Basis, threads: ThreadPool) -> Exception | None:
        """Write a picture, record whether that failed, and return the failure; raises as ``_write_all``."""
        try:
            await self._write(action, basis, threads)
        except (TransferFailed, *REFUSALS):
            raise
        except (NotPlaced, OSError, Problem) as failure:
            self._failures.record_failure(action, failure)
            return failure
        self._failures.record_success(action)
        return None

    async def _write(self, action: WritePreview, basis: Basis, threads: ThreadPool) -> None:
        """Download a picture at the machine's rate, and write it if the agent is still idle then.

        Raises:
            NotPlaced, OSError: it cannot be written.
            Problem, TransferFailed: it cannot be downloaded.
            DiskSpaceLacking: the picture may not fit on its disk.
        """
        keep_free = self._status.settings.keep_free
        await threads.run(lambda: require_space(action, keep_free), timeout_seconds=None)
        content = await self._registry.get_picture(action.picture_sha256, image_format="png")
        if self._bandwidth_limit is not None:
            await asyncio.sleep(self._bandwidth_limit.compute_delay(len(content)))
        if self._is_current(basis):
            await threads.run(lambda: write_preview(self._machine, action, content), timeout_seconds=None)

    def _is_window_closed(self) -> bool:
        """Return whether the machine's hours forbid downloads now."""
        return get_closed_reason(self._status.settings.window, datetime.now().astimezone()) is not None
