import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from modelyard.agent.report import Reports
from modelyard.client.durable import Busy
from tests.agent.box import Box, until
from tests.server.world import Someone, a_model_file


def on(team: Someone, box: Box) -> dict[str, Any]:
    """The machine as the registry shows it."""
    found: list[dict[str, Any]] = team.get("/agents").json()["agent_list"]
    return next((agent for agent in found if agent["agent_id"] == box.agent_id), {})


def states(team: Someone, box: Box) -> dict[str, str]:
    """The state of each model on the machine, by its file's name."""
    answer = team.get(f"/agents/{box.agent_id}/models", per_page=100).json()
    rows = answer.get("agent_model_list", [])  # a machine that was not heard of yet has none
    return {row["model_path"].rpartition("/")[2]: row["state"] for row in rows}


def test_one_look_places_what_is_wanted_and_reports_it(team: Someone, box: Box) -> None:
    content = a_model_file("ink", 5000)
    team.register(content, "loras/ink.safetensors")
    outcome = box.once()
    assert outcome is not None
    assert (box.models / "loras/ink.safetensors").read_bytes() == content
    assert states(team, box) == {"ink.safetensors": "ready"}
    assert on(team, box)["bytes_held"] == len(content)


def test_the_log_says_how_all_models_stand(team: Someone, box: Box, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "modelyard.agent")
    team.register(a_model_file("ink"), "loras/ink.safetensors")
    team.register(a_model_file("oil"), "loras/oil.safetensors")
    (box.models / "loras").mkdir()
    (box.models / "loras/oil.safetensors").write_bytes(b"the user's own")
    box.once()
    assert "2 models: 1 conflict, 1 ready." in caplog.messages


async def test_a_model_comes_goes_and_comes_back_from_the_trash(team: Someone, box: Box) -> None:
    async with box.running():
        model_id = team.register(a_model_file("ink"), "loras/ink.safetensors")
        await until(lambda: box.has("loras/ink.safetensors"))
        inode = (box.models / "loras/ink.safetensors").stat().st_ino
        team.put(f"/models/{model_id}", model_status="disabled")
        await until(lambda: not box.has("loras/ink.safetensors"))
        team.put(f"/models/{model_id}", model_status="active")
        await until(lambda: box.has("loras/ink.safetensors"))
        assert (box.models / "loras/ink.safetensors").stat().st_ino == inode
        await until(lambda: states(team, box) == {"ink.safetensors": "ready"})


async def test_labels_decide_what_comes(team: Someone, new_box: Callable[..., Box]) -> None:
    team.register(a_model_file("big"), "loras/big.safetensors", required_labels=["gpu24"])
    small, large = new_box("small"), new_box("large", labels=["gpu24"])
    await small.look()
    await large.look()
    assert large.has("loras/big.safetensors")
    assert not small.has("loras/big.safetensors")
    async with small.running():
        team.put("/agents/small", agent_labels=["gpu24"])
        await until(lambda: small.has("loras/big.safetensors"))


async def test_a_paused_machine_does_nothing_and_says_so(team: Someone, box: Box) -> None:
    async with box.running() as agent:
        await until(lambda: on(team, box))
        team.put("/agents/render-07", paused=True)
        await until(lambda: agent.situation.paused)
        team.register(a_model_file("ink"), "loras/ink.safetensors")
        await until(lambda: on(team, box)["waiting_for"] == "This machine is paused in the registry.")
        await until(lambda: states(team, box) == {"ink.safetensors": "wanted"})
        assert not box.has("loras/ink.safetensors")
        team.put("/agents/render-07", paused=False)
        await until(lambda: box.has("loras/ink.safetensors"))


