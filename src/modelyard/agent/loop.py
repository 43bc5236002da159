"""The agent's event loop: the tasks that poll the registry, watch the folders, reconcile and report.

    RegistryPoller.run_polling              long polls for the manifest
    RegistryPoller.run_heartbeats           heartbeats; their answers pause, approve removals, or request a sync
    ReconcileRunner.run                     reconciliations, one at a time
    ReconcileRunner.run_action_processing   results of the plans' actions
    IdleChecks.run_folder_checks            files that users add or remove
    IdleChecks.run_scrub                    periodic re-verification of files
    PreviewWriter.run                       pictures beside models
    Evictions.run                           queued prompts that need models that were evicted
    UseCounter.run                          which models ComfyUI uses
    LoaderReporter.run                      which inputs of ComfyUI's nodes name models
    LocalApiServer.run                      what ComfyUI's extension asks, unless it is turned off
    Agent.run_status_file                   the status file, and removals approved on this machine
    Agent.run_key_watch                     a key that is stored later

The tasks share ``AgentStatus`` and wake one another.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from modelyard.agent.local_api.handlers import LocalApiCalls, LocalHandlers
from modelyard.agent.local_api.pushes import LocalPushes
from modelyard.agent.local_api.routes import Router
from modelyard.agent.local_api.server import LocalApiServer
from modelyard.agent.polling import ReadMachineInfo, RegistryPoller
from modelyard.agent.reconcile_result import ReconcileResult
from modelyard.agent.reconciliation.evictions import Evictions
from modelyard.agent.reconciliation.idle_checks import IdleChecks
from modelyard.agent.reconciliation.loader_reports import LoaderReportCalls, LoaderReporter
from modelyard.agent.reconciliation.previews import PreviewWriter
from modelyard.agent.reconciliation.reconciler import Reconciler
from modelyard.agent.reconciliation.runner import ReconcileRunner
from modelyard.agent.reconciliation.use_counter import UseCounter
from modelyard.agent.registry.connection import RegistryCalls
from modelyard.agent.registry.current_key import CurrentKey
from modelyard.agent.state_folder import StateFolder, StatusSnapshot
from modelyard.agent.status import AgentStatus
from modelyard.agent.status_documents import build_snapshot
from modelyard.agent.timers import HeartbeatTimer
from modelyard.client.settings import ClientSettings
from modelyard.wire.problems import AgentUnknown

_STATUS_FILE_SECONDS = 1.0
_KEY_SECONDS = 2.0
_LAST_HEARTBEAT_SECONDS = 5.0
_MAX_RESENDS = 3
log = logging.getLogger("modelyard.agent")


class AgentCalls(RegistryCalls, LocalApiCalls, LoaderReportCalls, Protocol):
    """The API calls of an agent and of its local API; ``client.api.registry.RegistryApi`` implements them."""


@dataclass(frozen=True)
class LocalMachine:
    """The agent's state folder, a function that reads facts about the machine, its key, and the settings of pushes.

    Without a ``client``, users of this machine cannot push.
    """

    folder: StateFolder
    read_info: ReadMachineInfo
    key: CurrentKey
    client: ClientSettings | None


class Agent:
    """One agent; belongs to one event loop."""

    def __init__(
        self,
        status: AgentStatus,
        registry: AgentCalls,
        reconciler: Reconciler,
        heartbeat_timer: HeartbeatTimer,
        machine: LocalMachine,
    ) -> None:
        self.status = status
        self.heartbeat_timer = heartbeat_timer
        self._folder = folder = machine.folder
        self._key = machine.key
        self._reconciler = reconciler
        self.previews = PreviewWriter(
            status, reconciler.machine, registry, reconciler.list_installs, reconciler.bandwidth_limit
        )
        self.evictions = Evictions(status, folder.evictions)
        self._runner = ReconcileRunner(
            status, reconciler, self.evictions, heartbeat_timer.request, self.previews.changed.set
        )
        self.poller = RegistryPoller(status, registry, self._runner, heartbeat_timer, machine.read_info)
        self.use_counter = UseCounter(status, folder.use_log)
        self.loader_reporter = LoaderReporter(status, registry)
        pushes = LocalPushes(status, machine.client, reconciler.list_installs) if machine.client else None
        handlers = LocalHandlers(status, registry, self.poller.poll_now, pushes)
        self._local_api = LocalApiServer(folder.local_socket, Router(handlers))
        self.idle_checks = IdleChecks(status, reconciler, self._runner.request_reconcile)
        self._last_approval: str | None = None

    async def run(self) -> None:
        """Run all tasks until cancelled or one raises; then stop all actions and report the stop.

        The report goes to the status file and to the registry.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                for task in (
                    self.poller.run_polling,
                    self.poller.run_heartbeats,
                    self._runner.run,
                    self._runner.run_action_processing,
                    self.idle_checks.run_scrub,
                    self.idle_checks.run_folder_checks,
                    self.previews.run,
                    self.use_counter.run,
                    self.loader_reporter.run,
                    self.run_evictions,
                    self.run_status_file,
                    self.run_key_watch,
                    *([self._local_api.run] if self.status.settings.local_api else []),
                ):
                    tasks.create_task(task())
        finally:
            await self._reconciler.executor.stop()
            await self._report_stop()

    async def run_once(self) -> ReconcileResult | None:
        """Reconcile once, wait for the actions and report the result; None if the folders could not be reconciled.

        Ends by reporting that the agent was stopped.

        Raises:
            Problem, TransferFailed: the registry refused the heartbeat of a machine that it does not know yet, or the
                request for the manifest, or did not answer.
        """
        status = self.status
        await self.poller.send_heartbeat()
        try:
            await self.poller.poll_manifest(0)
        except AgentUnknown as unknown:
            # That the heartbeat was refused is why the registry does not know the machine.
            raise status.connection.failure or unknown from None
        await self._read_approval()
        await self.reconcile_and_wait()
        await self.use_counter.count()
        # Before the pictures, which may take longer than a machine counts as online.
        await self._report_all_states()
        if await self.previews.has_work():
            await self.previews.update()
        await self._read_approval()
        result = None if status.error else status.result
        await self._report_all_states()
        await self._report_stop()
        return result

    async def reconcile_and_wait(self) -> None:
        """Reconcile with the manifest that was received last, and wait for the actions.

        Reconcile again if models can be evicted only now that the folders were scanned.
        """
        await self._runner.reconcile()
        if self.evictions.needs_plan:
            await self._runner.reconcile()
        await self._runner.wait_for_actions()

    async def run_evictions(self) -> None:
        """Bring back evicted models that queued prompts need; runs until cancelled."""
        await self.evictions.run(self._runner.request_reconcile)

    async def _report_all_states(self) -> None:
        """Send heartbeats until all states are reported, or the connection is lost or refused.

        Ends also after the registry has asked ``_MAX_RESENDS`` times for all states again.
        """
        resends = 0
        while self._should_report and resends < _MAX_RESENDS:
            resends += await self.poller.send_heartbeat()

    @property
    def _should_report(self) -> bool:
        """Whether there are unreported states that the registry may take now."""
        status = self.status
        return status.connection.is_up and status.rejections.reason is None and status.reports.has_unreported

    async def run_status_file(self) -> None:
        """Each second, write the status file if the status changed, and read local approvals; runs until cancelled."""
        last: StatusSnapshot | None = None
        while True:
            snapshot = build_snapshot(self.status)
            if last is None or snapshot.model_copy(update={"written_at": last.written_at}) != last:
                last = snapshot
                # A full disk must not stop the agent.
                with suppress(OSError):
                    await asyncio.to_thread(self._folder.write_status, snapshot)
            await self._read_approval()
            await asyncio.sleep(_STATUS_FILE_SECONDS)

    async def run_key_watch(self) -> None:
        """Take up a key that ``modelyard agent pair`` has stored, soon after; runs until cancelled."""
        while True:
            await asyncio.sleep(_KEY_SECONDS)
            if (key := await self._key.find_other()) is not None:
                await self._change_key(key)

    async def _change_key(self, key: str) -> None:
        """Send a last heartbeat with the key in use, which releases this machine's name, then use another key.

        A heartbeat and a request for the manifest with the new key follow at once.
        """
        self.status.is_stopping = True
        await self._send_last_heartbeat()
        self.status.is_stopping = False
        self._key.use(key)
        log.info("This machine has another key now, and uses it.")
        self.heartbeat_timer.request_now()
        self.poller.poll_now()

    async def _read_approval(self) -> None:
        """Read the removal that was approved on this machine into the status; delete the file of a used approval."""
        token = await asyncio.to_thread(self._folder.read_approval)
        if token is not None and token == self._last_approval and self.status.approved.get("machine") != token:
            with suppress(OSError):
                await asyncio.to_thread(self._folder.delete_approval)
            token = None
        self._last_approval = token
        self.poller.set_approval("machine", token)

    async def _report_stop(self) -> None:
        """Report the stop in the status file, and to the registry within 5 s if it is connected."""
        status = self.status
        status.is_stopping = True
        status.end_reconcile(status.error)
        status.set_phase("waiting")
        status.set_detail("The agent was stopped.")
        await self._send_last_heartbeat()
        status.connection.record_stop()
        with suppress(OSError):
            await asyncio.to_thread(self._folder.write_status, build_snapshot(status))

    async def _send_last_heartbeat(self) -> None:
        """Send a last heartbeat if the registry is connected, for at most 5 s; failures are ignored."""
        if self.status.connection.is_up:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_HEARTBEAT_SECONDS):
                    await self.poller.send_last_heartbeat()
