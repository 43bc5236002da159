"""Reports which inputs of nodes name models in the ComfyUIs of this machine, once per start of each ComfyUI."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from modelyard.agent.reconciliation.log_deduplication import LoggedFailures
from modelyard.agent.settings import AgentSettings
from modelyard.agent.status import AgentStatus
from modelyard.comfyui.http_api import ComfyUI
from modelyard.comfyui.layout import Install
from modelyard.comfyui.loader_inputs import ANY_INPUT, FoundLoader, find_loader_inputs
from modelyard.sync.inventory.deadlines import FilesystemNotResponding, StallDeadline
from modelyard.transfer.errors import TransferFailed
from modelyard.wire.agent_requests.loaders import MAX_LOADER_INPUTS, LoaderInput, LoaderReport
from modelyard.wire.problems import Problem

log = logging.getLogger("modelyard.agent")

# ComfyUI takes longer than this to start, so that each start is noticed.
CHECK_SECONDS = 5.0
# Between two attempts to read a ComfyUI that does not describe its nodes: 10 minutes.
_MAX_PAUSE = 120


class LoaderReportCalls(Protocol):
    """The call to the registry; ``client.api.registry.RegistryApi`` implements it."""

    async def report_loaders(self, report: LoaderReport) -> None:
        """Store the loader inputs of the machine."""


@dataclass
class _Reading:
    """What is known of the nodes of one ComfyUI, and when to try again if they could not be read."""

    install: Install
    loaders: list[FoundLoader] | None = None  # at the last of its starts at which they could be read
    is_current: bool = False  # whether that was the start of what runs now
    failure: Exception | None = None  # of the last attempt
    pause: int = 0  # number of checks between two attempts
    remaining_pause: int = 0

    def prepare_next_start(self) -> None:
        """Set that the nodes are read anew once the ComfyUI runs again, and drop the last failure with its pauses."""
        self.is_current = False
        self.failure, self.pause, self.remaining_pause = None, 0, 0

    def update(self, comfyui: ComfyUI) -> None:
        """Read the nodes of a running ComfyUI unless that was done since its start; blocking.

        A failure is kept in ``failure``, and lets the next calls pass without a read, more after each failure.
        """
        if self.is_current:
            return
        if self.remaining_pause > 0:
            self.remaining_pause -= 1
            return
        try:
            self.loaders = _read_loaders(comfyui, self.install)
            self.is_current, self.failure = True, None
        except Exception as failure:  # noqa: BLE001 - what was read at an earlier start counts
            self.failure = failure
            self.pause = self.remaining_pause = min(max(1, 2 * self.pause), _MAX_PAUSE)


class LoaderReporter:
    """Reports the loader inputs of one agent's ComfyUIs. Belongs to its event loop."""

    def __init__(self, status: AgentStatus, registry: LoaderReportCalls) -> None:
        self._status = status
        self._registry = registry
        self._deadline = StallDeadline()
        self._readings: dict[ComfyUI, _Reading] = {}
        self._reported: list[LoaderInput] | None = None
        self._failures = LoggedFailures("The loader nodes of ComfyUI cannot be read")
        self.check_seconds = CHECK_SECONDS

    async def run(self) -> None:
        """Look for started ComfyUIs at intervals until cancelled."""
        while True:
            await asyncio.sleep(self.check_seconds)
            await self.check()

    async def check(self) -> None:
        """Read the inputs of ComfyUIs that were started since the last call, and report all if they changed.

        What a ComfyUI has counts until it was read at a later start, or its folder was removed. Nothing is reported
        before all that run were read once. Failures are logged, and reading is tried again at growing intervals; a
        report that the registry did not get is repeated by the next call.
        """
        try:
            await asyncio.to_thread(self._read_started)
        except Exception as failure:  # noqa: BLE001 - a failed check must not end the agent
            self._failures.update([failure])
            return
        readings = self._readings.values()
        self._failures.update([each.failure for each in readings if each.failure is not None])
        found = [each.loaders for each in readings if each.loaders is not None]
        loaders = merge_loaders(found)
        is_complete = len(found) == len(readings) and bool(found or self._reported)
        if not is_complete or loaders == self._reported or not self._status.connection.is_up:
            return
        try:
            report = LoaderReport(agent_id=self._status.settings.agent_id, loader_list=loaders)
            await self._registry.report_loaders(report)
        except TransferFailed:
            return
        except Problem as problem:
            # Such as of a registry that does not know these reports: not repeated before ComfyUI offers something else.
            log.debug("The registry does not take the loader nodes of ComfyUI: %s", problem)
        self._reported = loaders

    def _read_started(self) -> None:
        """Read the inputs of each running ComfyUI that was not read since its start; drop those that were removed.

        Blocking.
        """
        running = dict(self._status.result.roots.running)
        for comfyui, install in running.items():
            self._readings.setdefault(comfyui, _Reading(install)).install = install
        self._readings = {
            comfyui: reading
            for comfyui, reading in self._readings.items()
            if (comfyui in running or reading.loaders is not None) and not self._is_removed(comfyui, reading.install)
        }
        for comfyui, reading in self._readings.items():
            is_running = comfyui.is_running()
            if is_running is False:
                reading.prepare_next_start()
            elif is_running and comfyui in running:
                reading.update(comfyui)

    def _is_removed(self, comfyui: ComfyUI, install: Install) -> bool:
        """Return whether the folder of a ComfyUI does not exist any more; False if that is unknown. Blocking."""
        folder = _find_folder(self._status.settings, comfyui, install)
        try:
            return folder is not None and not self._deadline.run(folder, lambda _: folder.exists())
        except (OSError, FilesystemNotResponding):
            return False