async def test_what_is_pushed_last_need_not_wait_for_a_long_download(
    team: Someone, new_box: Callable[..., Box], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard.agent.schedule.UNDISTURBED", 0.5)
    box = new_box(rate_limit="500kB")
    team.register(a_model_file("long", 20_000_000), "loras/long.safetensors")
    async with box.running() as agent:
        await until(lambda: agent.situation.phase == "downloading")
        await until(lambda: box.waits_for == "Downloads take at most 500.0 kB a second here.")
        team.register(a_model_file("short"), "loras/short.safetensors")
        await until(lambda: box.has("loras/short.safetensors"))
        assert not box.has("loras/long.safetensors")


async def test_a_machine_says_at_once_that_it_fetches(team: Someone, new_box: Callable[..., Box]) -> None:
    box = new_box(rate_limit="1MB")
    team.register(a_model_file("first"), "loras/first.safetensors")
    async with box.running():
        await until(lambda: states(team, box) == {"first.safetensors": "ready"})
        await until(lambda: on(team, box)["agent_status"] == "idle")
        team.register(a_model_file("long", 10_000_000), "loras/long.safetensors")
        await until(lambda: on(team, box)["sync_phase"] == "downloading")
        assert not box.has("loras/long.safetensors")


async def test_a_look_can_be_asked_for(team: Someone, box: Box) -> None:
    team.register(a_model_file("ink"), "loras/ink.safetensors")
    async with box.running():
        await until(lambda: states(team, box) == {"ink.safetensors": "ready"})
        (box.models / "loras/ink.safetensors").unlink()
        team.post("/agents/render-07/sync")
        await until(lambda: box.has("loras/ink.safetensors"))


async def test_a_user_s_file_in_the_way_is_a_conflict_and_stays(team: Someone, box: Box) -> None:
    (box.models / "loras").mkdir()
    (box.models / "loras/ink.safetensors").write_bytes(b"mine")
    team.register(a_model_file("ink"), "loras/ink.safetensors")
    async with box.running():
        await until(lambda: states(team, box) == {"ink.safetensors": "conflict"})
    assert (box.models / "loras/ink.safetensors").read_bytes() == b"mine"


async def test_a_revoked_key_ends_everything_and_what_is_here_stays(team: Someone, box: Box) -> None:
    team.register(a_model_file("ink"), "loras/ink.safetensors")
    async with box.running() as agent:
        await until(lambda: box.has("loras/ink.safetensors"))
        team.delete(f"/credentials/{box.key_id}")
        await until(lambda: agent.situation.link.state == "refused")
        await until(lambda: "refuses this machine" in box.waits_for)
        assert box.has("loras/ink.safetensors")


async def test_with_purge_on_revoke_what_was_placed_goes_and_what_was_found_stays(
    team: Someone, new_box: Callable[..., Box]
) -> None:
    box = new_box(purge_on_revoke=True)
    found = a_model_file("found")
    (box.models / "loras").mkdir()
    (box.models / "loras/found.safetensors").write_bytes(found)
    team.register(found, "loras/found.safetensors")
    for number in range(5):
        team.register(a_model_file(str(number)), f"loras/{number}.safetensors")
    async with box.running() as agent:
        await until(lambda: all(box.has(f"loras/{number}.safetensors") for number in range(5)))
        await until(lambda: agent.situation.phase == "idle")
        (box.models / "loras/4.safetensors").write_bytes(b"changed by its user")
        team.delete(f"/credentials/{box.key_id}")
        await until(lambda: not any(box.has(f"loras/{number}.safetensors") for number in range(4)))
        await until(lambda: not any((box.models / ".modelyard/trash").iterdir()))
    assert box.has("loras/found.safetensors")
    assert box.has("loras/4.safetensors")


async def test_two_processes_are_not_the_same_agent(box: Box) -> None:
    async with box.running():
        with pytest.raises(Busy, match="runs here already"):
            async with box.running():
                pass


async def test_the_registry_hears_that_an_agent_stopped(team: Someone, box: Box) -> None:
    async with box.running() as agent:
        await until(lambda: agent.situation.link.is_up)
    assert on(team, box)["sync_detail"] == "The agent was stopped."
    status = await asyncio.to_thread(lambda: box.status)
    assert status is not None
    assert status.link == "stopped"


async def test_a_registry_that_forgot_the_machine_hears_everything_anew(team: Someone, box: Box) -> None:
    team.register(a_model_file("ink"), "loras/ink.safetensors")
    async with box.running() as agent:
        await until(lambda: states(team, box) == {"ink.safetensors": "ready"})
        first: Reports = agent.situation.reports
        assert not first.has_news
        assert team.delete("/agents/render-07").status_code == 204
        await until(lambda: len(team.get("/agents").json()["agent_list"]) == 1)
        await until(lambda: states(team, box) == {"ink.safetensors": "ready"})
