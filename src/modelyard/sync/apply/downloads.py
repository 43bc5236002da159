"""Download several models at once within limits on requests, disk space and hours; small files first."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial as call
from uuid import UUID

from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.disk_reservations import DiskReservations
from modelyard.sync.apply.errors import DiskSpaceLacking, NotPlaced, build_not_placed
from modelyard.sync.apply.files.dir_handles import OpenFolder
from modelyard.sync.apply.files.trash import make_disk_space
from modelyard.sync.apply.replica_states import Hindrance, OnReplicaState, build_replica_state
from modelyard.sync.apply.transfer_window import TransferWindow, get_closed_reason, get_seconds_until_close
from modelyard.sync.desired import DesiredModel, get_sort_key
from modelyard.sync.planning.actions import Remove, Replace, Target
from modelyard.sync.retry_advice import omit_retry_advice
from modelyard.transfer.download.download import DownloadTarget, FinishDownload, download_into_partial
from modelyard.transfer.errors import DiskFull
from modelyard.transfer.limited_transfer import LimitedTransfer
from modelyard.transfer.limiter import Limiter
from modelyard.transfer.options import DEFAULT_OPTIONS, TransferOptions
from modelyard.transfer.progress import ProgressEvent, Received, Resumed, Retrying
from modelyard.transfer.thread_pool import ThreadPool
from modelyard.wire.problems import KeyNotAllowed, NotAMember, Problem, Unauthenticated

# Returns a presigned URL of a model's file by the model's id and the number of the version.
GetDownloadUrl = Callable[[UUID, int], Awaitable[str]]

# Returns a presigned URL of one file of a folder.
GetFileUrl = Callable[[DesiredModel], Awaitable[str]]

STALLED = "The store sends next to nothing. The download goes on as soon as it sends more."

# Problems of a revoked or invalid key: no other download can succeed either.
_ACCESS_PROBLEMS = (Unauthenticated, NotAMember, KeyNotAllowed)


def _get_local_time() -> datetime:
    """Return the time with the local time zone, whose hours a transfer window uses."""
    return datetime.now().astimezone()


def _never_blocked(_: Remove | Replace) -> str | None:
    """Return None: no action is blocked."""
    return None


async def _get_no_file_url(desired: DesiredModel) -> str:
    """Raise ``NotPlaced``, because this caller does not download the files of folders."""
    raise NotPlaced("blocked", f"{quoted(desired.model_path)} is a folder, which is not downloaded here.")


def _always() -> bool:
    """Return True: removals are always allowed."""
    return True


@dataclass(frozen=True)
class ApplyOptions:
    """How a plan is applied: ``parallel`` requests in total, ``keep_free`` bytes left free on each disk.

    ``network`` contains the rate limit. ``get_blocked_reason`` returns a sentence if a file may not be replaced or
    removed *now*, else None; it is called in a thread, and again every few seconds while the action waits.
    ``may_remove`` is called on the event loop just before each removal. ``get_file_url`` returns the presigned URL of
    one file of a folder model, whose path is ``file_path``.
    """

    parallel: int = 4
    network: TransferOptions = DEFAULT_OPTIONS
    keep_free: int = 0
    window: TransferWindow | None = None
    get_now: Callable[[], datetime] = _get_local_time
    get_blocked_reason: Callable[[Remove | Replace], str | None] = _never_blocked
    may_remove: Callable[[], bool] = _always
    get_file_url: GetFileUrl = _get_no_file_url


class Downloads:
    """The downloads of one machine, using the options of the newest plan. Bound to one event loop."""

    def __init__(self, get_download_url: GetDownloadUrl, agent_id: str, options: ApplyOptions) -> None:
        self.agent_id = agent_id
        self.options = options
        self._get_download_url = get_download_url
        self._limiter = Limiter(options.parallel)
        self._reservations = DiskReservations()
        self.kept_trash_hashes: Collection[str] = ()
        self._stop_reason: str | None = None
        self._full_disks: dict[int, str] = {}
        self._running: dict[asyncio.Task[None], str | None] = {}  # each with the reason for which it was stopped
        self._window_timer: asyncio.TimerHandle | None = None

    def set_options(self, options: ApplyOptions, kept_trash_hashes: Collection[str]) -> None:
        """Use these options, except for downloads that run, and let downloads begin again after ``stop_all``.

        Full disks are tried again, and the end of the transfer window is scheduled. The limit on concurrent requests
        stays that of the constructor's options.

        ``kept_trash_hashes``: hashes of files in the trash that are desired again.
        """
        self.options, self.kept_trash_hashes = options, kept_trash_hashes
        self._stop_reason = None
        self._full_disks.clear()
        self._schedule_window_end()

    def close(self) -> None:
        """Cancel the timer of the transfer window. Idempotent."""
        if self._window_timer is not None:
            self._window_timer.cancel()
            self._window_timer = None

    def stop_all(self, reason: str) -> None:
        """Cancel all running downloads and let none start until ``set_options``; partial files are kept.

        Does not wait for them. Of several reasons, the first is reported.
        """
        self._stop_reason = self._stop_reason or reason
        for task in self._running:
            self._running[task] = self._stop_reason
            task.cancel()

    async def download(
        self,
        desired: DesiredModel,
        target: Target,
        work: OpenFolder,
        finish: FinishDownload,
        on_progress: OnReplicaState,
        following: int = 0,
    ) -> None:
        """Download a model into the work folder, and call ``finish`` in a thread to place the verified file.

        ``following``: bytes of the same model that are downloaded after this file, if it is one of a folder.
        Files in the trash are deleted if the space is needed. After a lack of space, downloads to this disk are refused
        until ``set_options``.

        Raises:
            NotPlaced: downloads are stopped, the window is closed or disk space is lacking; or raised by ``finish``.
            TransferFailed, Problem: see ``transfer.download.download_into_partial`` and
                ``RegistryApi.download_ticket``.
            OSError: raised by ``finish``.
        """
        device = target.root.device
        self._require_allowed(device)
        partial = work.path / f"{desired.sha256}.{self.agent_id}.part"
        self._reservations.set_reservation(device, desired.id, desired.size)
        keep_free = self.count_bytes_to_keep_free(desired, device)
        target_bytes = DownloadTarget(
            desired.size, desired.sha256, target.path, partial, work.descriptor, keep_free=keep_free
        )
        try:
            async with ThreadPool(1) as pool:
                await pool.run(
                    lambda: make_disk_space(work, partial.name, desired, keep_free, self.kept_trash_hashes),
                    timeout_seconds=None,
                )
            report = _ProgressReport(desired, call(self._reserve, device, desired), on_progress)
            await self._run_unless_stopped(self._download_into(desired, target_bytes, finish, report, following))
        except (DiskSpaceLacking, DiskFull) as failure:
            self._full_disks.setdefault(device, build_not_placed(target.path, failure).reason)
            raise
        finally:
            self._reservations.remove_reservation(device, desired.id)

    def count_bytes_to_keep_free(self, desired: DesiredModel, device: int) -> int:
        """Return the bytes that one model must leave free: the operator's limit plus other downloads' needs."""
        return self.options.keep_free + self._reservations.sum_other_reservations(device, desired.id)

    def _reserve(self, device: int, desired: DesiredModel, received: int) -> None:
        """Lower the reservation of a download to what it still needs after ``received`` bytes."""
        self._reservations.set_reservation(device, desired.id, desired.size - received)

    def _schedule_window_end(self) -> None:
        """Schedule stopping all downloads at the end of the transfer window, if it is open now."""
        self.close()
        now, window = self.options.get_now(), self.options.window
        seconds_left = get_seconds_until_close(window, now)
        if window is not None and seconds_left is not None and get_closed_reason(window, now) is None:
            self._window_timer = asyncio.get_running_loop().call_later(
                seconds_left, self.stop_all, window.waiting_reason
            )

    def _require_allowed(self, device: int) -> None:
        """Raise ``NotPlaced`` if downloads are stopped, the window is closed or the disk has been found full."""
        reason = self._stop_reason or get_closed_reason(self.options.window, self.options.get_now())
        if reason is not None:
            raise NotPlaced("queued", reason)
        if device in self._full_disks:
            raise NotPlaced("blocked", self._full_disks[device])

    async def _run_unless_stopped(self, work: Coroutine[None, None, None]) -> None:
        """Await a download that ``stop_all`` can cancel; it then raises ``NotPlaced`` with the reason."""
        task = asyncio.create_task(work)
        self._running[task] = None
        try:
            await task
        except asyncio.CancelledError:
            stop_reason, caller = self._running[task], asyncio.current_task()
            if stop_reason is None or (caller is not None and caller.cancelling()):
                raise
            raise NotPlaced("queued", stop_reason) from None
        finally:
            del self._running[task]

    async def _download_into(
        self,
        desired: DesiredModel,
        target_bytes: DownloadTarget,
        finish: FinishDownload,
        report: "_ProgressReport",
        following: int,
    ) -> None:
        """Download into the partial file, call ``finish``, and report progress and failures as replica states."""
        order, remaining = get_sort_key(desired), desired.size + following
        limited = LimitedTransfer(self._limiter, remaining, following, order, on_stalled=report.handle_stall)
        await download_into_partial(
            call(self._get_url, desired),
            target_bytes,
            finish,
            report.handle_event,
            connections=self.options.parallel,
            options=replace(self.options.network, limited_transfer=limited),
        )

    async def _get_url(self, desired: DesiredModel) -> str:
        """Return a download URL; if the registry refuses this machine's key, stop all downloads and re-raise."""
        try:
            if desired.file_path is not None:
                return await self.options.get_file_url(desired)
            return await self._get_download_url(desired.id, desired.version)
        except Problem as problem:
            if isinstance(problem, _ACCESS_PROBLEMS):
                self.stop_all(f"The registry refuses this machine: {problem}")
            raise


