"""Open the state that an agent, or ``modelyard sync`` in a folder, keeps between its runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from modelyard.sync.inventory.hash_index import HashIndex
from modelyard.sync.inventory.placement_journal import PlacementJournal
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.inventory.state_db import StateFile
from modelyard.transfer.thread_pool import ThreadPool


@asynccontextmanager
async def open_machine_state(state_dir: Path, agent_id: str) -> AsyncIterator[MachineState]:
    """Open the state of an agent below ``state_dir``, or create it; it is closed after the block.

    The caller holds a lock against other processes that would open it.

    Raises:
        StateFileError: see ``StateFile``.
    """
    async with ThreadPool(1) as threads:
        state = await threads.run(lambda: StateFile(state_dir / "sync" / f"{agent_id}.sqlite"), timeout_seconds=None)
        try:
            yield await threads.run(lambda: _read_state(agent_id, state), timeout_seconds=None)
        finally:
            await threads.run(state.close, timeout_seconds=None)


def _read_state(agent_id: str, state: StateFile) -> MachineState:
    """Read the hashes and placements of an open state file. Blocking."""
    return MachineState(agent_id, HashIndex(state), PlacementJournal(state), damage_notice=state.damage_notice)
