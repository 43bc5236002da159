"""Checks at intervals while the agent is idle: files that users added or removed, and files that disks corrupted."""

import asyncio
import logging
from collections.abc import Callable

from modelyard.agent.reconciliation.reconciler import Reconciler
from modelyard.agent.status import AgentStatus
from modelyard.sync.inventory.state_db import StateFileError

log = logging.getLogger("modelyard.agent")

FOLDER_CHECK_SECONDS = 20.0
SCRUB_SECONDS = 60.0


class IdleChecks:
    """Runs both checks of one agent; ``request_reconcile`` is called when a file was added, removed or corrupted."""

    def __init__(self, status: AgentStatus, reconciler: Reconciler, request_reconcile: Callable[[], None]) -> None:
        self._status = status
        self._reconciler = reconciler
        self._request_reconcile = request_reconcile
        self.folder_check_seconds = FOLDER_CHECK_SECONDS
        self.scrub_seconds = SCRUB_SECONDS

    async def run_folder_checks(self) -> None:
        """Compare folder times with those of the last scan at intervals, and request a reconciliation if they differ.

        Runs until cancelled; checks only while the agent is idle, and writes no pictures, as these change folders.
        Files are not read, so an overwritten one is not found.
        """
        while True:
            await asyncio.sleep(self.folder_check_seconds)
            is_idle = self._status.is_idle and not self._status.previews_lock.locked()
            if is_idle and await asyncio.to_thread(self._reconciler.have_folders_changed):
                self._request_reconcile()

    async def run_scrub(self) -> None:
        """Re-read files that are due for verification until cancelled; return at once if ``scrub_days`` is 0.

        Pauses while a plan is made, an action runs or ComfyUI renders. A ``StateFileError`` is logged, and the next
        round tries again.
        """
        while self._status.settings.scrub_days:
            await asyncio.sleep(self.scrub_seconds)
            try:
                await self._scrub_due_files()
            except StateFileError as failure:
                log.warning("%s", failure)

    async def _scrub_due_files(self) -> None:
        """Re-read due files while the machine is idle; at the first changed one, request a reconciliation and end."""
        while self._is_machine_idle() and (is_intact := await self._reconciler.scrub_next_file()) is not None:
            if not is_intact:
                log.warning("The content of a file that was placed or found here has changed. Scanning the folders.")
                self._request_reconcile()
                return

    def _is_machine_idle(self) -> bool:
        """Return whether no reconciliation and no action runs, and no ComfyUI renders."""
        return self._status.is_idle and not self._status.machine_info.is_rendering
