import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

from modelyard.cli.this_machine.adopt import _find_and_adopt
from modelyard.client.atomic_file import locked
from modelyard.wire.models import Model
from tests.agent.agent_machine import AgentMachine
from tests.waiting import PATIENCE_SECONDS


class HeldVersions(list[Model]):
    """No versions; the thread that reads them sets ``is_read`` and waits for ``release``."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read, self.release = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[Model]:
        self.is_read.set()
        assert self.release.wait(PATIENCE_SECONDS)
        return super().__iter__()


async def test_cancelled_adoption_keeps_lock_of_agent_while_its_thread_runs(tmp_path: Path) -> None:
    versions = HeldVersions()
    machine = AgentMachine(tmp_path, "http://127.0.0.1:9", "key", "workstation").start_options
    work = _find_and_adopt(machine.settings, machine.state_dir, versions, dry_run=False)
    adoption = asyncio.create_task(work)
    try:
        assert await asyncio.to_thread(versions.is_read.wait, PATIENCE_SECONDS)
        adoption.cancel()
        # Taking the lock returns to the event loop, which first runs the cancelled task.
        async with locked(machine.folder.lock, wait_seconds=0) as is_free:
            assert not is_free
    finally:
        versions.release.set()
        await asyncio.wait([adoption])
    assert adoption.cancelled()
    async with locked(machine.folder.lock, wait_seconds=0) as is_free:
        assert is_free
