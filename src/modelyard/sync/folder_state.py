"""The state of earlier ``modelyard sync`` runs in a folder: what they placed there, and the hashes of its files."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from modelyard.client.atomic_file import LockHeld, locked
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.machine_state import open_machine_state

_LOCK_SECONDS = 1.0


@asynccontextmanager
async def open_folder_state(folder: Path, state_dir: Path) -> AsyncIterator[MachineState]:
    """Open the state of earlier syncs of this folder on this host, locked against other processes.

    Waits up to one second for the lock. The state is closed after the block.

    Raises:
        LockHeld: another process syncs this folder.
        StateFileError: see ``StateFile``.
    """
    name = await asyncio.to_thread(_build_state_name, folder)
    async with locked(state_dir / "sync" / f"{name}.lock", wait_seconds=_LOCK_SECONDS) as is_held:
        if not is_held:
            raise LockHeld(f'Another sync of "{folder}" is running. Wait until it has ended.')
        async with open_machine_state(state_dir, name) as machine:
            yield machine


def _build_state_name(folder: Path) -> str:
    """Return the name of a folder's state: a hash of the host name and the resolved path."""
    location = f"{socket.gethostname()}\0{folder.resolve()}"
    return f"sync-{hashlib.sha256(location.encode(errors='surrogateescape')).hexdigest()[:16]}"
