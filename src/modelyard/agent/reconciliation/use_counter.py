"""Counts which models the running ComfyUIs use, from their history and from what they execute now.

Only ids of models and times are kept: what else the responses have, among it API tokens, is neither stored nor logged.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from modelyard.agent.reconcile_result import ReconcileResult
from modelyard.agent.reconciliation.log_deduplication import LoggedFailures
from modelyard.agent.status import AgentStatus
from modelyard.agent.use.model_names import ModelNames, build_model_names
from modelyard.agent.use.use_log import save_use_log
from modelyard.comfyui.http_api import ComfyUI, History
from modelyard.comfyui.layout import Install
from modelyard.comfyui.prompts import Prompt
from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.sync.inventory.deadlines import StallDeadline

log = logging.getLogger("modelyard.agent")

COUNT_SECONDS = 30.0
# ComfyUI keeps 10,000 prompts. More of them are read if all that were read are new.
_FIRST_ITEMS, _GROWTH_FACTOR, _MAX_ITEMS = 20, 8, 10_240
# ComfyUI builds the response on its event loop, so more than so many bytes are not requested.
_MAX_HISTORY_BYTES = 8 * 1024 * 1024


class FoundUses(NamedTuple):
    """When models were used, as far as it is new, the ComfyUIs whose histories were read, and what failed."""

    uses: dict[UUID, datetime]
    urls: list[str]
    failures: list[Exception]


class UseCounter:
    """Counts the uses of one agent. ``file`` is that of the log in its status; without a log, nothing is counted."""

    def __init__(self, status: AgentStatus, file: Path, deadline: StallDeadline | None = None) -> None:
        self._status = status
        self._file = file
        self._seen: dict[str, frozenset[str]] = {}  # address of a ComfyUI -> ids of the prompts that it had last
        self._deadline = deadline or StallDeadline()
        self._failures = LoggedFailures("The use of models cannot be counted")
        self.count_seconds = COUNT_SECONDS

    async def run(self) -> None:
        """Count at intervals until cancelled; return at once without a log."""
        while self._status.use_log is not None:
            await asyncio.sleep(self.count_seconds)
            await self.count()

    async def count(self) -> None:
        """Read which models were used since the last call, and save the log if it changed; failures are logged."""
        use_log = self._status.use_log
        if use_log is None:
            return
        try:
            found = await asyncio.to_thread(self._find_new_uses, self._status.result)
        except Exception as failure:  # noqa: BLE001 - a failed count must not end the agent
            found = FoundUses({}, [], [failure])
        self._failures.update(found.failures)
        use_log.record(found.uses)
        use_log.record_reads(found.urls, datetime.now(UTC))
        if use_log.has_changed:
            use_log.has_changed = False
            try:
                await asyncio.to_thread(save_use_log, self._file, use_log)
            except OSError as failure:
                use_log.has_changed = True
                log.warning("The times of use could not be saved: %s", failure.strerror)

    def _find_new_uses(self, result: ReconcileResult) -> FoundUses:
        """Return when models were used, as far as it is new, and which ComfyUIs could not be read; blocking.

        What those have is read again at the next call.
        """
        found = FoundUses({}, [], [])
        for comfyui, install in result.roots.running:
            try:
                self._add_uses_of(comfyui, install, result.replica_states, found)
            except Exception as failure:  # noqa: BLE001 - the uses of the other ComfyUIs count nevertheless
                found.failures.append(failure)
        return found

    def _add_uses_of(
        self, comfyui: ComfyUI, install: Install, replica_states: Sequence[ReplicaState], found: FoundUses
    ) -> None:
        """Add the new uses of one ComfyUI to ``found``; blocking.

        Models that are not ready now count too: ComfyUI may have used their files before.

        Raises:
            FilesystemNotResponding: a folder of the ComfyUI stalls.
        """
        ended = self._read_ended_prompts(comfyui)
        known = self._seen.get(comfyui.url, frozenset())
        new = [prompt for prompt in ended or () if prompt.id not in known]
        if prompts := [*new, *comfyui.list_running_prompts()]:
            ready = build_model_names(self._deadline, install, replica_states)
            names = ready.with_model_paths(
                (each.model_id, each.model_path) for each in replica_states if each.state not in {"ready", None}
            )
            for model_id, used in find_uses(prompts, names, datetime.now(UTC)).items():
                found.uses[model_id] = max(used, found.uses.get(model_id, used))
        if ended is not None:
            self._seen[comfyui.url] = frozenset(prompt.id for prompt in ended)
            found.urls.append(comfyui.url)

    def _read_ended_prompts(self, comfyui: ComfyUI) -> list[Prompt] | None:
        """Return the last prompts that a ComfyUI ended, among them those that are new since the last call.

        At the first call, all that it has in memory are new. Of many that are new, the older ones are left out if the
        response would be larger than ``_MAX_HISTORY_BYTES``. None if its history cannot be read.
        """
        seen, items = self._seen.get(comfyui.url, frozenset()), _FIRST_ITEMS
        history = comfyui.read_history(items)
        while history is not None and _may_have_more(history, items, seen):
            next_items = compute_next_items(items, history)
            more = comfyui.read_history(next_items) if next_items > items else None
            if more is None:
                break
            history, items = more, next_items
        return None if history is None else history.prompts


def _may_have_more(history: History, items: int, seen: frozenset[str]) -> bool:
    """Return whether a history that was read up to a number of items may have older prompts that are new."""
    is_full = history.entry_count >= items and items < _MAX_ITEMS
    return is_full and seen.isdisjoint(prompt.id for prompt in history.prompts)


def compute_next_items(items: int, history: History) -> int:
    """Return how many prompts to request next, so that the response is not larger than ``_MAX_HISTORY_BYTES``.

    The prompts are taken to be as large as those that were read.
    """
    fitting = _MAX_HISTORY_BYTES * history.entry_count // max(history.byte_count, 1)
    return min(items * _GROWTH_FACTOR, _MAX_ITEMS, fitting)


def find_uses(prompts: Iterable[Prompt], names: ModelNames, now: datetime) -> dict[UUID, datetime]:
    """Return when each model was used last by these prompts; a prompt without a time, or with a later one, ran now."""
    uses: dict[UUID, datetime] = {}
    for prompt in prompts:
        used = min(prompt.ended_at or now, now)
        for reference in prompt.references:
            if reference.is_required:
                for model_id in names.find_ids(reference):
                    uses[model_id] = max(used, uses.get(model_id, used))
    return uses