def _name_peer(event: Retrying) -> str:
    """Return who is tried again, as the beginning of a sentence."""
    return "The registry" if event.store is None else f"The store at {event.store}"


class _ProgressReport:
    """Reports the events of one download as replica states, and calls ``reserve`` with the bytes that have arrived.

    The reason for which nothing arrives is reported until something does.
    """

    def __init__(self, desired: DesiredModel, reserve: Callable[[int], None], on_progress: OnReplicaState) -> None:
        self._desired, self._reserve, self._on_progress = desired, reserve, on_progress
        self._received = 0
        self._reason: str | None = None
        self._is_stalled = False

    def handle_event(self, event: ProgressEvent) -> None:
        """Report the received bytes and the retries of a transfer, and adjust the reservation.

        Other events are ignored.
        """
        if isinstance(event, Received | Resumed):
            received = event.done if isinstance(event, Received) else event.kept
            if received != self._received:
                self._received, self._reason = received, None
                self._reserve(received)
        elif isinstance(event, Retrying):
            self._reason = f"{_name_peer(event)} is tried again. {omit_retry_advice(event.why)}"
        else:
            return
        self._report()

    def handle_stall(self, is_stalled: bool) -> None:
        """Report that the store sends next to nothing, or that it sends again."""
        self._is_stalled = is_stalled
        self._report()

    def _report(self) -> None:
        """Report the state now."""
        if self._received >= self._desired.size:
            self._on_progress(build_replica_state(self._desired, "verifying", self._received, self._reason))
            return
        reason = self._reason or (STALLED if self._is_stalled else None)
        state = build_replica_state(self._desired, "downloading", self._received, reason)
        hindrance: Hindrance | None = "failing" if self._reason else "stalled" if self._is_stalled else None
        self._on_progress(replace(state, hindrance=hindrance))
