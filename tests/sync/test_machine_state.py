import asyncio
from pathlib import Path
from uuid import UUID

import pytest

from modelyard.sync.inventory.placement_journal import Placement
from modelyard.sync.inventory.state_db import StateFileError
from modelyard.sync.machine_state import open_machine_state

PLACEMENT = Placement(Path("/m/ink.pt"), "a" * 64, 100, UUID(int=1), "placed")


async def test_open_machine_state_again_has_placements_of_earlier_run(tmp_path: Path) -> None:
    async with open_machine_state(tmp_path, "workstation") as machine:
        await asyncio.to_thread(machine.journal.confirm, PLACEMENT)
    async with open_machine_state(tmp_path, "workstation") as machine:
        placements = await asyncio.to_thread(machine.journal.list_placements)
        assert [placement.path for placement in placements] == [PLACEMENT.path]
        assert (machine.agent_id, machine.damage_notice) == ("workstation", None)


async def test_machine_state_after_block_is_closed(tmp_path: Path) -> None:
    async with open_machine_state(tmp_path, "workstation") as machine:
        pass
    with pytest.raises(StateFileError):
        await asyncio.to_thread(machine.journal.confirm, PLACEMENT)


async def test_open_machine_state_with_damaged_file_has_notice(tmp_path: Path) -> None:
    (tmp_path / "sync").mkdir()
    (tmp_path / "sync" / "workstation.sqlite").write_bytes(b"damaged" * 1000)
    async with open_machine_state(tmp_path, "workstation") as machine:
        assert machine.damage_notice is not None
        assert "workstation.broken.sqlite" in machine.damage_notice
