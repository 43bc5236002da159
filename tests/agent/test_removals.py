"""The brake on removals, as an agent and its registry live with it."""

import asyncio
from pathlib import Path

from tests.agent.box import Box, until
from tests.agent.rogue import RogueRegistry, entry, manifest
from tests.agent.test_at_work import on
from tests.client.sync.ageing import aged
from tests.server.world import Someone, a_model_file


def disable_all(team: Someone, ids: list[str]) -> None:
    for model_id in ids:
        team.put(f"/models/{model_id}", model_status="disabled")


async def test_many_removals_wait_for_the_registry(team: Someone, box: Box) -> None:
    ids = [team.register(a_model_file(str(number)), f"loras/{number}.safetensors") for number in range(5)]
    await box.look()
    disable_all(team, ids)
    async with box.running():
        await until(lambda: on(team, box).get("removal_waiting") == 5)
        assert box.has("loras/0.safetensors")
        assert "5 of the 5 files" in on(team, box)["waiting_for"]
        assert team.post("/agents/render-07/approve-removal").status_code == 200
        await until(lambda: not any(box.has(f"loras/{number}.safetensors") for number in range(5)))
        await until(lambda: on(team, box)["removal_waiting"] == 0)


async def test_many_removals_wait_for_somebody_at_the_machine(team: Someone, box: Box) -> None:
    ids = [team.register(a_model_file(str(number)), f"loras/{number}.safetensors") for number in range(5)]
    await box.look()
    disable_all(team, ids)
    async with box.running():
        await until(lambda: box.status and box.status.held)
        status = await asyncio.to_thread(lambda: box.status)
        assert status is not None
        assert status.held is not None
        assert status.held.count == 5
        await asyncio.to_thread(box.start.folder.approve, status.held.token)
        await until(lambda: not any(box.has(f"loras/{number}.safetensors") for number in range(5)))


async def test_an_approval_is_good_for_one_removal(team: Someone, box: Box) -> None:
    ids = [team.register(a_model_file(str(number)), f"loras/{number}.safetensors") for number in range(5)]
    await box.look()
    disable_all(team, ids)
    first = await box.look()
    assert first is not None
    assert first.held is not None
    await asyncio.to_thread(box.start.folder.approve, first.held.token)
    await box.look()
    assert not box.has("loras/0.safetensors")
    for model_id in ids:
        team.put(f"/models/{model_id}", model_status="active")
    await box.look()
    assert box.has("loras/0.safetensors")
    disable_all(team, ids)
    again = await box.look()
    assert again is not None
    assert again.held is not None
    assert again.held.token == first.held.token
    assert box.has("loras/0.safetensors")


async def test_removals_one_by_one_wait_like_as_many_at_once(team: Someone, box: Box) -> None:
    ids = [team.register(a_model_file(str(number)), f"loras/{number}.safetensors") for number in range(5)]
    await box.look()
    async with box.running():
        for number in range(3):
            disable_all(team, [ids[number]])
            await until(lambda: not box.has(f"loras/{number}.safetensors"))  # noqa: B023 - it is awaited at once
        disable_all(team, ids)
        await until(lambda: on(team, box).get("removal_waiting") == 2)
        assert box.has("loras/3.safetensors")
        assert box.has("loras/4.safetensors")
        assert "3 others were removed within the last hour" in on(team, box)["waiting_for"]
        assert team.post("/agents/render-07/approve-removal").status_code == 200
        await until(lambda: not any(box.has(f"loras/{number}.safetensors") for number in range(5)))
        await until(lambda: on(team, box)["removal_waiting"] == 0)


async def test_what_was_removed_lately_is_known_after_a_restart(team: Someone, box: Box) -> None:
    ids = [team.register(a_model_file(str(number)), f"loras/{number}.safetensors") for number in range(5)]
    await box.look()
    for model_id in ids:
        disable_all(team, [model_id])
        outcome = await box.look()
    assert outcome is not None
    assert outcome.held is not None
    assert [removal.target.name for removal in outcome.held.removals] == ["3.safetensors", "4.safetensors"]
    assert not box.has("loras/2.safetensors")
    await asyncio.to_thread(aged, box.folder / "state" / "sync" / f"{box.agent_id}.sqlite", 61 * 60)
    later = await box.look()
    assert later is not None
    assert later.held is None
    assert not box.has("loras/4.safetensors")


async def test_an_approval_begins_the_count_anew(team: Someone, box: Box) -> None:
    ids = [team.register(a_model_file(str(number)), f"loras/{number}.safetensors") for number in range(8)]
    await box.look()
    disable_all(team, ids[:3])
    await box.look()
    disable_all(team, ids[3:5])
    held = await box.look()
    assert held is not None
    assert held.held is not None
    await asyncio.to_thread(box.start.folder.approve, held.held.token)
    await box.look()
    assert not box.has("loras/4.safetensors")
    disable_all(team, ids[5:])
    last = await box.look()
    assert last is not None
    assert last.held is None
    assert not any(box.has(f"loras/{number}.safetensors") for number in range(8))


def test_a_registry_that_means_harm_takes_no_more_by_taking_three_a_look(tmp_path: Path) -> None:
    bytes_of = {f"loras/{number}.pt": f"good {number}".encode() for number in range(20)}
    good = [entry(path, content) for path, content in bytes_of.items()]
    script = [manifest(*good), *(manifest(*good[number:]) for number in range(3, 20, 3))]
    with RogueRegistry(script, {each["id"]: bytes_of[each["model_path"]] for each in good}) as rogue:
        box = Box(tmp_path / "box", rogue.url, "ak-x", "render-07")
        for _ in script:
            box.once()
    assert [path for path in bytes_of if not box.has(path)] == list(bytes_of)[:3]