def _find_folder(settings: AgentSettings, comfyui: ComfyUI, install: Install) -> Path | None:
    """Return the folder of the settings in which a ComfyUI is, without reading the disk; None if it is not certain."""
    if settings.comfyui_url:
        named = zip(settings.comfyui, settings.comfyui_url, strict=False)
        return next((folder for folder, url in named if url == comfyui.url), None)
    folders = (each for each in settings.comfyui if any(root.path.is_relative_to(each) for root in install.roots))
    return next(folders, None)


def _read_loaders(comfyui: ComfyUI, install: Install) -> list[FoundLoader]:
    """Return the loader inputs of a running ComfyUI; blocking.

    Raises:
        OSError: it does not describe its nodes.
        ValueError: see ``find_loader_inputs``.
    """
    choices = comfyui.read_choices(sorted({root.key for root in install.roots}))
    if choices is None:
        raise OSError(f"The ComfyUI at {comfyui.url} does not describe its nodes.")
    return find_loader_inputs(choices.object_info, choices.files)


def merge_loaders(found: Iterable[Iterable[FoundLoader]]) -> list[LoaderInput]:
    """Return the inputs of all ComfyUIs, at most ``MAX_LOADER_INPUTS``, without those in which they differ.

    ``ANY_INPUT`` of a node is left out unless all ComfyUIs that have the node report it, and only one folder. Names
    that the registry would refuse are left out too.
    """
    reports = [list(each) for each in found]
    folders: dict[tuple[str, str], set[str]] = defaultdict(set)
    for node_type, name, folder in (each for loaders in reports for each in loaders):
        folders[node_type, name].add(folder)
    mixed = _find_mixed_nodes(reports)
    merged: list[LoaderInput] = []
    for (node_type, name), names in sorted(folders.items()):
        is_certain = len(names) == 1 and not (name == ANY_INPUT and node_type in mixed)
        if is_certain and len(merged) < MAX_LOADER_INPUTS:
            with suppress(ValidationError):
                merged.append(LoaderInput(node_type=node_type, input=name, folder=next(iter(names))))
    return merged


def _find_mixed_nodes(reports: Iterable[Iterable[FoundLoader]]) -> set[str]:
    """Return the nodes that load from several folders, or for which a ComfyUI does not report ``ANY_INPUT``."""
    folders: dict[str, set[str]] = defaultdict(set)
    mixed: set[str] = set()
    for loaders in reports:
        reported: set[str] = set()
        only: set[str] = set()
        for node_type, name, folder in loaders:
            folders[node_type].add(folder)
            (only if name == ANY_INPUT else reported).add(node_type)
        mixed |= reported - only
    return mixed | {node_type for node_type, names in folders.items() if len(names) > 1}
