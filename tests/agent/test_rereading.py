"""An agent reads what it holds again while it has nothing else to do."""

import sqlite3
from collections.abc import Callable

from tests.agent.box import Box, until
from tests.agent.test_at_work import states
from tests.client.sync.test_rereading import rot
from tests.server.world import Someone, a_model_file


def grow_old(box: Box) -> None:
    """Let everything that is here have been read 31 days ago."""
    database = sqlite3.connect(box.folder / "state" / "sync" / f"{box.agent_id}.sqlite")
    with database:
        database.execute("UPDATE placements SET noted_at = noted_at - 31 * 86400")
    database.close()


async def test_a_model_that_rotted_on_a_machine_is_told_to_the_registry(team: Someone, box: Box) -> None:
    team.register(a_model_file("ink"), "loras/ink.safetensors")
    async with box.running() as agent:
        agent.rereading.look_seconds = 0.05
        await until(lambda: states(team, box) == {"ink.safetensors": "ready"})
        rot(box.models / "loras/ink.safetensors")
        grow_old(box)
        await until(lambda: states(team, box) == {"ink.safetensors": "conflict"})


async def test_with_0_days_nothing_is_read_again(team: Someone, new_box: Callable[..., Box]) -> None:
    box = new_box(reread_days=0)
    team.register(a_model_file("ink"), "loras/ink.safetensors")
    async with box.running() as agent:
        await until(lambda: box.has("loras/ink.safetensors"))
        await agent.rereading.run()
