"""Communication with the registry: long polls for the manifest, and heartbeats."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import get_args

from modelyard.agent.reconcile_result import ReconcileResult
from modelyard.agent.reconciliation.log_deduplication import LoggedUnreadableValues
from modelyard.agent.reconciliation.runner import ReconcileRunner
from modelyard.agent.registry.connection import LONG_POLL_SECONDS, REFUSED_RETRY_SECONDS, RegistryCalls
from modelyard.agent.registry.rejections import HeartbeatContent, is_rejection
from modelyard.agent.schedule import EARLY_POLL_SECONDS, Backoff, PollSchedule
from modelyard.agent.status import AgentStatus, MachineInfo, TeamFacts
from modelyard.agent.status_documents import build_heartbeat, reduce_heartbeat
from modelyard.agent.timers import HeartbeatTimer, wait_for_event
from modelyard.comfyui.quoting import counted
from modelyard.transfer.errors import TransferFailed
from modelyard.wire.agents.heartbeats import Heartbeat, HeartbeatResponse
from modelyard.wire.agents.values import REPORTED_BY_TWO_REASON
from modelyard.wire.problems import AgentUnknown, Problem
from modelyard.wire.uses.reports import MAX_HEARTBEAT_USES

log = logging.getLogger("modelyard.agent")

# Minimum time between two manifests, so that a registry whose manifest always differs keeps no processor busy.
_MIN_MANIFEST_SECONDS = 0.5

ReadMachineInfo = Callable[[ReconcileResult], MachineInfo]


class RegistryPoller:
    """Polls the manifest and sends the heartbeats of one agent."""

    def __init__(
        self,
        status: AgentStatus,
        registry: RegistryCalls,
        runner: ReconcileRunner,
        heartbeat_timer: HeartbeatTimer,
        read_machine_info: ReadMachineInfo,
    ) -> None:
        self._status = status
        self._registry = registry
        self._runner = runner
        self._heartbeat_timer = heartbeat_timer
        self._read_machine_info = read_machine_info
        self.backoff = Backoff()
        self.schedule = PollSchedule()
        self._logged_unreadable = LoggedUnreadableValues()
        self._poll_now = asyncio.Event()
        self._sending = asyncio.Lock()  # of a heartbeat, so that the last one with a key is the last
        self._etag: str | None = None

    def poll_now(self) -> None:
        """Request the manifest at once, and end a long poll that waits, because its connection may be dead."""
        self._poll_now.set()

    async def run_polling(self) -> None:
        """Poll the manifest until cancelled; retry with backoff, and once a minute while the key is refused.

        While the registry ends long polls at once, they follow at the interval of ``PollSchedule``.
        """
        while True:
            self._poll_now.clear()
            began = time.monotonic()
            # The first response after an outage shows that the registry is back, so it must not be delayed.
            wait = LONG_POLL_SECONDS if self._status.connection.is_up else 0
            try:
                has_changed = await self._poll_unless_interrupted(wait)
            except (Problem, TransferFailed):
                connection = self._status.connection
                pause = REFUSED_RETRY_SECONDS if connection.state == "refused" else self.backoff.next_wait()
                connection.record_retry(pause)
                await wait_for_event(self._poll_now, pause)
                continue
            self.backoff.reset()
            took = time.monotonic() - began
            if has_changed is False and took < wait - EARLY_POLL_SECONDS:
                self._heartbeat_timer.request()
                await wait_for_event(self._poll_now, self.schedule.next_wait(took))
                continue
            self.schedule.reset()
            if has_changed:
                await asyncio.sleep(max(0.0, _MIN_MANIFEST_SECONDS - took))

    async def _poll_unless_interrupted(self, wait_seconds: int) -> bool | None:
        """Send a long poll as ``poll_manifest``; return its result, or None if ``poll_now`` ended it."""
        poll = asyncio.create_task(self.poll_manifest(wait_seconds))
        interruption = asyncio.create_task(self._poll_now.wait())
        try:
            await asyncio.wait({poll, interruption}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            interruption.cancel()
            poll.cancel()
            await asyncio.wait({poll, interruption})
        return None if poll.cancelled() else poll.result()

    async def poll_manifest(self, wait_seconds: int) -> bool:
        """Request the manifest and return whether it changed.

        A changed one is stored in the status, logged, and makes a reconciliation due.

        Success and failure are recorded in the connection; after a reconnect, a heartbeat is due at once.

        Args:
            wait_seconds: how long the registry may hold the request until the manifest changes.

        Raises:
            Problem, TransferFailed: the registry did not answer, or answered with an error.
        """
        status = self._status
        try:
            response = await self._registry.get_manifest(
                status.settings.agent_id,
                etag=self._etag,
                wait=wait_seconds,
                with_previews=status.settings.write_previews,
            )
        except AgentUnknown:
            self._heartbeat_timer.request()
            raise
        except (Problem, TransferFailed) as failure:
            self._record_failure(failure)
            raise
        if self._record_success():
            self._heartbeat_timer.request_now()
        if response is None:
            return False
        models = response.manifest.model_list
        self._etag, status.manifest = response.etag, response.manifest
        status.reports.set_manifest_entries({model.id: model.updated_at for model in models})
        log.info("The manifest lists %d models for this machine (revision %d).", len(models), status.manifest.revision)
        self._runner.request_reconcile()
        return True

    async def run_heartbeats(self) -> None:
        """Send heartbeats when they are due, until cancelled; failures are recorded and not raised."""
        while True:
            await self._heartbeat_timer.wait_until_due()
            await self.send_heartbeat()

    async def send_heartbeat(self) -> bool:
        """Send the status, whether due or not, and apply the answer; return whether the registry asks for all states.

        A failed request is recorded in the connection and not raised.
        """
        async with self._sending:
            return await self._send_heartbeat()

    async def _send_heartbeat(self) -> bool:
        """Send the status and apply the answer, as ``send_heartbeat``, whose lock the caller holds.

        States and uses that the registry got are recorded as reported, and the next heartbeat is scheduled.
        """
        status = self._status
        status.machine_info = await asyncio.to_thread(self._read_machine_info, status.result)
        status.measure_rate(time.monotonic())
        content = status.rejections.get_content()
        report = status.reports.get_next_report() if content == "all" else status.reports.get_last_number()
        uses = [] if status.use_log is None or content == "few_values" else status.use_log.list_unreported()
        answer = await self._send(build_heartbeat(status, report, uses), content)
        if answer is None:
            return False
        # Without states, the numbers are not expected to match those of the registry.
        resend_all = answer.resend_all and content == "all"
        status.reports.record_answer(report, resend_all=resend_all)
        if status.use_log is not None:
            status.use_log.record_reported(uses, resend_all=resend_all)
        is_busy = len(uses) == MAX_HEARTBEAT_USES or (content == "all" and status.reports.has_unreported)
        if content == "all" and not is_busy and not resend_all:
            self._record_acceptance()
        self._finish_heartbeat(answer, is_busy=is_busy)
        return resend_all

    async def send_last_heartbeat(self) -> None:
        """Send the status until the registry takes it, with less in it each time that it refuses the content."""
        rejections = self._status.rejections
        for _ in get_args(HeartbeatContent):
            rejected = rejections.count
            await self.send_heartbeat()
            if rejections.count == rejected:
                return

    async def _send(self, heartbeat: Heartbeat, content: HeartbeatContent) -> HeartbeatResponse | None:
        """Send a heartbeat, reduced to few values if it is to have no more, and record its outcome.

        None if it failed or was rejected.
        """
        heartbeat = reduce_heartbeat(heartbeat) if content == "few_values" else heartbeat
        schedule = self._heartbeat_timer.schedule
        try:
            answer = await self._registry.send_heartbeat(heartbeat)
        except (Problem, TransferFailed) as failure:
            if is_rejection(failure):
                self._record_rejection(failure, content)
            else:
                self._record_failure(failure)
                schedule.record_failure(time.monotonic())
            return None
        if self._record_success():
            if schedule.has_failed:
                self.backoff.reset()
            self.poll_now()
        return answer

    def _finish_heartbeat(self, answer: HeartbeatResponse, *, is_busy: bool) -> None:
        """Apply the answer to a heartbeat, and schedule the next one: soon if actions run or it is busy besides."""
        status = self._status
        status.last_heartbeat = datetime.now().astimezone()
        self._apply_answer(answer)
        is_busy = is_busy or status.has_running_actions
        self._heartbeat_timer.schedule.record_success(time.monotonic(), answer.interval_seconds, is_busy=is_busy)

    def _record_acceptance(self) -> None:
        """Record that the registry has everything that the machine reports, and log it if it refused that before."""
        if self._status.rejections.reason is not None:
            log.info("The registry takes what this machine reports again.")
        self._status.rejections.record_acceptance()

    def _record_rejection(self, failure: Exception, content: HeartbeatContent) -> None:
        """Record that the registry refuses the content of a heartbeat, and schedule the next one.

        All states are unreported. The registry answers, so it counts as connected, and reconciliations go on. The
        reason is logged when it begins.
        """
        status = self._status
        if self._record_success():
            self.poll_now()
        is_first = status.rejections.reason is None
        wait = status.rejections.record(failure, content)
        if is_first:
            log.warning("%s", status.rejections.reason)
        status.reports.start_new_series()
        self._heartbeat_timer.schedule.record_rejection(time.monotonic(), wait)

    def set_approval(self, source: str, token: str | None) -> None:
        """Record in the status the removal approved in a source (``machine``, ``registry``); None withdraws it.

        A reconciliation is requested if the approval is for the removal that is held now.
        """
        status = self._status
        if status.approved.get(source) == token:
            return
        status.approved[source] = token
        held = status.result.held
        if held is not None and held.token == token:
            log.info("The removal of %s was approved.", counted(len(held.removals), "file"))
            self._runner.request_reconcile()

    def _apply_answer(self, answer: HeartbeatResponse) -> None:
        """Apply a heartbeat's answer: pause or resume, take over an approval and facts of the team, or reconcile now.

        A pause cancels all actions. Changes, unreadable values and another agent of this name are logged.
        """
        status = self._status
        if answer.paused != status.paused:
            log.info("Paused in the registry." if answer.paused else "Resumed in the registry.")
            status.paused = answer.paused
            if answer.paused:
                self._runner.stop_actions()
            self._runner.request_reconcile()
        self._logged_unreadable.update(answer)
        if answer.is_reported_by_two != status.is_reported_by_two:
            status.is_reported_by_two = answer.is_reported_by_two
            self._log_other_agent()
        status.team_facts = TeamFacts(answer.team_name, answer.may_request_models, answer.team_id)
        self.set_approval("registry", answer.approved_removal)
        if answer.sync_now:
            self._runner.request_reconcile()
            self.poll_now()

    def _log_other_agent(self) -> None:
        """Log that another agent reports as this machine, or that none does any more."""
        if self._status.is_reported_by_two:
            log.warning("%s", REPORTED_BY_TWO_REASON)
        else:
            log.info("No other agent reports as this machine any more.")

    def _record_success(self) -> bool:
        """Record a response of the registry; return whether it was not connected before, as at the first response.

        A reconnect is logged and makes a reconciliation due.

        Then the caller also ends the other request's wait: a poll makes a heartbeat due, and a heartbeat a poll.
        """
        is_reconnect = self._status.connection.record_success()
        if is_reconnect:
            log.info("Connected to %s as %s.", self._registry.url, self._status.settings.agent_id)
            self._runner.handle_reconnect()
        return is_reconnect

    def _record_failure(self, failure: Problem | TransferFailed) -> None:
        """Record a failed request.

        Log it if the connection's state changed, and cancel all actions if that is refused.
        """
        connection = self._status.connection
        if connection.record_failure(failure):
            log.warning("%s", connection.reason)
        if connection.state == "refused":
            self._runner.stop_actions()
