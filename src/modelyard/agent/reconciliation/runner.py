"""Runs an agent's reconciliations when they are due, also while actions run, unless the registry is unreachable."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from modelyard.agent.reconcile_result import ReconcileOptions, ReconcileResult
from modelyard.agent.reconciliation.evictions import Evictions, remove_not_held
from modelyard.agent.reconciliation.log_deduplication import LoggedLines
from modelyard.agent.reconciliation.reconciler import Reconciler
from modelyard.agent.roots import RootsNotFound
from modelyard.agent.schedule import ReconcileSchedule
from modelyard.agent.status import AgentStatus
from modelyard.agent.timers import wait_for_event
from modelyard.client.api.manifests import ReceivedManifest
from modelyard.sync.desired import build_desired_state

log = logging.getLogger("modelyard.agent")

# Actions that end within this time are processed together.
_BATCH_SECONDS = 0.3


class ReconcileRunner:
    """Runs the reconciliations of one agent.

    ``request_heartbeat`` is called when the result should be reported, ``on_idle`` once none of its actions runs.
    """

    def __init__(
        self,
        status: AgentStatus,
        reconciler: Reconciler,
        evictions: Evictions,
        request_heartbeat: Callable[[], None],
        on_idle: Callable[[], None],
    ) -> None:
        self._status = status
        self._reconciler = reconciler
        self._evictions = evictions
        self._on_idle = on_idle
        self._executor = reconciler.executor
        self._request_heartbeat = request_heartbeat
        self._schedule = ReconcileSchedule(status.settings.window)
        self._wake_up = asyncio.Event()
        self._running: asyncio.Task[ReconcileResult] | None = None
        self._has_purged = False
        self._logged_lines = LoggedLines()
        self._last_summary = ""

    def request_reconcile(self) -> None:
        """Make a reconciliation due now; it starts once the registry is connected and the current one has ended."""
        self._schedule.request(time.monotonic())
        self._wake_up.set()

    def stop_actions(self) -> None:
        """Cancel the reconciliation and all actions, and return before they have ended.

        Partial downloads stay for the next plan.
        """
        if self._running is not None:
            self._running.cancel()
        self._executor.cancel()
        self._status.end_reconcile(None)
        self._wake_up.set()

    def handle_reconnect(self) -> None:
        """Request a reconciliation because the registry answers again, and let a later revocation purge again."""
        self._has_purged = False
        self.request_reconcile()

    async def run(self) -> None:
        """Reconcile whenever it is due and the registry is connected, until cancelled; earlier actions go on.

        After the key was revoked, the placed files are removed if ``purge_on_revoke`` is set.
        """
        status = self._status
        while True:
            await wait_for_event(self._wake_up, self._schedule.get_wait(time.monotonic()))
            if status.connection.state == "refused":
                await self._purge_once()
            elif status.manifest is not None and status.connection.is_up:
                if self._schedule.get_wait(time.monotonic()) == 0:
                    await self.reconcile()
                continue
            # Nothing starts without a registry; ``handle_reconnect`` sets this event.
            await self._wake_up.wait()

    async def run_action_processing(self) -> None:
        """Process the results of actions soon after they end, until cancelled."""
        while True:
            await self._reconciler.actions_changed.wait()
            await asyncio.sleep(_BATCH_SECONDS)
            await self.process_ended_actions()

    async def wait_for_actions(self) -> None:
        """Wait until every action of the plan that can be done is done, and process the results."""
        await self._executor.wait_until_idle()
        await self.process_ended_actions()

    async def reconcile(self) -> None:
        """Scan, make a plan and start its actions; a failure is logged, shown in the status, and retried later.

        Does nothing before the first manifest. Returns once the actions have started, and also if ``stop_actions``
        cancelled the reconciliation. The caller awaits one call before the next.
        """
        manifest = self._status.manifest
        if manifest is None:
            return
        self._schedule.start(time.monotonic())
        self._running = asyncio.create_task(self._reconcile_manifest(manifest))
        try:
            await asyncio.wait([self._running])
            result = self._running.result()
        except asyncio.CancelledError:
            self._running.cancel()
            await asyncio.wait([self._running])
            this = asyncio.current_task()
            if this is not None and this.cancelling():
                raise
        except Exception as failure:  # noqa: BLE001 - a failed reconciliation must not end the agent
            self._handle_failure(failure)
        else:
            self._publish(result, is_new_plan=True)
        finally:
            self._running = None

    async def process_ended_actions(self) -> None:
        """Log and publish what was placed and removed, and request a reconciliation if the plan became stale.

        Also requests one if a removal may have freed space or a place for another model. Approvals that were used are
        dropped. Nothing is published while the next plan is made or after ``stop_actions``. The schedule retries
        failed actions.
        """
        self._reconciler.actions_changed.clear()
        try:
            ended = await self._reconciler.process_ended_actions()
            self._executor.raise_bug()
        except Exception as failure:  # noqa: BLE001 - a failed reconciliation must not end the agent
            return self._handle_failure(failure)
        for replica_state in ended.replica_states:
            log.info("%s: %s", replica_state.path or replica_state.model_path, replica_state.origin)
        result = self._reconciler.build_result()
        if ended.used_approval is not None:
            self._status.drop_approval(ended.used_approval)
        # A removal may have freed the disk space that a blocked model needs, or the place of a queued one.
        is_unblocked = ended.has_removed_folder or (ended.has_removed and result.is_blocked)
        if self._executor.take_stale() or is_unblocked:
            self.request_reconcile()
        if self._running is None and not self._executor.is_cancelled:
            self._publish(result, is_new_plan=False)
        return None

    async def _reconcile_manifest(self, manifest: ReceivedManifest) -> ReconcileResult:
        """Reconcile one manifest, after loading the lists of folders and planning evictions; while paused, only plan.

        Removals also stop once the manifest is replaced or the registry is not connected; downloads go on.
        """
        status = self._status
        files = await self._reconciler.load_folder_files(manifest.model_list)
        desired = await asyncio.to_thread(build_desired_state, manifest.model_list, manifest.unreadable, files)
        evictions = await self._evictions.plan(desired, manifest)
        options = ReconcileOptions(
            status.paused,
            frozenset(filter(None, status.approved.values())),
            lambda: status.connection.is_up and status.manifest is manifest and not status.paused,
            evictions.states,
            manifest.disk_budget_bytes,
        )
        return await self._reconciler.reconcile(remove_not_held(desired, evictions), options)

    def _publish(self, result: ReconcileResult, *, is_new_plan: bool) -> None:
        """Update status, log and schedule; request a heartbeat once no action runs.

        While actions run, the result of a new plan is set, and later only its blockers, because reporting thousands of
        models takes long. A reconciliation is requested if a held removal is approved already.
        """
        now = time.monotonic()
        if is_new_plan or not result.is_active:
            self._status.set_result(result)
        else:
            self._status.set_blockers(result.blockers)
        if result.held is not None and result.held.token in self._status.approved.values():
            self.request_reconcile()  # the removal was approved while the plan was made
        if is_new_plan and self._evictions.needs_plan:
            self.request_reconcile()  # now that the folders are known, models can be evicted
        self._log_result(result)
        if result.is_active:
            if result.has_failed:
                self._schedule.record_failure(now)
        else:
            self._schedule.record_end(now, datetime.now().astimezone(), has_failed=result.has_failed)
        self._status.set_retry(self._schedule.get_wait(now) if result.has_failed else None)
        if result.is_active:
            return
        self._request_heartbeat()
        self._on_idle()

    def _log_result(self, result: ReconcileResult) -> None:
        """Log a summary once nothing runs, if it differs from the last, and each problem when it begins.

        A problem that lasts for weeks is logged once; one that went away and came back is logged again.
        """
        states = Counter(replica_state.state for replica_state in result.replica_states if replica_state.state)
        counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        summary = f"{states.total()} models: {counts}."
        if states and summary != self._last_summary and not result.is_active:
            log.info("%s", summary)
            self._last_summary = summary
        for line in self._logged_lines.take_new_lines(_list_problems(result), is_complete=not result.is_active):
            log.warning("%s", line)

    def _handle_failure(self, failure: Exception) -> None:
        """Log a failed reconciliation, show it in the status, schedule a retry and request a heartbeat."""
        if isinstance(failure, RootsNotFound | OSError):
            log.error("%s", failure)
            self._status.end_reconcile(str(failure))
        else:
            log.error("A reconciliation failed because of an unexpected error.", exc_info=failure)
            self._status.end_reconcile("An unexpected error occurred; see the agent's log. The agent tries again.")
        self._status.has_running_actions = self._executor.is_active
        now = time.monotonic()
        self._schedule.record_failure(now)
        self._status.set_retry(self._schedule.get_wait(now))
        self._request_heartbeat()

    async def _purge_once(self) -> None:
        """Remove what the agent placed if the key was revoked and ``purge_on_revoke`` is set; log the result.

        Does so once until the registry answers again, even if it failed.
        """
        connection = self._status.connection
        if not (self._status.settings.purge_on_revoke and connection.is_revoked) or self._has_purged:
            return
        self._has_purged = True
        try:
            # A picture that is being written must not stay.
            async with self._status.previews_lock:
                removed = await self._reconciler.purge()
        except (RootsNotFound, OSError) as failure:
            log.warning("The files that this agent placed could not be removed: %s", failure)
        else:
            log.warning("The key was revoked: removed %d files that this agent had placed.", len(removed))
        self._status.end_reconcile(None)


def _list_problems(result: ReconcileResult) -> set[str]:
    """Return a line for each state with a reason, for the held removals, and for each note.

    Evicted models are left out, and while actions run, queued and running downloads.
    """
    passing = {"evicted", *(["queued", "downloading", "verifying"] if result.is_active else [])}
    lines = {
        f"{replica_state.model_path}: {replica_state.state or 'not removed'}: {replica_state.reason}"
        for replica_state in result.replica_states
        if replica_state.reason and replica_state.state not in passing
    }
    if result.held is not None:
        lines.add(result.held.reason)
    return lines.union(result.notes)
